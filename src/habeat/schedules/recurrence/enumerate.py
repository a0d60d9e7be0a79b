"""RFC 5545 recurrences over naive local time.

A recurrence has a frequency and an interval, such as every second week. Together they define a
sequence of periods, of which every n-th is *in phase* with dtstart. In such a period the BY parts
choose the days and times; whatever they leave open comes from dtstart (`parts.explicit`).

python-dateutil is only an oracle in the tests. It walks from dtstart to the present for every
answer, searches for the first slot of an impossible rule until the year 9999, reads BYDAY=MO,1TU as
"both", and silently drops the number in FREQ=WEEKLY;BYDAY=1MO. Here, finding a slot in 2026 costs
the same whether dtstart is in 2025 or 1970: a division finds the periods in phase, and the matching
days of a month are computed once (`days`).

Every search counts its steps (`search_budget`), and no list of BY parts is multiplied out, so
neither the time nor the memory of a rule depends on how its text is composed.

COUNT is not handled here. It counts slots, and the zone decides what is a slot (`ending`).
"""

from __future__ import annotations

from bisect import bisect_left
from math import gcd

from habeat.schedules.recurrence.days import MatchingDays, Period
from habeat.schedules.recurrence.parts import UNITS_S, Parts
from habeat.schedules.recurrence.times import DailyTimes, UnitTimes
from habeat.schedules.search_budget import examined
from habeat.schedules.zone import DAY_S, LAST_S

_END_S = LAST_S - 2 * DAY_S  # room for any offset

# The calendar repeats after 400 years. With an interval of one, a rule without a slot in them has
# none at all; with a longer interval it may have one later, which is too late to matter.
SEARCH_YEARS = 400
_SEARCH_DAYS = SEARCH_YEARS * 365 + 97

# With an interval of one, 60 years contain every kind of year wherever they begin, even if a
# century year without a leap day is among them.
_EVERY_YEAR_DAYS = 60 * 366


