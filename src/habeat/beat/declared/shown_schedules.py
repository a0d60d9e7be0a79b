"""An entry's schedule as one of Celery's, for code that inspects entries, such as Sentry's crons.

Sentry makes a monitor from it and raises an alarm when a check-in does not come. So this is when
the entry fires, or, if Celery has no equivalent, a bare `BaseSchedule`: it is never asked, and
Sentry makes no monitor for it. Jitter is different for each slot, so no schedule can show it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from celery import Celery
from celery import schedules as celery_schedules

from habeat.beat.declared.celery_schedules import LiveSchedule
from habeat.entries.celery_schedules import CRONTAB_FIELDS
from habeat.schedules import Cron, Crontab, Interval, Schedule, Solar
from habeat.schedules.zone import zone_named

_HOUR_MS = 3_600_000
#: The shortest day, when clocks are set forward.
_SHORT_DAY_MS = 23 * _HOUR_MS
_FIXED = re.compile(r"UTC([+-])(\d\d):(\d\d)").fullmatch


def to_celery(schedule: Schedule, app: Celery) -> Any:
    """The equivalent Celery schedule, or a bare `BaseSchedule`."""
    if isinstance(schedule, Interval):
        return celery_schedules.schedule(timedelta(milliseconds=schedule.every_ms), app=app)
    if isinstance(schedule, Solar):
        return celery_schedules.solar(schedule.event, schedule.lat, schedule.lon, app=app)
    if isinstance(schedule, LiveSchedule):
        return schedule.schedule
    crontab = schedule.as_crontab() if isinstance(schedule, Cron) else schedule
    zone = _iana(crontab.tz) if isinstance(crontab, Crontab) else None
    if not isinstance(crontab, Crontab) or zone is None:
        return celery_schedules.BaseSchedule(app=app)
    fields: Any = {name: getattr(crontab, name) for name in CRONTAB_FIELDS}
    shown = celery_schedules.crontab(**fields, app=app)
    if zone:
        shown.tz = zone_named(zone).info
    return shown


def delayed(schedule: Schedule, most_ms: int, delay_ms: int) -> Schedule:
    """The schedule `delay_ms` later, to the minute, where a crontab can express that.

    That is the entry's spread, at most `most_ms`. A schedule that cannot be moved stays as it is.
    """
    crontab = schedule.as_crontab() if isinstance(schedule, Cron) else schedule
    if not isinstance(crontab, Crontab) or not crontab.minute.isdigit():
        return schedule
    hours, minute = divmod(int(crontab.minute) + delay_ms // 60_000, 60)
    every_day = (crontab.day_of_week, crontab.day_of_month, crontab.month_of_year) == ("*",) * 3
    if crontab.hour == "*":
        fits = most_ms < _HOUR_MS and (every_day or not hours)
        return replace(crontab, minute=str(minute)) if fits else schedule
    if not crontab.hour.isdigit() or most_ms >= _SHORT_DAY_MS:
        return schedule
    days, hour = divmod(int(crontab.hour) + hours, 24)
    if days and not every_day:
        return schedule
    return replace(crontab, minute=str(minute), hour=str(hour))


def _iana(zone: str | None) -> str | None:
    """The zone by a name that other programs know, "" for the app's, None if there is none."""
    fixed = _FIXED(zone or "")
    if fixed is None:
        return zone or ""
    sign, hours, minutes = fixed.groups()
    name = f"Etc/GMT{'-' if sign == '+' else '+'}{int(hours)}"  # its sign is reversed
    return name if minutes == "00" and name in available_timezones() else None
