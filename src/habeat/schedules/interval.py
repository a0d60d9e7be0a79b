"""Fixed periods on a grid, and single instants.

The slots of a period are ``offset + n * period`` counted from the Unix epoch, not "the last run
plus the period". So publishing delays do not add up, a clock step moves no slot, and a replica that
has lost all state still computes the same slots.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from habeat.errors import ValidationError
from habeat.schedules import checks, in_words
from habeat.schedules.registry import register
from habeat.schedules.schedule import FIRST_MS, LAST_MS, Run, Schedule, check_limit

MINIMUM_MS = 100

# From this period on, entries without own offsets would all fire at :00 of a minute.
OWN_OFFSET_FROM_MS = 60_000


@register
@dataclass(frozen=True, repr=False)
class Interval(Schedule):
    """Every `every_ms` milliseconds (at least 100), `offset_ms` after multiples since the epoch.

    Without an offset, `bound` chooses one from the entry's name, unless align="epoch".
    """

    kind: ClassVar[str] = "interval"
    arithmetic: ClassVar[bool] = True

    every_ms: int
    offset_ms: int | None = None
    align: Literal["own", "epoch"] = "own"

    def __post_init__(self) -> None:
        checks.whole("every_ms", self.every_ms, MINIMUM_MS, LAST_MS)
        checks.one_of("align", self.align, ("own", "epoch"))
        if self.offset_ms is not None:
            checks.whole("offset_ms", self.offset_ms, 0, self.every_ms - 1)
            if self.offset_ms and self.align == "epoch":
                raise ValidationError("offset_ms", self.offset_ms, "0 with align='epoch', or None")

    def next_after_ms(self, after_ms: int) -> int | None:
        since_slot_ms = (after_ms - (self.offset_ms or 0)) % self.every_ms
        slot_ms = after_ms - since_slot_ms + self.every_ms
        return slot_ms if slot_ms <= LAST_MS else None

    def count_between(self, after_ms: int, until_ms: int, limit: int | None = None) -> Run | None:
        """The slots in ``after_ms < slot <= until_ms`` as a run, at most the first `limit`."""
        check_limit(limit)
        first_ms = self.next_after_ms(after_ms)
        until_ms = min(until_ms, LAST_MS)
        if first_ms is None or first_ms > until_ms:
            return None
        steps = (until_ms - first_ms) // self.every_ms
        if limit is not None:
            steps = min(steps, limit - 1)
        return Run(steps + 1, first_ms, first_ms + steps * self.every_ms)

    def bound(self, name: str, timezone: str) -> Interval:
        """The same period with an explicit offset; `timezone` has no effect."""
        if self.offset_ms is not None:
            return self
        own = self.align == "own" and self.every_ms >= OWN_OFFSET_FROM_MS
        return replace(self, offset_ms=_own_offset_ms(name, self.every_ms) if own else 0)

    def describe(self) -> str:
        offset = f", offset {in_words.duration(self.offset_ms)}" if self.offset_ms else ""
        return f"every {in_words.period(self.every_ms)}{offset}"


def _own_offset_ms(name: str, every_ms: int) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    offset_ms = int.from_bytes(digest, "big") % every_ms
    # Whole seconds are easier to read in logs.
    return offset_ms - offset_ms % 1000


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
