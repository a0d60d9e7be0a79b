"""What ends a recurrence rule: an instant, or a number of slots.

COUNT is arithmetic. To find the last slot of COUNT=100000 by going there took ten seconds for a
rule with a slot a month, and that was whenever its definition was read.
"""

from __future__ import annotations

from functools import lru_cache

from habeat.schedules import search_budget
from habeat.schedules.recurrence.enumerate import Recurrence
from habeat.schedules.recurrence.parts import Parts
from habeat.schedules.wallclock import WallClock, nth_ms
from habeat.schedules.zone import DAY_S, zone_named

#: Slots are counted by spans, of which this long a one takes a few thousand steps at most. Where
#: it takes few, the next one is twice as long.
_SPAN_MS = 128 * DAY_S * 1000
_CHEAP_STEPS = 200


class NoEnd:
    """Nothing ends the rule, or its own parts do (an UNTIL in local time)."""

    def by(self, instant_ms: int) -> int:
        """An instant, or the end of the rule if that is earlier."""
        return instant_ms


class Until(NoEnd):
    """An UNTIL in UTC."""

    def __init__(self, until_ms: int) -> None:
        self._until_ms = until_ms

    def by(self, instant_ms: int) -> int:
        return min(instant_ms, self._until_ms)


class CountedEnd(NoEnd):
    """A COUNT: the rule ends with its n-th slot, and excluded ones count.

    How many slots a span has is arithmetic. Up to where they were counted is remembered, so that
    each question goes on from there; and it is counted span by span, so that even a question that
    uses up its budget leaves the next one less to do.
    """

    def __init__(self, count: int, start_ms: int, rule: Recurrence, clock: WallClock) -> None:
        self._count = count
        self._rule = rule
        self._clock = clock
        #: An instant, and how many slots there are up to it: fewer than the count.
        self._counted = (start_ms, 0)
        self._last_ms: int | None = None

    def by(self, instant_ms: int) -> int:
        if self._last_ms is None:
            self._count_to(instant_ms)
        return instant_ms if self._last_ms is None else min(instant_ms, self._last_ms)

    def _count_to(self, until_ms: int) -> None:
        """Go on to an instant, or to the last slot."""
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
    """An instant before a local time, in whatever zone that is."""
    return (start_s - 2 * DAY_S) * 1000


@lru_cache(maxsize=1024)
def counted_end(parts: Parts, start_s: int, tz: str, gap: str, fold: str) -> CountedEnd:
    """Shared by the schedules that say the same: what one has counted, the others know."""
    rule = Recurrence(parts, start_s)
    clock = WallClock(rule, zone_named(tz), gap, fold)
    return CountedEnd(parts.count or 0, before_ms(start_s), rule, clock)
