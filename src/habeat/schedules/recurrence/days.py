"""Which days a recurrence may fall on, and which periods are in phase with its dtstart.

A day is a whole number of days since 1970-01-01. Every BY part about days is a condition on a
single day. A numbered weekday (1MO) is counted within the month, or within the year if the
frequency is yearly and there is no BYMONTH.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import isleap, monthrange
from collections.abc import Iterator
from datetime import MAXYEAR, date

from habeat.schedules.recurrence.parts import EPOCH_ORDINAL, UNITS_S, Parts
from habeat.schedules.search_budget import examined
from habeat.schedules.zone import DAY_S

#: A year and its neighbours, which BYSETPOS needs repeatedly; about 100 bytes a month.
_MONTHS_KEPT = 24

#: There are no dates from this month on.
_END_MONTH = (MAXYEAR + 1) * 12


class MatchingDays:
    """The days that the BY parts allow."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._of_year = parts.freq == "YEARLY" and not parts.by_month
        self._months: dict[int, bytes] = {}
        #: The cost of a month in steps; computing a week's number takes several dates.
        self._steps_a_month = 10 if parts.by_week_no else 2
        #: Whether every day matches.
        self.all = not (
            parts.by_month
            or parts.by_week_no
            or parts.by_year_day
            or parts.by_month_day
            or parts.by_day
        )

    def first_from(self, day: int, end_day: int) -> int | None:
        """The first matching day in ``day <= found <= end_day``; None if there is none."""
        if day > end_day:
            return None
        month = _month_index(day)
        while month < _END_MONTH:
            before = _first_of(month) - 1
            if before >= end_day:
                return None
            days = self._in_month(month)
            i = bisect_left(days, day - before) if day > before else 0
            if i < len(days):
                found = before + days[i]
                return found if found <= end_day else None
            month += 1
        return None

    def between(self, first_day: int, next_day: int) -> list[int]:
        """The matching days in ``first_day <= day < next_day``."""
        found: list[int] = []
        for month in range(_month_index(first_day), _month_index(next_day - 1) + 1):
            before = _first_of(month) - 1
            found += [
                before + day
                for day in self._in_month(month)
                if first_day <= before + day < next_day
            ]
        return found

    def _in_month(self, month: int) -> bytes:
        """The matching days of a month, 1–31, as bytes."""
        days = self._months.get(month)
        if days is None:
            if len(self._months) >= _MONTHS_KEPT:
                self._months.clear()
            days = self._months[month] = bytes(self._matching(month))
        return days

    def _matching(self, index: int) -> Iterator[int]:
        year, month = divmod(index, 12)
        parts = self._parts
        if parts.by_month and month + 1 not in parts.by_month:
            examined()
            return
        examined(self._steps_a_month)
        first, year_length = _first_of(index), 366 if isleap(year) else 365
        before = first - _first_of(year * 12)
        first_weekday, length = monthrange(year, month + 1)
        for day in range(1, length + 1):
            of_month, of_year = (day, length), (before + day, year_length)
            if (
                (not parts.by_month_day or _counted_in(parts.by_month_day, *of_month))
                and (not parts.by_year_day or _counted_in(parts.by_year_day, *of_year))
                and (
                    not parts.by_day
                    or self._weekday((first_weekday + day - 1) % 7, of_month, of_year)
                )
                and (not parts.by_week_no or self._week(first + day - 1))
            ):
                yield day

    def _weekday(self, weekday: int, of_month: tuple[int, int], of_year: tuple[int, int]) -> bool:
        wanted = self._parts.by_day
        if (weekday, 0) in wanted:
            return True
        day, length = of_year if self._of_year else of_month
        nth, nth_last = (day + 6) // 7, -((length - day) // 7 + 1)
        return (weekday, nth) in wanted or (weekday, nth_last) in wanted

    def _week(self, day: int) -> bool:
        """Whether the day's week number matches; week 1 is the first with at least four days."""
        start = _week_start(day, self._parts.wkst)
        year = date.fromordinal(min(start + 3 + EPOCH_ORDINAL, date.max.toordinal())).year
        first, following = (self._first_week(y) for y in (year, year + 1))
        return _counted_in(
            self._parts.by_week_no, (start - first) // 7 + 1, (following - first) // 7
        )

    def _first_week(self, year: int) -> int:
        """The first day of week 1 of a year, the week that contains 4 January."""
        # date() ends at year 9999; the year 10000 begins 365 days later.
        fourth = date(min(year, MAXYEAR), 1, 4).toordinal() + 365 * (year > MAXYEAR) - EPOCH_ORDINAL
        return _week_start(fourth, self._parts.wkst)


class Period:
    """The periods of a rule (years, months, weeks, days or units); every n-th is in phase."""

    def __init__(self, parts: Parts, start_s: int) -> None:
        self._freq = parts.freq
        self._interval = parts.interval
        self._wkst = parts.wkst
        self._units = DAY_S // UNITS_S.get(parts.freq, DAY_S)
        if self._units > 1 or parts.freq == "DAILY":
            self._start = start_s * self._units // DAY_S
        else:
            self._start = self._index(start_s // DAY_S)

    def in_phase_from(self, day: int) -> int:
        """The first day from `day` on that belongs to a period in phase, or contains one.

        It may be later than the last date.
        """
        if self._freq in UNITS_S:
            behind = (self._start - day * self._units) % self._interval
            return day + behind // self._units
        index = self._index(day)
        behind = (self._start - index) % self._interval
        return self._first_day(index + behind) if behind else day

    def around(self, day: int) -> tuple[int, int]:
        """The first day of the period that contains `day`, and the first of the next period.

        `day` must be a valid date; later days belong to no period.
        """
        index = self._index(day)
        return self._first_day(index), self._first_day(index + 1)

    def _index(self, day: int) -> int:
        match self._freq:
            case "YEARLY":
                return _month_index(day) // 12
            case "MONTHLY":
                return _month_index(day)
            case "WEEKLY":
                return _week_start(day, self._wkst) // 7
            case _:
                return day

    def _first_day(self, index: int) -> int:
        match self._freq:
            case "YEARLY":
                return _first_of(index * 12)
            case "MONTHLY":
                return _first_of(index)
            case "WEEKLY":
                # Weeks with the same first weekday all have the same remainder modulo 7.
                return index * 7 + (self._wkst - 3) % 7
            case _:
                return index


def _counted_in(wanted: tuple[int, ...], number: int, length: int) -> bool:
    """Whether a number is in `wanted`, counted from the start or, if negative, from the end."""
    return number in wanted or number - length - 1 in wanted


def _week_start(day: int, wkst: int) -> int:
    return day - (day + 3 - wkst) % 7  # 1970-01-01 was a Thursday, weekday 3


def _month_index(day: int) -> int:
    civil = date.fromordinal(max(1, min(day + EPOCH_ORDINAL, date.max.toordinal())))
    return civil.year * 12 + civil.month - 1


def _first_of(month: int) -> int:
    year, month = divmod(month, 12)
    if year > MAXYEAR:
        # There are no such dates; any value later than every limit will do.
        return date.max.toordinal() + 1 - EPOCH_ORDINAL + (year - MAXYEAR - 1) * 366 + month * 31
    return date(max(year, 1), month + 1, 1).toordinal() - EPOCH_ORDINAL
