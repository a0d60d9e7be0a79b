"""From local time to UTC: how a wall-clock rule behaves around clock changes.

A rule matches naive local times; a zone is a sequence of segments with a constant offset. Within a
segment, local time and UTC differ by a constant, so the rule's slots are its matches in the
segment's local range. Only the transitions between segments need decisions.

Two sorts of rule differ there. An *interval-like* rule (a star, a range or a step in its seconds,
minutes or hours) counts elapsed time: "every 15 minutes". A *fixed* rule names times of day: "at
02:30".

- Gap, in spring: local times are missing. An interval-like rule continues with the times that
  exist. A fixed rule whose time is missing fires once, at the first instant after the gap, or not
  at all with gap="skip". Several missing times make one slot, because they would coincide.
- Fold, in autumn: local times occur twice. With fold="auto" an interval-like rule fires in both
  passes, a fixed rule only in the first. "first", "last" and "both" override this for either sort.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from habeat.schedules import checks
from habeat.schedules.schedule import Remark
from habeat.schedules.search_budget import examined
from habeat.schedules.zone import DAY_S, FIRST_S, LAST_S, Segment, Zone

#: The first use of a segment takes up to a year's worth of probes of the zone.
_SEGMENT_STEPS, _COUNTED_SEGMENT_STEPS = 100, 20

_GAPS = ("shift", "skip")
_FOLDS = ("auto", "first", "last", "both")


# A segment's start_s, end_s and offset_s; begin and end of the local times used in it.
_Window = tuple[int, int, int, int, int]


class LocalRule(Protocol):
    """A rule over naive local time, in seconds since 1970-01-01 00:00 as if there were no zones."""

    interval_like: bool

    def after(self, local_s: int, /) -> int | None:
        """The first matching local second strictly after `local_s`; None if there is none."""


class CountingRule(LocalRule, Protocol):
    """A rule that can count the matches of a span without enumerating them."""

    def count(self, begin_s: int, end_s: int, /) -> int:
        """The number of matching local seconds in ``begin_s <= second < end_s``."""


def nth_ms(count: Callable[[int, int], int], number: int, after_ms: int, until_ms: int) -> int:
    """The `number`-th slot after `after_ms`; there are at least that many up to `until_ms`.

    Found by bisection: `count` returns the number of slots in ``after < slot <= until``, and each
    call halves the span.
    """
    low_s, high_s = after_ms // 1000, until_ms // 1000
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        found = count(low_s * 1000, middle_s * 1000)
        if found >= number:
            high_s = middle_s
        else:
            number, low_s = number - found, middle_s
    return high_s * 1000


class WallClock:
    """The slots of one rule in one zone, in UTC."""

    def __init__(self, rule: LocalRule, zone: Zone, gap: str, fold: str) -> None:
        checks.one_of("gap", gap, _GAPS)
        checks.one_of("fold", fold, _FOLDS)
        # Elapsed time goes on in both passes of a fold; a time of day is meant once.
        if fold == "auto":
            fold = "both" if rule.interval_like else "first"
        self._rule = rule
        self._zone = zone
        # In a gap an interval-like rule continues with the times that exist: nothing to shift.
        self._shifts = gap == "shift" and not rule.interval_like
        self._first_pass = fold != "last"
        self._second_pass = fold != "first"
        self._window: _Window = (0, 0, 0, 0, 0)

    def next_after_ms(self, after_ms: int) -> int | None:
        """The first slot strictly after `after_ms`; None past the year 9999."""
        after_s = after_ms // 1000
        window = self._window
        if not window[0] <= after_s < window[1]:
            after_s = max(after_s, FIRST_S)
            if after_s > LAST_S:
                return None
            # Keep the segment: the next call is usually about the same one.
            window = self._window = self._window_of(self._zone.segment_at(after_s))
        _, _, offset_s, first, end = window
        local_s = after_s + offset_s
        if local_s < first:
            local_s = first - 1
        found = self._rule.after(local_s)
        if found is not None and found < end:
            return (found - offset_s) * 1000
        return self._in_later_segment(self._zone.segment_at(after_s), local_s, found)

    def count(self, rule: CountingRule, after_ms: int, until_ms: int) -> int:
        """The number of slots in ``after < slot <= until``; `rule` is this clock's own."""
        begin_s = max(after_ms // 1000 + 1, FIRST_S)
        end_s = min(until_ms // 1000, LAST_S) + 1
        total = 0
        while begin_s < end_s:
            examined(_COUNTED_SEGMENT_STEPS)
            segment = self._zone.segment_at(begin_s)
            _, _, offset_s, first, end = self._window_of(segment)
            until_s = min(end_s, segment.end_s)
            local_begin, local_end = max(begin_s + offset_s, first), min(until_s + offset_s, end)
            if local_begin < local_end:
                total += rule.count(local_begin, local_end)
            if begin_s == segment.start_s and self._shifts_to(segment):
                own = local_begin == begin_s + offset_s < local_end
                total += not (own and rule.count(local_begin, local_begin + 1))
            begin_s = until_s
        return total

    def remark(self, slot_ms: int) -> Remark:
        """Whether a slot replaces a missing local time, or its local time occurs twice."""
        slot_s = min(max(slot_ms // 1000, FIRST_S), LAST_S)
        segment = self._zone.segment_at(slot_s)
        local_s = slot_s + segment.offset_s
        if slot_s == segment.start_s and self._shifts_to(segment):
            return "gap"
        if local_s < segment.repeat_until:
            return "fold second"
        return "fold first" if local_s >= segment.repeat_from else ""

    def _in_later_segment(self, segment: Segment, local_s: int, found: int | None) -> int | None:
        """The first slot after `segment`, which has no more slots after `local_s`.

        `found` is the rule's next match after `local_s`, regardless of the zone; None if there is
        none. Within a fold, None does not end the search, because earlier matches occur again.
        """
        while found is not None or local_s >= segment.repeat_from:
            from_s = segment.end_s
            if found is not None and local_s < segment.repeat_from:
                # Nothing matches before `found`, so skip the segments until shortly before it.
                from_s = max(from_s, found - segment.offset_s - 2 * DAY_S)
            if from_s > LAST_S:
                return None
            examined(_SEGMENT_STEPS)
            segment = self._zone.segment_at(from_s)
            if from_s == segment.start_s and self._shifts_to(segment):
                return from_s * 1000
            _, _, offset_s, first, end = self._window_of(segment)
            local_s = max(from_s + offset_s, first) - 1
            found = self._rule.after(local_s)
            if found is not None and found < end:
                return (found - offset_s) * 1000
        return None

    def _shifts_to(self, segment: Segment) -> bool:
        """Whether the first instant of a segment replaces a time missing before it."""
        begin = segment.start_s + segment.offset_s
        if not self._shifts or segment.missing_from >= begin:
            return False
        missing = self._rule.after(segment.missing_from - 1)
        return missing is not None and missing < begin

    def _window_of(self, segment: Segment) -> _Window:
        first = segment.start_s + segment.offset_s
        end = segment.end_s + segment.offset_s
        if not self._second_pass:
            first = max(first, segment.repeat_until)
        if not self._first_pass:
            end = min(end, segment.repeat_from)
        return segment.start_s, segment.end_s, segment.offset_s, first, end
