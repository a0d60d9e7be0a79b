"""Translate Celery's schedules into habeat's, for beat_schedule and for the Client alike.

Celery is not imported here, because a client may run without it: its classes are recognised by
their module. A class derived from them is translated if it only adds a constructor or how it is
shown. If it decides for itself when it is due, that is code and cannot be stored.

Celery's crontab ANDs its fields and is never turned into a cron string. django-celery-beat's two
classes are translated too, although they have code: what it does is known.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Literal

from habeat.config.from_app import timezone_of
from habeat.config.zone_names import zone_name
from habeat.errors import ValidationError
from habeat.schedules import Crontab, Interval, Once, RRule, Schedule, Solar
from habeat.schedules.schedule import to_ms

CRONTAB_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
PERIOD = "seconds or a timedelta, 0.1 s or more"

_CELERY = "celery.schedules"
_DJANGO = "django_celery_beat."
_HOUR_MS = 3_600_000
#: What a class may define without changing when it is due.
_HARMLESS = frozenset(
    (
        *("__init__", "__repr__", "__str__", "__reduce__", "__eq__", "__ne__", "__hash__"),
        *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__"),
        *("__orig_bases__", "__parameters__", "__firstlineno__", "__static_attributes__"),
    )
)


def celery_class(given: object) -> type | None:
    """The class of celery.schedules that `given` is an instance of; None if there is none."""
    return next((each for each in type(given).__mro__ if each.__module__ == _CELERY), None)


def own_code(given: Any) -> tuple[str, ...]:
    """The parts of a Celery schedule that only its code can express, by name."""
    base = celery_class(given)
    if base is None or _is_clocked(given) or _is_zoned_crontab(given):
        return ()
    kind: type = type(given)
    names = {*_own_names(kind, base)}
    names |= {name for name in vars(given) if callable(getattr(base, name, None))}
    if base.__name__ == "schedule" and given.nowfun is not None:
        names.add("nowfun")  # crontabs and solar events take only the zone from it
    if base.__name__ == "crontab" and _is_naive(given.nowfun):
        names.add("nowfun")
    return tuple(sorted(names))


def _is_naive(nowfun: Callable[[], datetime] | None) -> bool:
    """Whether this clock has no zone, as `datetime.now`.

    Celery reads its times as UTC and adds the app's zone, so no zone says when such a crontab is
    due. Only `utcnow` is known to return UTC.
    """
    return nowfun not in (None, datetime.utcnow) and nowfun().tzinfo is None


@lru_cache(1_000)
def _own_names(kind: type, base: type) -> tuple[str, ...]:
    """What `kind` adds to Celery's class `base` that may change when it is due."""
    if base.__name__ == "BaseSchedule":  # it has no slots of its own
        return ("is_due",)
    derived = kind.__mro__[: kind.__mro__.index(base)]
    names = {name for each in derived for name in vars(each)} - _HARMLESS
    return tuple(
        name
        for name in names
        if name == "nowfun" or hasattr(base, name) or _is_computed(kind, name)
    )


def _is_computed(kind: type, name: str) -> bool:
    """Whether an attribute is computed when it is read, as by a property: `run_every`, say."""
    found = next(vars(each)[name] for each in kind.__mro__ if name in vars(each))
    plain = callable(found) or isinstance(found, staticmethod | classmethod)
    return (not plain and hasattr(type(found), "__get__")) or name.startswith("__getattr")


def of_celery(given: Any, *, zone: str = "", relative: bool = False) -> Schedule:
    """The habeat schedule for one of Celery's that has no code of its own; ValidationError.

    `zone` is the zone of the app that runs it. Without it, a crontab has the zone of the app that
    it was made with, or none yet.
    """
    base = celery_class(given)
    kind = base.__name__ if base else ""
    if _is_clocked(given):
        return Once(to_ms("schedule", given.clocked_time))
    if kind == "crontab":
        fields = {name: getattr(given, f"_orig_{name}") for name in CRONTAB_FIELDS}
        return _crontab({**fields, "tz": _zone_of(given, zone or _zone_of_its_app(given)) or None})
    if kind == "solar":
        return Solar(given.event, given.lat, given.lon)
    if given.relative or relative:
        return on_round_times(given.run_every, zone or _zone_of_its_app(given))
    return interval(given.run_every)


def interval(period: object, align: Literal["own", "epoch"] = "own") -> Interval:
    """A period in seconds or as a timedelta, rounded to milliseconds; ValidationError."""
    seconds = period.total_seconds() if isinstance(period, timedelta) else period
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        try:
            return Interval(round(seconds * 1_000), None, align)
        except (ValidationError, OverflowError, ValueError):
            pass
    raise ValidationError("schedule", period, PERIOD)


def on_round_times(period: object, zone: str) -> Schedule:
    """A relative period: whole days run at midnight in the zone, whole hours on the full hour.

    Celery counts from the start of beat and rounds down. Here it counts from 1970, because every
    replica has another start. Shorter periods are a grid of UTC, whose minutes all zones share.
    """
    grid = interval(period, "epoch")
    hours, rest_ms = divmod(grid.every_ms, _HOUR_MS)
    tz = zone or None
    if rest_ms:
        return grid
    if hours == 24:
        return Crontab(0, 0, tz=tz)
    if 24 % hours == 0:
        return Crontab(0, "*" if hours == 1 else f"*/{hours}", tz=tz)
    days, hours_left = divmod(hours, 24)
    every = f"FREQ=HOURLY;INTERVAL={hours}" if hours_left else f"FREQ=DAILY;INTERVAL={days}"
    return RRule(every, tz, "1970-01-01T00:00:00")


def _crontab(fields: dict[str, Any]) -> Crontab:
    try:
        return _crontab_of(**fields)
    except TypeError:  # a list or set of numbers is not hashable, so it cannot be cached
        return Crontab(**fields)


#: Cached, because thousands of entries share a few times of day.
_crontab_of = lru_cache(maxsize=1_000, typed=True)(Crontab)


# -- zones ------------------------------------------------------------------------------------


def _zone_of_its_app(given: Any) -> str:
    """The zone of the app that a schedule was made with; "" if it was made without one."""
    app = getattr(given, "_app", None)
    return "" if app is None else timezone_of(app.conf)


def _zone_of(given: Any, zone: str) -> str:
    """The zone in which a crontab's fields count; `zone` unless it has its own."""
    if _is_zoned_crontab(given):
        return zone_name(given.tz)
    now = None if given.nowfun is None else given.nowfun()
    if now is None or now.tzinfo is None:
        return zone
    counted = _counted_in(given, now)
    return zone if counted is _APPS else zone_name(counted, now)


_APPS = timezone(timedelta(hours=1), "the app's")


def _counted_in(given: Any, now: datetime) -> Any:
    """The zone that Celery counts the fields in: `now`'s, or `_APPS` for the app's.

    This differs between releases of Celery. In 5.5 the fields count in the zone of `nowfun`, in
    5.7 always in the app's. So a copy with a recognisable zone is asked.
    """
    probe = object.__new__(type(given))
    vars(probe).update(vars(given), tz=_APPS, utc_enabled=True)
    return probe.remaining_delta(now)[0].tzinfo


def _is_zoned_crontab(given: Any) -> bool:
    """Whether this is django-celery-beat's crontab, or a copy of it, with a zone of its own."""
    named = any(each.__name__ == "TzAwareCrontab" for each in type(given).__mro__)
    return named and vars(given).get("tz") is not None


def _is_clocked(given: Any) -> bool:
    kind = type(given)
    return kind.__name__ == "clocked" and kind.__module__.startswith(_DJANGO)
