"""Celery's schedules and beat_schedule, in habeat's terms and back.

Fixed kinds are translated by their exact type: a subclass may mean anything, so it stays a
matter of code, asked for its slots through Celery's own interface. Celery's crontab ANDs its
fields and is never turned into a cron string. Its zone is its own where it has one (a `nowfun`
that returns aware datetimes, a `tz` attribute as django-celery-beat's has), else the app's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from typing import Any, ClassVar

from celery import Celery
from celery import schedules as celery_schedules

from habeat.client.place import timezone_of
from habeat.core.schedule import Crontab, Interval, Schedule, Solar
from habeat.core.schedule.code import Code
from habeat.errors import ValidationError

#: How often a schedule of the user's own is asked for one slot before it counts as exhausted.
LOOKS = 20_000
#: Two slots of it are never closer than this, as with our own intervals.
LEAST_GAP_MS = 100

_CRONTAB_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")


def to_schedule(given: Any, app: Celery, *, zone: str = "", relative: bool = False) -> Schedule:
    """The habeat schedule of anything that beat_schedule may hold; ValidationError.

    `zone` is that of the app, where it is known already; `relative` is the entry's own word for
    "on the round hour, not from the start".
    """
    if isinstance(given, Schedule):
        return given
    if isinstance(given, bool):
        raise ValidationError("schedule", given, "seconds, a timedelta or a schedule")
    if isinstance(given, int | float | timedelta):
        return _interval(given, "epoch" if relative else "own")
    kind = type(given)
    if kind is celery_schedules.schedule and given.nowfun is None:
        return _interval(given.run_every, "epoch" if given.relative else "own")
    if kind is celery_schedules.crontab or _is_crontab_with_zone(given):
        return _crontab(given, _zone_of(given) or zone or timezone_of(app.conf))
    if kind is celery_schedules.solar:
        return Solar(given.event, given.lat, given.lon)
    if isinstance(given, celery_schedules.BaseSchedule):
        return LiveSchedule(f"{kind.__module__}.{kind.__qualname__}: {given!r}", given, app)
    raise ValidationError(
        "schedule", given, "seconds, a timedelta, a schedule of Celery's or of habeat's"
    )


def _crontab(given: Any, zone: str) -> Crontab:
    fields: dict[str, Any] = {name: getattr(given, f"_orig_{name}") for name in _CRONTAB_FIELDS}
    fields["tz"] = zone
    try:
        return _crontab_of(**fields)
    except TypeError:  # a list or set of numbers cannot be looked up
        return Crontab(**fields)


#: Thousands of entries share a few times of day.
_crontab_of = lru_cache(maxsize=1_000, typed=True)(Crontab)


def _interval(period: float | timedelta, align: Any) -> Interval:
    seconds = period.total_seconds() if isinstance(period, timedelta) else float(period)
    return Interval(round(seconds * 1_000), None, align)


def _is_crontab_with_zone(given: Any) -> bool:
    return isinstance(given, celery_schedules.crontab) and type(given).__name__ == "TzAwareCrontab"


def _zone_of(given: Any) -> str:
    """The crontab's own zone; "" if it has none."""
    zone: tzinfo | None = None
    if given.nowfun is not None:
        zone = given.nowfun().tzinfo
    if zone is None and _is_crontab_with_zone(given):
        zone = given.tz
    return "" if zone is None else _name_of(zone)


def _name_of(zone: tzinfo) -> str:
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if name is None and zone.utcoffset(None) == timedelta(0):
        name = "UTC"
    return str(name or zone)


@dataclass(frozen=True, repr=False)
class LiveSchedule(Schedule):
    """A schedule class of the user's own, asked through Celery's interface.

    It is stored as `Code`. Its clock is set to the instant asked about where it uses `nowfun`,
    as Celery's own classes do. What `is_due` tells beside "not yet" is when to look again, which
    need not be the next slot: so it is asked again and again, until it says "due".
    """

    kind: ClassVar[str] = "code"

    what: str
    schedule: Any
    app: Any

    def next_after_ms(self, after_ms: int) -> int | None:
        last_run = datetime.fromtimestamp(after_ms / 1_000, UTC)
        asked = copy.copy(self.schedule)
        asked.app = self.app
        at_ms = after_ms
        for _ in range(LOOKS):
            asked.nowfun = partial(datetime.fromtimestamp, at_ms / 1_000, UTC)
            due, seconds = asked.is_due(last_run)
            if due and at_ms >= after_ms + LEAST_GAP_MS:
                return at_ms
            if seconds is None:
                return after_ms + LEAST_GAP_MS if due else None
            at_ms += max(LEAST_GAP_MS, math.ceil(float(seconds) * 1_000))
        return None

    def to_json(self) -> dict[str, Any]:
        return Code(self.what).to_json()

    def describe(self) -> str:
        return Code(self.what).describe()


def to_celery(schedule: Schedule, app: Celery) -> Any:
    """The Celery schedule that says the same, for those who look at entries (Sentry's crons).

    Where Celery has none, the nearest thing: an interval of a day that is never asked.
    """
    if isinstance(schedule, Interval):
        return celery_schedules.schedule(timedelta(milliseconds=schedule.every_ms), app=app)
    if isinstance(schedule, Crontab):
        fields: Mapping[str, Any] = {name: getattr(schedule, name) for name in _CRONTAB_FIELDS}
        return celery_schedules.crontab(**fields, app=app)
    if isinstance(schedule, Solar):
        return celery_schedules.solar(schedule.event, schedule.lat, schedule.lon, app=app)
    if isinstance(schedule, LiveSchedule):
        return schedule.schedule
    return celery_schedules.schedule(timedelta(days=1), app=app)
