"""The functions that make schedules from what users write.

They are not in the package itself, where `cron` would be a function and a module at once: a type
checker takes it for the module.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

from habeat.errors import ValidationError
from habeat.schedules.cron import Cron
from habeat.schedules.crontab import Crontab, Field
from habeat.schedules.interval import MINIMUM_MS, Interval, Once
from habeat.schedules.local import Fold, Gap
from habeat.schedules.recurrence.rrule import RRule
from habeat.schedules.schedule import LAST_MS, to_ms
from habeat.schedules.solar import Solar


def every(
    seconds: float | timedelta,
    offset: float | timedelta | None = None,
    align: Literal["own", "epoch"] = "own",
) -> Interval:
    """Every `seconds` (at least 0.1), `offset` seconds after multiples counted from the Unix epoch.

    Without an offset, an entry with a period of a minute or more gets its own; align="epoch" keeps
    it on the multiples. Raises ValidationError for fractions of a millisecond.
    """
    every_ms = _whole_ms("seconds", seconds)
    offset_ms = None if offset is None else _whole_ms("offset", offset)
    # Interval checks this too, but its error would name the JSON fields instead of the arguments.
    if not MINIMUM_MS <= every_ms <= LAST_MS:
        raise ValidationError("seconds", seconds, f"at least {MINIMUM_MS / 1000:g}")
    if offset_ms is not None and not 0 <= offset_ms < every_ms:
        raise ValidationError("offset", offset, f"0 or more, and less than the period ({seconds})")
    return Interval(every_ms, offset_ms, align)


def cron(expression: str, tz: str | None = None, gap: Gap = "shift", fold: Fold = "auto") -> Cron:
    """A cron expression in the zone `tz`: 5 fields, 6 with seconds first, or 7 with years last.

    Without a `tz` the entry's zone is used. `gap` and `fold` say what happens to local times
    that a clock change skips or repeats. Raises ValidationError, which names the field.
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
    """Celery's crontab with a zone: all fields must match; `tz`, `gap` and `fold` as for `cron`."""
    return Crontab(
        minute=minute,
        hour=hour,
        day_of_week=day_of_week,
        day_of_month=day_of_month,
        month_of_year=month_of_year,
        tz=tz,
        gap=gap,
        fold=fold,
    )


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

    It begins at `dtstart`, an aware datetime, or at a DTSTART in the text; one of them is required.
    The time of day and everything else that the text leaves open is taken from it. `gap` and
    `fold` work as for `cron`. Raises ValidationError, which names the part of the text.
    """
    if isinstance(dtstart, str):
        raise ValidationError("dtstart", dtstart, "a datetime with a timezone")
    return RRule(text, tz, dtstart, gap, fold)


def solar(event: str, lat: float, lon: float) -> Solar:
    """A solar event, named as in Celery: sunrise, solar_noon, sunset, dawn_civil …

    `lat` and `lon` are degrees, north and east positive. Computing slots needs ``habeat[solar]``.
    """
    return Solar(event, lat, lon)


def _whole_ms(field: str, value: object) -> int:
    if isinstance(value, timedelta):
        ms, rest = divmod(value, timedelta(milliseconds=1))
        whole = not rest
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            ms = round(value * 1000)
            # 0.1 is not exact as a float, so check the decimal number that was written.
            whole = Fraction(str(value)) * 1000 == ms
        except (OverflowError, ValueError):
            whole = False
    else:
        whole = False
    if not whole:
        raise ValidationError(field, value, "seconds or a timedelta, in whole milliseconds")
    return ms
