"""What the clocks say about this process."""

from __future__ import annotations

import subprocess
import sys

from habeat.clock import process_age_ms

AGES = """
import sys, time
from habeat.clock import process_age_ms
print(process_age_ms()); time.sleep(0.3); print(process_age_ms())
"""


def test_a_process_knows_how_long_it_has_run() -> None:
    done = subprocess.run([sys.executable, "-c", AGES], capture_output=True, text=True, check=True)
    first_ms, later_ms = map(int, done.stdout.split())
    assert process_age_ms() >= later_ms >= first_ms + 290 or sys.platform != "linux"
