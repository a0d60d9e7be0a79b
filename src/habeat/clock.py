"""The only reader of clocks; everybody else is given one.

The monotonic clock counts the time a host is suspended where the system has such a clock
(CLOCK_BOOTTIME on Linux): a laptop that slept for an hour must not believe its lease.
"""

from __future__ import annotations

import time


class SystemClock:
    """The clocks of this host."""

    def __init__(self) -> None:
        self._source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic_us(self) -> int:
        """Microseconds since some fixed moment; never steps back."""
        return time.clock_gettime_ns(self._source) // 1_000

    def wall_ms(self) -> int:
        """This host's idea of the Unix time, only compared and shown, never decided by."""
        return time.time_ns() // 1_000_000
