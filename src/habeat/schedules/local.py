"""The base of schedules that follow a wall clock: a zone with its gaps and folds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any, Literal, cast

from habeat.errors import ScheduleTooExpensive
from habeat.schedules import in_words, search_budget
from habeat.schedules.field_rule import Rule
from habeat.schedules.schedule import Remark, Run, Schedule, check_limit, moment
from habeat.schedules.wallclock import CountingRule, WallClock, nth_ms
from habeat.schedules.zone import zone_named

Gap = Literal["shift", "skip"]
Fold = Literal["auto", "first", "last", "both"]

_FOLD_WORDS = {
    "auto": "",
    "first": ", fold: first pass",
    "last": ", fold: last pass",
    "both": ", fold: both passes",
}


class LocalSchedule(Schedule):
    """A schedule of local times. With `tz` None, UTC applies until the schedule is bound.

    A kind's ``__init__`` or ``__post_init__`` calls `_follow` after setting its fields.
    """

    tz: str | None
    gap: Gap
    fold: Fold

    # Derived from the dataclass fields, and not part of equality.
    _rule: CountingRule
    _clock: WallClock
    _next: Callable[[int], int | None]

    def next_after_ms(self, after_ms: int) -> int | None:
        """See `Schedule.next_after_ms`; ScheduleTooExpensive if the search takes too long."""
        search_budget.begin()
        try:
            return self._next(after_ms)
        except search_budget.TooManySteps:
            raise self._too_expensive(after_ms) from None

    def count_between(self, after_ms: int, until_ms: int, limit: int | None = None) -> Run | None:
        """See `Schedule.count_between`; computed by arithmetic. Raises ScheduleTooExpensive."""
        check_limit(limit)
        first_ms = self.next_after_ms(after_ms)
        if first_ms is None or first_ms > until_ms:
            return None
        search_budget.begin(search_budget.COUNT_STEPS)
        try:
            until_ms = self._end_by(until_ms)
            count = self._count(after_ms, until_ms)
            if limit is not None:
                count = min(count, limit)
            return Run(count, first_ms, nth_ms(self._count, count, after_ms, until_ms))
        except search_budget.TooManySteps:
            raise self._too_expensive(after_ms) from None

    def _end_by(self, until_ms: int) -> int:
        """`until_ms`, or the end of the schedule if that is earlier."""
        return until_ms

    def _count(self, after_ms: int, until_ms: int) -> int:
        """The number of slots in ``after < slot <= until``, as if the schedule had no end."""
        return self._clock.count(self._rule, after_ms, until_ms)

    def _too_expensive(self, after_ms: int) -> ScheduleTooExpensive:
        return ScheduleTooExpensive(
            "schedule", self, f"a rule whose next slot after {moment(after_ms)} is found sooner"
        )

    def remark(self, slot_ms: int) -> Remark:
        """How a clock change affects a slot; see `WallClock.remark`."""
        return self._clock.remark(slot_ms)

    def bound(self, name: str, timezone: str) -> Schedule:
        """The same rule in the zone `timezone`, unless it has its own."""
        return self if self.tz is not None else self._with(tz=timezone)

    def describe(self) -> str:
        rule = in_words.rule(self._rule) if isinstance(self._rule, Rule) else f"{self!r}"
        return f"{rule}{self._place()}"

    def _place(self) -> str:
        """The zone, and the policies that are not the defaults: ", UTC, gap skipped"."""
        zone = f", {self.tz}" if self.tz else ""
        gap = ", gap skipped" if self.gap == "skip" else ""
        return f"{zone}{gap}{_FOLD_WORDS[self.fold]}"

    def _follow(self, rule: CountingRule) -> None:
        zone = zone_named("UTC" if self.tz is None else self.tz)
        clock = WallClock(rule, zone, self.gap, self.fold)
        object.__setattr__(self, "_rule", rule)
        object.__setattr__(self, "_clock", clock)
        object.__setattr__(self, "_next", clock.next_after_ms)

    def _with(self, **changes: Any) -> Schedule:
        # cast: mypy refuses to call an abstract class, but the subclass is a concrete dataclass.
        return cast(Any, type(self))(**{**self._fields(), **changes})  # type: ignore[no-any-return]

    def _tzinfo(self) -> tzinfo:
        return UTC if self.tz is None else zone_named(self.tz).info
