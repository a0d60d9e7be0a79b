"""The end of a recurrence rule: an instant, or a number of slots.

The last slot of a COUNT is found by arithmetic. Enumerating COUNT=100000 of a rule with one slot a
month took ten seconds each time its definition was read.
"""

from __future__ import annotations

from functools import lru_cache

from habeat.schedules import search_budget
from habeat.schedules.recurrence.enumerate import Recurrence
from habeat.schedules.recurrence.parts import Parts
from habeat.schedules.wallclock import WallClock, nth_ms
from habeat.schedules.zone import DAY_S, zone_named

#: Slots are counted span by span. A span of this length takes a few thousand steps at most; if it
#: takes few, the next span is twice as long.
_SPAN_MS = 128 * DAY_S * 1000
_CHEAP_STEPS = 200


class NoEnd:
    """The rule has no end, or its own parts end it (an UNTIL in local time)."""

    def by(self, instant_ms: int) -> int:
        """`instant_ms`, or the end of the rule if that is earlier."""
        return instant_ms


class Until(NoEnd):
    """An UNTIL in UTC."""

    def __init__(self, until_ms: int) -> None:
        self._until_ms = until_ms

    def by(self, instant_ms: int) -> int:
        return min(instant_ms, self._until_ms)


class CountedEnd(NoEnd):
    """A COUNT: the rule ends with its n-th slot; excluded slots count.

    The number of slots in a span is arithmetic. The count so far is remembered, so each call
    continues from there. Counting span by span means that even a call that uses up its budget
    leaves less work for the next.
    """

    def __init__(self, count: int, start_ms: int, rule: Recurrence, clock: WallClock) -> None:
        self._count = count
        self._rule = rule
        self._clock = clock
        #: An instant, and the number of slots up to it, which is less than the count.
        self._counted = (start_ms, 0)
        self._last_ms: int | None = None

    def by(self, instant_ms: int) -> int:
        if self._last_ms is None:
            self._count_to(instant_ms)
        return instant_ms if self._last_ms is None else min(instant_ms, self._last_ms)

    def _count_to(self, until_ms: int) -> None:
        """Continue counting up to an instant, or to the last slot."""
        span_ms = _SPAN_MS
        at_ms, number = self._counted
        while at_ms < until_ms:
            end_ms, before = min(until_ms, at_ms + span_ms), search_budget.spent()
            found = self._slots(at_ms, end_ms)
            if number + found >= self._count:
                self._last_ms = nth_ms(self._slots, self._count - number, at_ms, end_ms)
                return
            at_ms, number = self._counted = end_ms, number + found
            if search_budget.spent() - before < _CHEAP_STEPS:
                span_ms *= 2

    def _slots(self, after_ms: int, until_ms: int) -> int:
        return self._clock.count(self._rule, after_ms, until_ms)


def before_ms(start_s: int) -> int:
    """An instant before a local time, in any zone."""
    return (start_s - 2 * DAY_S) * 1000


@lru_cache(maxsize=1024)
def counted_end(parts: Parts, start_s: int, tz: str, gap: str, fold: str) -> CountedEnd:
    """The end of a rule with a COUNT; equal rules share one, and so what it has counted."""
    rule = Recurrence(parts, start_s)
    clock = WallClock(rule, zone_named(tz), gap, fold)
    return CountedEnd(parts.count or 0, before_ms(start_s), rule, clock)
