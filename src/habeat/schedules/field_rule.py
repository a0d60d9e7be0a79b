"""A cron-like rule over naive local time: which seconds of which days.

Local time here is a whole number of seconds since 1970-01-01 00:00 as if there were no zones,
and a day is a whole number of days since then. Finding a slot creates no datetime: the days of the
last month and the minutes of a day are sorted tuples, and the next slot takes two bisections.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from habeat.schedules.search_budget import examined
from habeat.schedules.zone import DAY_S, LAST_S

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LAST_DAY = LAST_S // DAY_S - 1  # a day before UTC's own limit leaves room for any offset

# A month depends on its first weekday and on whether the year is a leap year. These 28 years have
# all combinations.
_YEARS_OF_EVERY_KIND = range(2000, 2028)

LAST = -1


@dataclass(frozen=True)
class Days:
    """The days of a rule: months, days of month and days of week.

    `of_month` and `of_week` are None for "any". A negative day of month counts from the end: LAST
    is the last day, -2 the day before. Sunday is 0. `nth_of_week` has (weekday, n) for the n-th
    such weekday of a month, n may be LAST; it adds to the weekdays of `of_week`. `nearest` has days
    of month that stand for the nearest Monday to Friday in the same month. With `either`, Vixie
    cron's rule, day of month or day of week must match; otherwise both must. `years` is None for
    every year.
    """

    months: tuple[int, ...]
    of_month: tuple[int, ...] | None = None
    of_week: tuple[int, ...] | None = None
    nth_of_week: tuple[tuple[int, int], ...] = ()
    either: bool = False
    nearest: tuple[int, ...] = ()
    years: tuple[int, ...] | None = None

    def matching(self, year: int, month: int) -> Iterator[int]:
        """The matching days of a month, in order."""
        if month not in self.months or (self.years is not None and year not in self.years):
            return
        first_weekday, length = monthrange(year, month)
        nearest = [self._nearest(day, first_weekday, length) for day in self.nearest]
        for day in range(1, length + 1):
            weekday = (first_weekday + day) % 7
            by_month = self._by_month(day, length) or day in nearest
            by_week = self._by_week(day, weekday, length)
            if (by_month or by_week) if self.either else (by_month and by_week):
                yield day

    def _by_month(self, day: int, length: int) -> bool:
        wanted = self.of_month
        return wanted is None or day in wanted or day - length - 1 in wanted

    @staticmethod
    def _nearest(day: int, first_weekday: int, length: int) -> int:
        """The Monday to Friday nearest to a day in the same month; 0 if the month lacks the day."""
        day = length + 1 + day if day < 0 else day
        if not 1 <= day <= length:
            return 0
        match (first_weekday + day) % 7:
            case 6:  # Saturday
                return day - 1 if day > 1 else 3
            case 0:  # Sunday
                return day + 1 if day < length else day - 2
        return day

    def _by_week(self, day: int, weekday: int, length: int) -> bool:
        if self.nth_of_week:
            nth = (weekday, (day + 6) // 7)
            last = (weekday, LAST)
            numbered = nth in self.nth_of_week or (day + 7 > length and last in self.nth_of_week)
            return numbered or (self.of_week is not None and weekday in self.of_week)
        return self.of_week is None or weekday in self.of_week

    def first_year_from(self, year: int) -> int | None:
        """The first year from `year` on that may have a matching day; None if there is none."""
        if self.years is None:
            return year
        i = bisect_left(self.years, year)
        return self.years[i] if i < len(self.years) else None

    def possible(self) -> bool:
        """Whether any day matches: 30 February does not."""
        return any(
            next(self.matching(year, month), 0)
            for year in self.years or _YEARS_OF_EVERY_KIND
            for month in self.months
        )


class _Month:
    """The matching days of one month, as days since 1970-01-01."""

    __slots__ = ("days", "end_day", "first_day")

    def __init__(self, first_day: int, end_day: int, days: tuple[int, ...]) -> None:
        self.first_day = first_day
        self.end_day = end_day
        self.days = days


@lru_cache(maxsize=4096)
def _month(days: Days, year: int, month: int) -> _Month:
    first_day = date(year, month, 1).toordinal() - _EPOCH_ORDINAL
    matching = tuple(first_day + day - 1 for day in days.matching(year, month))
    return _Month(first_day, first_day + monthrange(year, month)[1], matching)


@lru_cache(maxsize=1024)
def _minutes_of_day(hours: tuple[int, ...], minutes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(hour * 60 + minute for hour in hours for minute in minutes)


#: Equal schedules share one rule; each cache of rules has this many.
RULES_KEPT = 1_024


class Rule:
    """Seconds, minutes and hours on certain days; each is sorted and not empty."""

    __slots__ = (
        "_at_first_s",
        "_minutes_of_day",
        "_month",
        "days",
        "hours",
        "interval_like",
        "minutes",
        "seconds",
    )

    def __init__(
        self,
        days: Days,
        hours: tuple[int, ...],
        minutes: tuple[int, ...],
        seconds: tuple[int, ...] = (0,),
        *,
        interval_like: bool,
    ) -> None:
        self.days = days
        self.hours = hours
        self.minutes = minutes
        self.seconds = seconds
        self.interval_like = interval_like
        self._minutes_of_day = _minutes_of_day(hours, minutes)
        self._at_first_s = self._minutes_of_day[0] * 60 + seconds[0]
        self._month = _Month(0, 0, ())

    def after(self, local_s: int) -> int | None:
        """The first matching local second strictly after `local_s`; None past the year 9999."""
        day, second = divmod(local_s + 1, DAY_S)
        month = self._month
        if not month.first_day <= day < month.end_day:
            if day > _LAST_DAY:
                return None
            month = self._month = self._month_of(day)
        days = month.days
        i = bisect_left(days, day)
        if i < len(days) and days[i] == day:
            at_s = self._on_day(second)
            if at_s >= 0:
                return day * DAY_S + at_s
            i += 1
        if i < len(days):
            return days[i] * DAY_S + self._at_first_s if days[i] <= _LAST_DAY else None
        return self._in_later_month(month.end_day)

    def count(self, begin_s: int, end_s: int) -> int:
        """The number of matching local seconds in ``begin_s <= second < end_s``."""
        (begin_day, begin), (end_day, end) = divmod(begin_s, DAY_S), divmod(end_s, DAY_S)
        whole_days, day = 0, begin_day
        while day < end_day:
            start_day = self._year_from(day)
            if start_day is None or start_day >= end_day:
                break
            day, month = start_day, self._month_of(start_day)
            until = min(month.end_day, end_day)
            examined()
            whole_days += bisect_left(month.days, until) - bisect_left(month.days, day)
            day = until
        per_day = len(self._minutes_of_day) * len(self.seconds)
        return (
            whole_days * per_day
            - self._before_on_day(begin_day, begin)
            + self._before_on_day(end_day, end)
        )

    def _before_on_day(self, day: int, second_of_day: int) -> int:
        """The number of matching seconds of a day before `second_of_day`."""
        days = self._month_of(day).days
        at = bisect_left(days, day)
        if at == len(days) or days[at] != day:
            return 0
        minute, second = divmod(second_of_day, 60)
        minutes, seconds = self._minutes_of_day, self.seconds
        i = bisect_left(minutes, minute)
        in_minute = i < len(minutes) and minutes[i] == minute
        return i * len(seconds) + (bisect_left(seconds, second) if in_minute else 0)

    def _on_day(self, second_of_day: int) -> int:
        """The first matching second of a day at or after `second_of_day`; -1 if there is none."""
        minute, second = divmod(second_of_day, 60)
        minutes, seconds = self._minutes_of_day, self.seconds
        i = bisect_left(minutes, minute)
        if i < len(minutes) and minutes[i] == minute:
            if second <= seconds[0]:
                return minute * 60 + seconds[0]
            j = bisect_left(seconds, second)
            if j < len(seconds):
                return minute * 60 + seconds[j]
            i += 1
        return minutes[i] * 60 + seconds[0] if i < len(minutes) else -1

    def _in_later_month(self, day: int) -> int | None:
        """The first match on or after `day`, which is the first of a month."""
        while day <= _LAST_DAY:
            examined()
            start_day = self._year_from(day)
            if start_day is None:
                return None
            month = self._month_of(start_day)
            if month.days:
                found = month.days[0]
                return found * DAY_S + self._at_first_s if found <= _LAST_DAY else None
            day = month.end_day
        return None

    def _year_from(self, day: int) -> int | None:
        """`day`, or the first day of the next year that the rule allows; None if there is none."""
        year = date.fromordinal(day + _EPOCH_ORDINAL).year
        allowed = self.days.first_year_from(year)
        if allowed is None or allowed == year:
            return None if allowed is None else day
        return date(allowed, 1, 1).toordinal() - _EPOCH_ORDINAL

    def _month_of(self, day: int) -> _Month:
        civil = date.fromordinal(day + _EPOCH_ORDINAL)
        return _month(self.days, civil.year, civil.month)
