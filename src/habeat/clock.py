"""The only module that reads clocks; all others receive one.

Where the system has such a clock (CLOCK_BOOTTIME on Linux), the monotonic clock includes the time
that a host is suspended: a laptop that slept for an hour must not trust its lease.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


class SystemClock:
    """The clocks of this host."""

    def __init__(self) -> None:
        self._source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic_us(self) -> int:
        """Microseconds since some fixed moment; never goes backwards."""
        return time.clock_gettime_ns(self._source) // 1_000

    def wall_ms(self) -> int:
        """This host's Unix time in ms: for comparing and showing, never for decisions."""
        return time.time_ns() // 1_000_000


def process_age_ms() -> int:
    """For how long this process has run, in ms; 0 if the system does not tell.

    A forked process counts from the fork.
    """
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started_s = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
        return max(0, round((time.clock_gettime(time.CLOCK_BOOTTIME) - started_s) * 1_000))
    except (OSError, AttributeError, IndexError, ValueError):  # not Linux, or a sandbox
        return 0
