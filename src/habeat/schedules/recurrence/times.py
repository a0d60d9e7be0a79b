"""The times of day of a recurrence, found by arithmetic and never listed.

BYHOUR, BYMINUTE and BYSECOND can name up to 86,400 times of day. A rule keeps the three lists and
computes the n-th time, or the number of times before a second, when needed.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

from habeat.schedules.recurrence.parts import UNITS_S, Parts
from habeat.schedules.search_budget import examined
from habeat.schedules.zone import DAY_S

Values = tuple[int, ...]

_HOURS, _SIXTY = tuple(range(24)), tuple(range(60))

#: How many groups of 60 units count as one step of the search budget.
_GROUPS_A_STEP = 4
#: For how many remainders the number of units in a day is cached.
_RESTS_KEPT = 16


class Times(Protocol):
    """Seconds of a day, in order."""

    def __len__(self) -> int: ...

    def at(self, place: int, /) -> int:
        """The time at a position, counted from 0."""

    def before(self, second: int, /) -> int:
        """The number of times before a second of the day."""


class ByParts:
    """All combinations of these hours, minutes and seconds, each list sorted."""

    __slots__ = ("_an_hour", "_hours", "_minutes", "_seconds")

    def __init__(self, hours: Values, minutes: Values, seconds: Values) -> None:
        self._hours, self._minutes, self._seconds = hours, minutes, seconds
        self._an_hour = len(minutes) * len(seconds)

    def __len__(self) -> int:
        return len(self._hours) * self._an_hour

    def at(self, place: int, /) -> int:
        hour, rest = divmod(place, self._an_hour)
        minute, second = divmod(rest, len(self._seconds))
        return self._hours[hour] * 3600 + self._minutes[minute] * 60 + self._seconds[second]

    def before(self, second: int, /) -> int:
        hour, within = divmod(second, 3600)
        i = bisect_left(self._hours, hour)
        number = i * self._an_hour
        if i < len(self._hours) and self._hours[i] == hour:
            minute, last = divmod(within, 60)
            j = bisect_left(self._minutes, minute)
            number += j * len(self._seconds)
            if j < len(self._minutes) and self._minutes[j] == minute:
                number += bisect_left(self._seconds, last)
        return number


class Picked:
    """The times at the positions of BYSETPOS, at most 732."""

    __slots__ = ("_times",)

    def __init__(self, times: Times, positions: Values) -> None:
        places = {p - 1 if p > 0 else len(times) + p for p in positions}
        self._times = tuple(times.at(i) for i in sorted(places) if 0 <= i < len(times))

    def __len__(self) -> int:
        return len(self._times)

    def at(self, place: int, /) -> int:
        return self._times[place]

    def before(self, second: int, /) -> int:
        return bisect_left(self._times, second)


class DailyTimes:
    """The times of a rule that is DAILY or rarer: the same every day."""

    #: Whether all units are allowed, so that the slots of whole days can be counted by arithmetic.
    steady = False

    def __init__(self, parts: Parts) -> None:
        times: Times = ByParts(parts.by_hour, parts.by_minute, parts.by_second)
        if parts.freq == "DAILY" and parts.by_set_pos:
            times = Picked(times, parts.by_set_pos)
        self.of_a_day = times

    def first_from(self, day: int, second: int) -> int:
        """The first time at or after a second of the day; -1 if there is none."""
        place = self.of_a_day.before(second)
        return self.of_a_day.at(place) if place < len(self.of_a_day) else -1

    def before(self, day: int, second: int) -> int:
        """How many of a day's times come before a second."""
        return self.of_a_day.before(second)


