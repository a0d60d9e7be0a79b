"""RFC 5545 recurrences over naive local time.

A recurrence is a frequency and an interval: every second week, say. That makes a row of periods
of which every n-th is *in phase* with dtstart. In a period in phase the BY parts choose the days
and the times; what they leave open comes from dtstart (`explicit`).

python-dateutil is not used, only compared with (tests/oracles): it walks from dtstart to the
present for every answer, looks for an impossible rule's first slot until the year 9999, reads
BYDAY=MO,1TU as "both", and drops the number in FREQ=WEEKLY;BYDAY=1MO without a word. Here a
question about 2026 costs the same whether dtstart is of 2025 or of 1970: which periods are in
phase is a division, and which days of a month match is worked out once a month (`recurrence_days`).

COUNT is not looked at here: it counts slots, and what is a slot is decided by the zone (`rrule`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

from habeat.core.schedule.recurrence_days import MatchingDays, Period
from habeat.core.schedule.recurrence_parts import UNITS_S, Parts
from habeat.core.schedule.zone import DAY_S, LAST_S

_END_S = LAST_S - 2 * DAY_S  # room for any offset

# The calendar repeats after 400 years: a rule without a slot in them has none, with an interval
# of one; with a longer one it may, and nobody waits for it.
SEARCH_YEARS = 400
_SEARCH_S = SEARCH_YEARS * 365 * DAY_S + 97 * DAY_S


class Recurrence:
    """The local seconds of a rule whose parts are explicit; dtstart is `start_s`."""

    def __init__(
        self, parts: Parts, start_s: int, excluded_s: frozenset[int] = frozenset()
    ) -> None:
        self.parts = parts
        self.interval_like = parts.freq in UNITS_S
        self._start_s = start_s
        self._excluded_s = excluded_s
        self._slots = _Slots(parts, start_s)
        self._end_s = _END_S if parts.until_s is None else min(parts.until_s, _END_S)
        self.possible = self._slots.first_from(start_s, start_s + _SEARCH_S) is not None

    def after(self, local_s: int) -> int | None:
        """The first slot strictly after a local second; None when there is no later one."""
        found = max(local_s, self._start_s - 1)
        while found < self._end_s:
            slot = self._slots.first_from(found + 1, self._end_s)
            if slot is None or slot not in self._excluded_s:
                return slot
            found = slot
        return None


class _Slots:
    """What the rule has from dtstart on, whatever ends it."""

    def __init__(self, parts: Parts, start_s: int) -> None:
        self._days = MatchingDays(parts)
        self._period = Period(parts, start_s)
        self._times = _UnitTimes(parts, start_s) if parts.freq in UNITS_S else _Times(parts)
        # A position in a day or less is one among its times: see _Times and _UnitTimes.
        long = parts.freq in ("YEARLY", "MONTHLY", "WEEKLY")
        self._positions = parts.by_set_pos if long else ()

    def first_from(self, from_s: int, end_s: int) -> int | None:
        """The first slot in ``from_s <= slot <= end_s``."""
        find = self._first_picked if self._positions else self._first_of_all
        slot = find(from_s, end_s)
        return slot if slot is not None and slot <= end_s else None

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
        return None

    def _first_picked(self, from_s: int, end_s: int) -> int | None:
        """The same with BYSETPOS, which needs the whole of a period."""
        day, end_day = from_s // DAY_S, end_s // DAY_S
        while day <= end_day:
            first_day, next_day = self._period.around(self._period.in_phase_from(day))
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

    def _picked(self, first_day: int, next_day: int) -> list[int]:
        days, times = self._days.between(first_day, next_day), self._times.of_a_day
        picked = []
        for position in self._positions:
            place, at = divmod(position - (position > 0), len(times))
            if -len(days) <= place < len(days):
                picked.append(days[place] * DAY_S + times[at])
        return picked


class _Times:
    """The times of a day of a rule that is daily or rarer: the same ones every day."""

    def __init__(self, parts: Parts) -> None:
        self.of_a_day: Sequence[int] = _product(parts.by_hour, parts.by_minute, parts.by_second)
        if parts.freq == "DAILY":
            self.of_a_day = _at_positions(self.of_a_day, parts.by_set_pos)

    def first_from(self, day: int, second: int) -> int:
        """The first time from a second of the day on, or -1."""
        i = bisect_left(self.of_a_day, second)
        return self.of_a_day[i] if i < len(self.of_a_day) else -1


class _UnitTimes(_Times):
    """The times of a day of a rule by hours, minutes or seconds; they depend on the day.

    A day has so many units. In phase on a day are those with a certain rest modulo the interval,
    so the units that BYHOUR and its like allow are kept by that rest. Each unit in phase then
    has the same offsets: the BYMINUTE and BYSECOND of an hour.
    """

    def __init__(self, parts: Parts, start_s: int) -> None:
        self._unit_s = UNITS_S[parts.freq]
        self._units = DAY_S // self._unit_s
        self._interval = parts.interval
        self._start_unit = start_s // self._unit_s
        self._by_rest = _units_by_rest(
            self._unit_s, parts.interval, parts.by_hour, parts.by_minute, parts.by_second
        )
        minutes = parts.by_minute if self._unit_s == 3600 else (0,)
        seconds = parts.by_second if self._unit_s >= 60 else (0,)
        self.of_a_day = ()  # none that every day has
        self._offsets = _at_positions(_product((0,), minutes, seconds), parts.by_set_pos)

    def first_from(self, day: int, second: int) -> int:
        rest = (self._start_unit - day * self._units) % self._interval
        units: Sequence[int] = range(rest, self._units, self._interval)
        if self._by_rest is not None:
            units = self._by_rest.get(rest, ())
        if not self._offsets:
            return -1
        unit, within_s = divmod(second, self._unit_s)
        i = bisect_left(units, unit)
        if i < len(units) and units[i] == unit:
            j = bisect_left(self._offsets, within_s)
            if j < len(self._offsets):
                return unit * self._unit_s + self._offsets[j]
            i += 1
        return units[i] * self._unit_s + self._offsets[0] if i < len(units) else -1


@lru_cache(maxsize=256)
def _units_by_rest(
    unit_s: int,
    interval: int,
    hours: tuple[int, ...],
    minutes: tuple[int, ...],
    seconds: tuple[int, ...],
) -> dict[int, list[int]] | None:
    """The units of a day that the BY parts allow, by their rest; None if that is all of them."""
    by = (hours, *((minutes,) if unit_s < 3600 else ()), *((seconds,) if unit_s < 60 else ()))
    if not any(by):
        return None
    hours, minutes, seconds = hours or range(24), minutes or range(60), seconds or range(60)  # type: ignore[assignment]
    wanted = _product(hours, minutes if unit_s < 3600 else (0,), seconds if unit_s < 60 else (0,))
    by_rest: dict[int, list[int]] = {}
    for second in wanted:
        by_rest.setdefault(second // unit_s % interval, []).append(second // unit_s)
    return by_rest


def _product(hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int]) -> list[int]:
    return [h * 3600 + m * 60 + s for h, m, s in product(hours, minutes, seconds)]


def _at_positions(values: Sequence[int], positions: tuple[int, ...]) -> Sequence[int]:
    """The values at BYSETPOS, all of them without."""
    if not positions:
        return values
    places = {p - 1 if p > 0 else len(values) + p for p in positions}
    return [values[place] for place in sorted(places) if 0 <= place < len(values)]