class Recurrence:
    """The slots of a rule with explicit parts, in local seconds; dtstart is `start_s`.

    Without the excluded seconds, and without the excluded days, counted from 1970-01-01.
    """

    def __init__(
        self,
        parts: Parts,
        start_s: int,
        excluded_s: frozenset[int] = frozenset(),
        excluded_days: frozenset[int] = frozenset(),
    ) -> None:
        self.parts = parts
        self.interval_like = parts.freq in UNITS_S
        self._start_s = start_s
        self._excluded_days = excluded_days
        self._excluded_days_in_order = sorted(excluded_days)
        self._excluded_s = frozenset(s for s in excluded_s if s // DAY_S not in excluded_days)
        self._excluded_slots: list[int] | None = None
        self._slots = _Slots(parts, start_s)
        self._end_s = _END_S if parts.until_s is None else min(parts.until_s, _END_S)

    @property
    def possible(self) -> bool:
        """Whether there is a slot within `SEARCH_YEARS` of dtstart; may raise TooManySteps."""
        end_s = min(self._start_s + _repeats_after(self.parts) * DAY_S, _END_S)
        return self._slots.first_from(self._start_s, end_s) is not None

    def after(self, local_s: int) -> int | None:
        """The first slot strictly after a local second; None if there is no later one."""
        found = max(local_s, self._start_s - 1)
        while found < self._end_s:
            slot = self._slots.first_from(found + 1, self._end_s)
            if slot is None:
                return None
            day = slot // DAY_S
            if day not in self._excluded_days and slot not in self._excluded_s:
                return slot
            examined()
            found = (day + 1) * DAY_S - 1 if day in self._excluded_days else slot
        return None

    def count(self, begin_s: int, end_s: int) -> int:
        """The number of slots in ``begin_s <= slot < end_s``, without enumerating them."""
        begin_s, end_s = max(begin_s, self._start_s), min(end_s, self._end_s + 1)
        if begin_s >= end_s:
            return 0
        excluded = self._excluded_in_order()
        without = bisect_left(excluded, end_s) - bisect_left(excluded, begin_s)
        return self._slots.count(begin_s, end_s) - without - self._on_excluded_days(begin_s, end_s)

    def _on_excluded_days(self, begin_s: int, end_s: int) -> int:
        number, days = 0, self._excluded_days_in_order
        for i in range(bisect_left(days, begin_s // DAY_S), len(days)):
            begin, end = max(begin_s, days[i] * DAY_S), min(end_s, (days[i] + 1) * DAY_S)
            if begin >= end:
                break
            examined()
            number += self._slots.count(begin, end)
        return number

    def _excluded_in_order(self) -> list[int]:
        """The excluded times that would otherwise be slots, in order."""
        if self._excluded_slots is None:
            self._excluded_slots = [
                second
                for second in sorted(self._excluded_s)
                if second >= self._start_s and self._slots.first_from(second, second) == second
            ]
        return self._excluded_slots


def _repeats_after(parts: Parts) -> int:
    """The number of days within which a possible rule has a slot, limited to the search range."""
    by_date = parts.by_month or parts.by_month_day or parts.by_year_day or parts.by_week_no
    if parts.freq in ("YEARLY", "MONTHLY") or by_date:
        return _EVERY_YEAR_DAYS if parts.interval == 1 else _SEARCH_DAYS
    units = DAY_S // UNITS_S.get(parts.freq, DAY_S)
    days = parts.interval // gcd(parts.interval, units) * (7 if parts.freq == "WEEKLY" else 1)
    return min(7 * (days + 2), _SEARCH_DAYS)


class _Slots:
    """The slots of the rule from dtstart on, regardless of its end."""

    def __init__(self, parts: Parts, start_s: int) -> None:
        self._days = MatchingDays(parts)
        self._period = Period(parts, start_s)
        self._times: DailyTimes | UnitTimes
        # Positions within a day or a smaller unit are applied by DailyTimes and UnitTimes.
        self._positions: tuple[int, ...] = ()
        if parts.freq in UNITS_S:
            self._times = UnitTimes(parts, start_s)
        else:
            self._times = DailyTimes(parts)
            self._positions = parts.by_set_pos if parts.freq != "DAILY" else ()

    def first_from(self, from_s: int, end_s: int) -> int | None:
        """The first slot in ``from_s <= slot <= end_s``; None if there is none."""
        find = self._first_picked if self._positions else self._first_of_all
        slot = find(from_s, end_s)
        return slot if slot is not None and slot <= end_s else None

    def count(self, begin_s: int, end_s: int) -> int:
        """The number of slots in ``begin_s <= slot < end_s``."""
        if self._positions:
            return self._picked_before(begin_s, end_s)
        (begin_day, begin), (end_day, end) = divmod(begin_s, DAY_S), divmod(end_s, DAY_S)
        return (
            self._on_days(begin_day, end_day)
            - self._before_on_day(begin_day, begin)
            + self._before_on_day(end_day, end)
        )

    # -- without BYSETPOS: every match is a slot ---------------------------------------------

    def _first_of_all(self, from_s: int, end_s: int) -> int | None:
        (day, second), end_day = divmod(from_s, DAY_S), end_s // DAY_S
        while day <= end_day:
            found = self._days.first_from(self._period.in_phase_from(day), end_day)
            if found is None:
                return None
            if found > day:
                day, second = found, 0
            if self._period.in_phase_from(day) == day:
                at_s = self._times.first_from(day, second)
                if at_s >= 0:
                    return day * DAY_S + at_s
                day, second = day + 1, 0
            examined()
        return None

    def _on_days(self, first_day: int, end_day: int) -> int:
        """The number of slots on whole days."""
        if isinstance(self._times, UnitTimes) and self._times.steady and self._days.all:
            return self._times.of_days(first_day, end_day)
        number, day = 0, first_day
        while day < end_day:
            found = self._days.first_from(self._period.in_phase_from(day), end_day - 1)
            if found is None:
                break
            if self._period.in_phase_from(found) == found:
                number += self._times.before(found, DAY_S)
            day = found + 1
            examined()
        return number

    def _before_on_day(self, day: int, second: int) -> int:
        if not second or not self._falls_on(day):
            return 0
        return self._times.before(day, second)

    def _falls_on(self, day: int) -> bool:
        in_phase = self._period.in_phase_from(day) == day
        return in_phase and self._days.first_from(day, day) == day

    # -- with BYSETPOS: the whole period is needed to find the positions ---------------------

    def _first_picked(self, from_s: int, end_s: int) -> int | None:
        day, end_day = from_s // DAY_S, end_s // DAY_S
        while (first_day := self._period.in_phase_from(day)) <= end_day:
            examined()
            first_day, next_day = self._period.around(first_day)
            found = self._days.first_from(first_day, end_day)
            if found is None:
                return None
            if found < next_day:
                slot = min(
                    (s for s in self._picked(first_day, next_day) if s >= from_s), default=None
                )
                if slot is not None:
                    return slot
            day = max(found, next_day)
        return None

    def _picked_before(self, begin_s: int, end_s: int) -> int:
        number, day, end_day = 0, begin_s // DAY_S, (end_s - 1) // DAY_S
        while (first_day := self._period.in_phase_from(day)) <= end_day:
            examined()
            first_day, next_day = self._period.around(first_day)
            number += sum(begin_s <= s < end_s for s in self._picked(first_day, next_day))
            day = next_day
        return number

    def _picked(self, first_day: int, next_day: int) -> set[int]:
        days, times = self._days.between(first_day, next_day), self._times
        assert isinstance(times, DailyTimes)
        picked = set()
        for position in self._positions:
            place, at = divmod(position - (position > 0), len(times.of_a_day))
            if -len(days) <= place < len(days):
                picked.add(days[place] * DAY_S + times.of_a_day.at(at))
        return picked
