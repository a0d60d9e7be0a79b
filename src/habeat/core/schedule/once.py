"""A single instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from habeat.core.schedule import checks
from habeat.core.schedule.base import FIRST_MS, LAST_MS, Schedule
from habeat.core.schedule.registry import register


@register
@dataclass(frozen=True, repr=False)
class Once(Schedule):
    """One slot, at `at_ms` (milliseconds of UTC since the Unix epoch)."""

    kind: ClassVar[str] = "once"
    arithmetic: ClassVar[bool] = True

    at_ms: int

    def __post_init__(self) -> None:
        checks.whole("at_ms", self.at_ms, FIRST_MS, LAST_MS)

    def next_after_ms(self, after_ms: int) -> int | None:
        return self.at_ms if self.at_ms > after_ms else None

    def describe(self) -> str:
        return f"once, at {self._shown(self.at_ms):%Y-%m-%d %H:%M:%S} UTC"
