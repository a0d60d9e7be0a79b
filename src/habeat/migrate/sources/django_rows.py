"""One row of django-celery-beat, translated: what its scheduler would do, as habeat's arguments.

Nothing here reads the database. A row is any object with the fields of `PeriodicTask`, and
`DjangoSettings` has what else decides: whether crontabs have a zone of their own, and in which zone
they count if not. A row that cannot be carried raises `NotCarried`.

The scheduler of django-celery-beat does not only follow the model's documentation. What it does is
carried: of several schedules, it takes the first of interval, crontab, solar and clocked; it runs a
one-off task until its count is above zero; it ends an entry at `expires`, and lets its messages
expire then, too. See its `ModelEntry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from kombu.utils import json

from habeat.config.zone_names import zone_name
from habeat.errors import HabeatError
from habeat.migrate.found import SourceEntry
from habeat.printable import kind_of
from habeat.schedules import Crontab, Once, Schedule, Solar
from habeat.schedules.interval import MINIMUM_MS
from habeat.schedules.schedule import moment, to_ms

#: In the order in which django-celery-beat looks for a row's schedule.
KINDS = ("interval", "crontab", "solar", "clocked")
PERIODS = ("days", "hours", "minutes", "seconds", "microseconds")

_MS = timedelta(milliseconds=1)
_ROUTING = ("queue", "exchange", "routing_key")


@dataclass(frozen=True, slots=True)
class DjangoSettings:
    """The project's settings that decide what a row means.

    `zone` is the app's, for crontabs without a zone of their own (`own_zones` is false, which is
    DJANGO_CELERY_BEAT_TZ_AWARE). `naive` is the zone of datetimes that are stored without one, with
    USE_TZ = False: its scheduler takes them for UTC.
    """

    zone: str = "UTC"
    own_zones: bool = True
    naive: tzinfo = UTC


class NotCarried(Exception):
    """This row is not carried: why not, and what a person may do.

    `dropped` says that its scheduler will not run it again either.
    """

    def __init__(self, why: str, advice: str = "", *, dropped: bool = False) -> None:
        super().__init__(why)
        self.why, self.advice, self.dropped = why, advice, dropped


def entry_of(row: Any, settings: DjangoSettings, now: datetime) -> SourceEntry:
    """The entry that habeat has for this row; NotCarried."""
    return _Row(row, settings, now).entry()


class _Row:
    """Translates one row, and collects the notes."""

    def __init__(self, row: Any, settings: DjangoSettings, now: datetime) -> None:
        self._row, self._settings, self._now = row, settings, now
        self._notes: list[str] = []

    def entry(self) -> SourceEntry:
        row = self._row
        kind = self._kind()
        self._check_unfinished(kind)
        schedule = _tried(_SCHEDULES[kind], getattr(row, kind), self._settings, self._notes)
        last_run = self._aware(row.last_run_at)
        return SourceEntry(
            name=row.name,
            arguments=self._arguments(kind, schedule),
            last_run_at=last_run,
            first_run_at=None if last_run else self._first_run(schedule),
            total_run_count=0 if row.one_off else row.total_run_count,
            enabled=bool(row.enabled),
            notes=tuple(self._notes),
        )

    # -- what it runs -------------------------------------------------------------------------

    def _arguments(self, kind: str, schedule: Any) -> dict[str, Any]:
        row = self._row
        arguments = {
            "schedule": schedule,
            "args": _parsed("args", row.args or "[]", list, "a list"),
            "kwargs": _parsed("kwargs", row.kwargs or "{}", dict, "an object"),
            "options": self._options(),
            "enabled": bool(row.enabled),
            "description": row.description or "",
            "start": self._aware(row.start_time),
            "end": self._end(),
        }
        if row.one_off and kind != "clocked":
            arguments["max_runs"] = 1
        given = {name: value for name, value in arguments.items() if value not in (None, "")}
        return {"task": row.task, **given}  # an empty task is named as what is wrong

    def _options(self) -> dict[str, Any]:
        row = self._row
        options = {name: getattr(row, name) for name in _ROUTING if getattr(row, name)}
        if row.priority is not None:
            options["priority"] = row.priority
        expires = self._aware(row.expires) or row.expire_seconds
        if expires:
            options["expires"] = expires
        headers = _parsed("headers", row.headers or "{}", dict, "an object")
        if headers:
            options["headers"] = headers
        return options

    # -- when it runs -------------------------------------------------------------------------

    def _kind(self) -> str:
        row = self._row
        set_kinds = [kind for kind in KINDS if getattr(row, f"{kind}_id") is not None]
        if not set_kinds:
            raise NotCarried(
                "it has no schedule",
                "give it an interval, a crontab, a solar event or a clocked time, or delete it",
            )
        kind = set_kinds[0]
        if getattr(row, kind) is None:
            raise NotCarried(
                f"its {kind} was deleted from the database", "give it another one, or delete it"
            )
        if len(set_kinds) > 1:
            others = " and ".join(set_kinds[1:])
            self._notes.append(
                f"it has {others} as well as {kind}; django-celery-beat runs it by the {kind}"
            )
        return kind

    def _check_unfinished(self, kind: str) -> None:
        """NotCarried if django-celery-beat would never run it again as it stands."""
        row = self._row
        end = self._end()
        if end is not None and end < self._now:
            raise NotCarried(f"it expired at {_shown(end + _MS)}", dropped=True)
        if row.one_off and row.enabled and row.total_run_count > 0:
            raise NotCarried("it is a one-off task and has run", dropped=True)
        clocked = row.clocked if kind == "clocked" else None
        if clocked is not None and not row.enabled:
            at = self._aware(clocked.clocked_time)
            if at is not None and at <= self._now:
                why = f"its time, {_shown(at)}, is over and it is disabled"
                raise NotCarried(why, dropped=True)

    def _end(self) -> datetime | None:
        """The last instant at which it may run: at `expires`, it is disabled."""
        expires = self._aware(self._row.expires)
        return None if expires is None else expires - _MS

    def _first_run(self, schedule: Any) -> datetime | None:
        """When a row that has never run would run first.

        django-celery-beat counts from its last change. With a start time, it counts from 30 years
        before that, so the row is due as soon as it may start.
        """
        start = self._aware(self._row.start_time)
        changed = self._aware(self._row.date_changed)
        if isinstance(schedule, Once):
            return moment(schedule.at_ms)
        if start is not None:
            begin = start if changed is None else max(start, changed)
            return begin if isinstance(schedule, timedelta) else _slot(schedule, begin - _MS)
        if changed is None:
            return None
        return changed + schedule if isinstance(schedule, timedelta) else _slot(schedule, changed)

    def _aware(self, given: datetime | None) -> datetime | None:
        """An aware datetime; one that is stored without a zone is in `DjangoSettings.naive`."""
        if given is None or given.tzinfo is not None:
            return given
        return given.replace(tzinfo=self._settings.naive)


def _slot(schedule: Schedule, after: datetime) -> datetime | None:
    try:
        return schedule.next_after(after)
    except HabeatError:  # for example, ephem is missing, which the plan reports
        return None


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


# -- parts of a row ----------------------------------------------------------------------------


def _parsed(field: str, text: str, kind: type, expected: str) -> Any:
    """The value of a JSON text; NotCarried without the text, which may hold secrets."""
    try:
        value = json.loads(text)
    except Exception:  # also what kombu's decoder raises for a wrong value of one of its types
        raise NotCarried(f"its {field} are not JSON", f"write {expected} there") from None
    if not isinstance(value, kind):
        raise NotCarried(f"its {field} are {kind_of(value)}", f"write {expected} there")
    return value


_Translate = Callable[[Any, DjangoSettings, list[str]], Any]


def _tried(translate: _Translate, row: Any, settings: DjangoSettings, notes: list[str]) -> Any:
    try:
        return translate(row, settings, notes)
    except HabeatError as error:
        raise NotCarried(str(error), "correct it in django-celery-beat") from None


def _interval(row: Any, settings: DjangoSettings, notes: list[str]) -> timedelta:
    """The period; the plan counts its slots from the last run, as django-celery-beat does."""
    if row.period not in PERIODS:
        raise NotCarried(f"its period is {row.period!r}", f"use one of {', '.join(PERIODS)}")
    try:
        period = timedelta(**{row.period: row.every})
    except OverflowError:
        raise NotCarried("its period is too long", "use a shorter one") from None
    whole = round(period / _MS) * _MS
    if whole < MINIMUM_MS * _MS:
        raise NotCarried(f"its period is {period}", f"use {MINIMUM_MS} ms or more")
    if whole != period:
        notes.append(f"its period is rounded to {whole // _MS} ms")
    return whole


def _crontab(row: Any, settings: DjangoSettings, notes: list[str]) -> Crontab:
    zone = settings.zone
    if settings.own_zones:
        zone = row.timezone if isinstance(row.timezone, str) else zone_name(row.timezone)
    return Crontab(
        minute=row.minute,
        hour=row.hour,
        day_of_week=row.day_of_week,
        day_of_month=row.day_of_month,
        month_of_year=row.month_of_year,
        tz=zone,
    )


def _solar(row: Any, settings: DjangoSettings, notes: list[str]) -> Solar:
    return Solar(row.event, float(row.latitude), float(row.longitude))


def _clocked(row: Any, settings: DjangoSettings, notes: list[str]) -> Once:
    at = row.clocked_time
    if at.tzinfo is None:
        at = at.replace(tzinfo=settings.naive)
    return Once(to_ms("clocked_time", at))


_SCHEDULES: Mapping[str, _Translate] = {
    "interval": _interval,
    "crontab": _crontab,
    "solar": _solar,
    "clocked": _clocked,
}
