"""Schedules: rules that yield slots. The functions here make them from what people write."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

from habeat.errors import ValidationError
from habeat.schedules.cron import Cron
from habeat.schedules.crontab import Crontab, Field
from habeat.schedules.interval import MINIMUM_MS, Interval
from habeat.schedules.local import Fold, Gap
from habeat.schedules.once import Once
from habeat.schedules.recurrence.rrule import RRule
from habeat.schedules.registry import from_json, register
from habeat.schedules.schedule import LAST_MS, Remark, Run, Schedule, to_ms
from habeat.schedules.solar import Solar

__all__ = [
    "Cron",
    "Crontab",
    "Interval",
    "Once",
    "RRule",
    "Remark",
    "Run",
    "Schedule",
    "Solar",
    "cron",
    "crontab",
    "every",
    "from_json",
    "once",
    "register",
    "rrule",
    "solar",
]


def every(
    seconds: float | timedelta,
    offset: float | timedelta | None = None,
    align: Literal["own", "epoch"] = "own",
) -> Interval:
    """Every so many seconds (at least 0.1), `offset` seconds after the grid of the Unix epoch.

    From a minute up an entry gets an offset of its own when none is given; align="epoch" keeps
    it on the grid. Raises ValidationError for fractions of a millisecond.
    """
    every_ms = _whole_ms("seconds", seconds)
    offset_ms = None if offset is None else _whole_ms("offset", offset)
    if not MINIMUM_MS <= every_ms <= LAST_MS:  # said in the words of this call, not of the JSON
        raise ValidationError("seconds", seconds, f"{MINIMUM_MS / 1000:g} or more")
    if offset_ms is not None and not 0 <= offset_ms < every_ms:
        raise ValidationError("offset", offset, f"0 to less than the period ({seconds})")
    return Interval(every_ms, offset_ms, align)


def cron(expression: str, tz: str | None = None, gap: Gap = "shift", fold: Fold = "auto") -> Cron:
    """A cron expression of 5 fields, or of 6 with the seconds first, in the zone `tz`.

    Without a `tz` the entry's zone is used. `gap` and `fold` say what happens to local times
    that are missing or come twice. Raises ValidationError naming the field.
    """
    return Cron(expression, tz, gap, fold)


def crontab(
    minute: Field = "*",
    hour: Field = "*",
    day_of_week: Field = "*",
    day_of_month: Field = "*",
    month_of_year: Field = "*",
    *,
    tz: str | None = None,
    gap: Gap = "shift",
    fold: Fold = "auto",
) -> Crontab:
    """Celery's crontab: the same fields, all of which must match; and a zone, see `cron`."""
    return Crontab(minute, hour, day_of_week, day_of_month, month_of_year, tz, gap, fold)


def once(at: datetime) -> Once:
    """A single slot at an aware datetime, to the millisecond (rounded down)."""
    return Once(to_ms("at", at))


def rrule(
    text: str,
    tz: str | None = None,
    dtstart: datetime | None = None,
    gap: Gap = "shift",
    fold: Fold = "auto",
) -> RRule:
    """A recurrence rule of RFC 5545, such as ``"FREQ=MONTHLY;BYDAY=1MO"``, in the zone `tz`.

    It begins at `dtstart`, an aware datetime, from which it takes the time of day and all else
    that the text leaves open; or at a DTSTART in the text. One of them is required. `gap` and
    `fold` as for `cron`. Raises ValidationError naming the part of the text.
    """
    if isinstance(dtstart, str):
        raise ValidationError("dtstart", dtstart, "a datetime with a timezone")
    return RRule(text, tz, dtstart, gap, fold)


def solar(event: str, lat: float, lon: float) -> Solar:
    """An event of the sun, named as in Celery: sunrise, solar_noon, sunset, dawn_civil …

    `lat` and `lon` in degrees, north and east positive. Computing needs ``habeat[solar]``.
    """
    return Solar(event, lat, lon)


def _whole_ms(field: str, value: object) -> int:
    if isinstance(value, timedelta):
        ms, rest = divmod(value, timedelta(milliseconds=1))
        whole = not rest
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            ms = round(value * 1000)
            # 0.1 s is no exact float: what counts is the decimal number that was written.
            whole = Fraction(str(value)) * 1000 == ms
        except (OverflowError, ValueError):
            whole = False
    else:
        whole = False
    if not whole:
        raise ValidationError(field, value, "seconds or a timedelta, in whole milliseconds")
    return ms