class UnitTimes:
    """The times of an HOURLY, MINUTELY or SECONDLY rule; they depend on the day.

    A day consists of units. Those in phase on a day have a certain remainder modulo the interval.
    Each unit in phase has the same offsets: BYMINUTE and BYSECOND within an hour, for example.
    """

    def __init__(self, parts: Parts, start_s: int) -> None:
        self._unit_s = UNITS_S[parts.freq]
        self._units = DAY_S // self._unit_s
        self._interval = parts.interval
        self._start_unit = start_s // self._unit_s
        minutes = parts.by_minute if self._unit_s == 3600 else (0,)
        seconds = parts.by_second if self._unit_s >= 60 else (0,)
        offsets: Times = ByParts((0,), minutes, seconds)
        self._offsets = Picked(offsets, parts.by_set_pos) if parts.by_set_pos else offsets
        self._allowed = _allowed_units(parts, self._unit_s)
        self.steady = self._allowed is None

    def first_from(self, day: int, second: int) -> int:
        """The first time at or after a second of the day; -1 if there is none."""
        if not len(self._offsets):
            return -1
        unit, within_s = divmod(second, self._unit_s)
        rest = self._rest(day)
        found = self._unit_from(rest, unit)
        if found == unit:
            place = self._offsets.before(within_s)
            if place < len(self._offsets):
                return unit * self._unit_s + self._offsets.at(place)
            found = self._unit_from(rest, unit + 1)
        return -1 if found < 0 else found * self._unit_s + self._offsets.at(0)

    def before(self, day: int, second: int) -> int:
        """The number of times of a day before a second."""
        unit, within_s = divmod(second, self._unit_s)
        rest = self._rest(day)
        number = self._units_before(rest, unit) * len(self._offsets)
        if within_s and self._unit_from(rest, unit) == unit:
            number += self._offsets.before(within_s)
        return number

    def of_days(self, first_day: int, end_day: int) -> int:
        """The number of times on these days together, for a steady rule."""
        first, end = (
            -((self._start_unit - day * self._units) // self._interval)
            for day in (first_day, end_day)
        )
        return (end - first) * len(self._offsets)

    def _rest(self, day: int) -> int:
        return (self._start_unit - day * self._units) % self._interval

    def _unit_from(self, rest: int, unit: int) -> int:
        """The first unit of a day at or after `unit` that is allowed and in phase; else -1."""
        if self._allowed is not None:
            return self._allowed.first(rest, unit)
        found = unit + (rest - unit) % self._interval
        return found if found < self._units else -1

    def _units_before(self, rest: int, unit: int) -> int:
        if self._allowed is not None:
            return self._allowed.before(rest, unit)
        return max(0, -((rest - min(unit, self._units)) // self._interval))


class _Allowed:
    """The units of a day that the BY parts allow, in groups of 60 units.

    Which units of a group are in phase depends on the group's remainder modulo the interval, so the
    values of the last list are indexed by their remainders.
    """

    def __init__(self, groups: ByParts, values: Values, interval: int, units: int) -> None:
        self._groups = groups
        self._units = units
        self._interval = interval
        by_rest: dict[int, list[int]] = {}
        for value in values:
            by_rest.setdefault(value % interval, []).append(value)
        self._by_rest = {rest: tuple(found) for rest, found in by_rest.items()}
        self._in_a_day: dict[int, int] = {}

    def first(self, rest: int, unit: int) -> int:
        for i in range(self._groups.before(unit - unit % 60), len(self._groups)):
            if i % _GROUPS_A_STEP == 0:
                examined()
            base = self._groups.at(i)
            for value in self._by_rest.get((rest - base) % self._interval, ()):
                if base + value >= unit:
                    return base + value
        return -1

    def before(self, rest: int, unit: int) -> int:
        """The number of units before a unit; the last few results for whole days are cached."""
        if unit < self._units:
            return self._counted(rest, unit)
        number = self._in_a_day.get(rest)
        if number is None:
            if len(self._in_a_day) >= _RESTS_KEPT:
                self._in_a_day.clear()
            number = self._in_a_day[rest] = self._counted(rest, unit)
        return number

    def _counted(self, rest: int, unit: int) -> int:
        number = 0
        for i in range(self._groups.before(unit)):
            if i % _GROUPS_A_STEP == 0:
                examined()
            base = self._groups.at(i)
            found = self._by_rest.get((rest - base) % self._interval, ())
            number += bisect_left(found, unit - base)
        return number


def _allowed_units(parts: Parts, unit_s: int) -> _Allowed | None:
    """The units that the BY parts allow; None if that is every unit."""
    every = (24, 60, 60)  # a list of all values is the same as no list
    lists = (parts.by_hour, parts.by_minute, parts.by_second)
    by = [
        () if len(values) == all_of else values for values, all_of in zip(lists, every, strict=True)
    ]
    hours, minutes, seconds = by[0] or _HOURS, by[1] or _SIXTY, by[2] or _SIXTY
    match unit_s:
        case 3600:
            found = _Allowed(ByParts((0,), (0,), (0,)), hours, parts.interval, 24)
            return found if by[0] else None
        case 60:
            found = _Allowed(ByParts((0,), hours, (0,)), minutes, parts.interval, 1_440)
            return found if by[0] or by[1] else None
        case _:
            found = _Allowed(ByParts(hours, minutes, (0,)), seconds, parts.interval, DAY_S)
            return found if any(by) else None
