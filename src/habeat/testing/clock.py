"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import datetime, timedelta

from habeat.schedules.zone import zone_named
from habeat.testing.times import Instant, instant_ms, shown, span_of


class Clock:
    """A clock for tests; it stands still until it is moved.

    It stands for the clock of Redis, which decides when entries are due. Times without an offset
    are local times of `timezone`.
    """

    def __init__(self, at: Instant, timezone: str = "UTC") -> None:
        zone_named(timezone)
        self.timezone = timezone
        self._now_ms = instant_ms("at", at, timezone)

    @property
    def now(self) -> datetime:
        """The time that the clock shows, in its zone."""
        return shown(self._now_ms, self.timezone)

    @property
    def now_ms(self) -> int:
        """The same in Unix milliseconds."""
        return self._now_ms

    def set(self, at: Instant | int) -> None:
        """Set the clock, forward or back; an int is in Unix milliseconds. ValidationError."""
        self._now_ms = at if type(at) is int else instant_ms("at", at, self.timezone)  # type: ignore[arg-type]

    def advance(self, span: float | timedelta = 0, **units: float) -> None:
        """Move the clock by `span` (seconds or a timedelta), or by units such as ``hours=3``."""
        self._now_ms += span_of(span, units)

    def __repr__(self) -> str:
        return f"Clock({self.now.isoformat(sep=' ')!r}, {self.timezone!r})"
