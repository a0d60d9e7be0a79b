"""Calendars: named sets of days on which entries do not fire, such as the holidays of a country.

An entry names its calendars (the field `calendar`). A slot whose local date, in the zone of the
entry's schedule, is in one of them is skipped. A schedule without a zone uses the calendar's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from habeat.schedules.schedule import FIRST_MS, LAST_MS
from habeat.schedules.zone import zone_named

DAY = timedelta(days=1)
_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Days in a row that are looked at for the end of a run; longer ones are several runs.
DAYS_IN_A_ROW = 400
#: From one 29 February to the next: 1896 and 1904, for 1900 was no leap year.
LEAP_YEAR_WITHIN = 8


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days: `dates`, sorted, and `yearly` (month, day) in every year."""

    name: str
    dates: tuple[date, ...]
    yearly: tuple[tuple[int, int], ...] = ()
    zone: str = "UTC"

    def has(self, day: date) -> bool:
        """Whether the day is in the calendar."""
        at = bisect_left(self.dates, day)
        is_one = at < len(self.dates) and self.dates[at] == day
        return is_one or (day.month, day.day) in self.yearly

    def next_day(self, after: date) -> date | None:
        """The first day in the calendar after a day; None if there is none."""
        at = bisect_right(self.dates, after)
        found = list(self.dates[at : at + 1])
        for month, day in self.yearly:
            for year in range(after.year, after.year + LEAP_YEAR_WITHIN + 1):
                each = _date(year, month, day)
                if each is not None and each > after:
                    found.append(each)
                    break
        return min(found, default=None)

    def end_of(self, slot_ms: int, zone: str) -> int | None:
        """When the days off that a slot is in end (exclusive); None if it is in none."""
        where = _zone(zone or self.zone)
        day = local_date(slot_ms, where)
        if not self.has(day):
            return None
        for _ in range(DAYS_IN_A_ROW):
            day += DAY
            if not self.has(day):
                break
        return midnight_ms(day, where)

    def next_begin_ms(self, after_ms: int, zone: str) -> int | None:
        """When the next day of the calendar begins, after an instant; None if there is none."""
        where = _zone(zone or self.zone)
        day = self.next_day(local_date(after_ms, where))
        return None if day is None else midnight_ms(day, where)

    def is_over(self, at_ms: int, zone: str) -> bool:
        """Whether an instant is after the last day of the calendar; true if it has none."""
        return self.end_of(at_ms, zone) is None and self.next_begin_ms(at_ms, zone) is None


def local_date(at_ms: int, zone: tzinfo) -> date:
    """The date at an instant, in a zone."""
    return (_EPOCH + min(max(at_ms, FIRST_MS), LAST_MS) * _MS).astimezone(zone).date()


def midnight_ms(day: date, zone: tzinfo) -> int:
    """When a day begins in a zone."""
    begins = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (begins.astimezone(UTC) - _EPOCH) // _MS


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:  # 29 February, or the year 10000
        return None


def _zone(name: str) -> tzinfo:
    return zone_named(name).info
