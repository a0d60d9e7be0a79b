"""A single instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from habeat.schedules import checks
from habeat.schedules.registry import register
from habeat.schedules.schedule import FIRST_MS, LAST_MS, Schedule


@register
@dataclass(frozen=True, repr=False)
class Once(Schedule):
    """One slot, at `at_ms` (Unix milliseconds, UTC)."""

    kind: ClassVar[str] = "once"
    arithmetic: ClassVar[bool] = True

    at_ms: int

    def __post_init__(self) -> None:
        checks.whole("at_ms", self.at_ms, FIRST_MS, LAST_MS)

    def next_after_ms(self, after_ms: int) -> int | None:
        return self.at_ms if self.at_ms > after_ms else None

    def describe(self) -> str:
        return f"once, at {self._shown(self.at_ms):%Y-%m-%d %H:%M:%S} UTC"
