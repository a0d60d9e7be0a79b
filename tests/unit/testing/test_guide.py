"""The Python of docs/guides/testing.md runs as it stands there, top to bottom."""

from __future__ import annotations

import re
from typing import Any

from habeat.testing import Clock, ManualScheduler
from tests import DOCS

GUIDE = DOCS / "guides" / "testing.md"


def test_the_examples_of_the_guide_run() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, GUIDE.name, "exec", dont_inherit=True), names)
    clock = Clock("2026-01-01 00:00")
    scheduler = ManualScheduler(names["app"], clock=clock)
    names["test_the_night_when_the_clocks_change"](clock, scheduler)
