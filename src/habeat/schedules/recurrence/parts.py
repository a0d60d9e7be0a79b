"""The parts of a recurrence rule, as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from habeat.schedules.zone import DAY_S

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

#: The frequencies that count elapsed time, in seconds.
UNITS_S = {"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}


@dataclass(frozen=True)
class Parts:
    """A rule of RFC 5545; an empty BY part sets no condition.

    Monday is 0. `by_day` has (weekday, n), with n = 0 for "every". `until_s` is in local
    time, `until_ms` an instant; a rule has one of them, or a `count`, or no end.
    """

    freq: str
    interval: int = 1
    count: int | None = None
    until_s: int | None = None
    until_ms: int | None = None
    wkst: int = 0
    by_month: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[tuple[int, int], ...] = ()
    by_hour: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_second: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()


def explicit(parts: Parts, start_s: int) -> Parts:
    """The same rule with explicit values for everything it takes from dtstart (local seconds)."""
    day, second = divmod(start_s, DAY_S)
    unit_s = UNITS_S.get(parts.freq, DAY_S)
    changes: dict[str, tuple[object, ...]] = {}
    if not parts.by_second and unit_s > 1:
        changes["by_second"] = (second % 60,)
    if not parts.by_minute and unit_s > 60:
        changes["by_minute"] = (second // 60 % 60,)
    if not parts.by_hour and unit_s > 3600:
        changes["by_hour"] = (second // 3600,)
    if not (parts.by_week_no or parts.by_year_day or parts.by_month_day or parts.by_day):
        changes |= _days(parts, day)
    return replace(parts, **changes)  # type: ignore[arg-type]


def _days(parts: Parts, day: int) -> dict[str, tuple[object, ...]]:
    civil = date.fromordinal(day + EPOCH_ORDINAL)
    match parts.freq:
        case "YEARLY":
            return {"by_month": parts.by_month or (civil.month,), "by_month_day": (civil.day,)}
        case "MONTHLY":
            return {"by_month_day": (civil.day,)}
        case "WEEKLY":
            return {"by_day": ((civil.weekday(), 0),)}
        case _:
            return {}
