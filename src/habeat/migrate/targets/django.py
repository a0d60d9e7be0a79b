"""Write habeat's entries into django-celery-beat's tables, through the installed app's own models.

Each entry is one savepoint: it is written whole or not at all, and what the database refuses in one
does not stop the others. The last run is written with the definition, because a row without one
starts from its last change. A row of an entry that beat_schedule declares keeps its definition:
django-celery-beat writes the code's at its next start, and keeps the last run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import Any, TypeVar

from kombu.utils import json

from habeat.errors import HabeatError
from habeat.migrate.found import SourceEntry
from habeat.migrate.returning import Abilities, NotReturned, Returned
from habeat.migrate.sources.django import CLEANUP, SOURCE, Tables, rows_of, tables_of, unreadable
from habeat.migrate.sources.django_rows import KINDS
from habeat.printable import printable
from habeat.schedules import Crontab, Interval, Once, Schedule, Solar
from habeat.schedules.schedule import moment

Result = TypeVar("Result")

PAGE = 100
OPTIONS = ("queue", "exchange", "routing_key", "priority", "headers", "expires")

#: Periods in milliseconds by their names in IntervalSchedule, the longest first.
_PERIODS = (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1_000))
#: What a column for whole numbers holds in every database.
_MOST = 2**31 - 1


class DjangoTarget:
    """The tables of the app's Django project."""

    def __init__(self, app: Any) -> None:
        self._tables = tables_of(app)
        zone = "" if self._tables.settings.own_zones else self._tables.settings.zone
        self.place = f"{SOURCE} ({self._tables.place})"
        self.abilities = Abilities(
            name=SOURCE,
            kinds=("interval", "crontab", "solar", "once"),
            zone=zone,
            options=OPTIONS,
            ends=True,
            counts=True,
            describes=True,
            why_not=why_not,
        )

    def enabled(self) -> dict[str, bool]:
        """The names of all rows but Celery's own, and whether each is enabled."""
        rows = self._tables.task.objects.order_by("name").exclude(name=CLEANUP)
        return self._guarded(lambda: dict(rows.values_list("name", "enabled")))

    def last_runs(self) -> dict[str, datetime]:
        """When each row that has a last run ran last."""
        rows = self._tables.task.objects.filter(last_run_at__isnull=False)
        naive = self._tables.settings.naive
        found = self._guarded(lambda: dict(rows.values_list("name", "last_run_at")))
        return {name: at if at.tzinfo else at.replace(tzinfo=naive) for name, at in found.items()}

    def others(self, names: Sequence[str], now: datetime) -> Sequence[SourceEntry]:
        """Those of these rows that can be read."""
        if not names:
            return ()
        wanted = set(names)
        entries, _ = self._guarded(lambda: rows_of(self._tables, (), now))
        return [entry for entry in entries if entry.name in wanted]

    def write(self, entries: Sequence[Returned]) -> dict[str, str]:
        """Write these entries; returns the reasons for those that could not be written."""
        storable = [entry for entry in entries if _is_storable(entry.name)]
        refused = {
            entry.name: f"{SOURCE} cannot store this name"
            for entry in entries
            if not _is_storable(entry.name)
        }
        for start in range(0, len(storable), PAGE):
            page = storable[start : start + PAGE]
            refused |= self._guarded(lambda: self._page(page))  # noqa: B023
        return refused

    def disable(self, names: Sequence[str]) -> None:
        """Disable the rows with these names."""
        self._guarded(lambda: self._disable(names))

    def close(self) -> None:
        """Disconnect from the database."""
        from django.db import connections

        connections.close_all()

    def _guarded(self, call: Callable[[], Result]) -> Result:
        """What `call` returns; what the database raises is one sentence."""
        try:
            return call()
        except HabeatError:
            raise
        except Exception as error:
            raise unreadable(self._tables.place, error) from error

    def _page(self, entries: Sequence[Returned]) -> dict[str, str]:
        from django.db import router, transaction

        refused: dict[str, str] = {}
        using = router.db_for_write(self._tables.task)
        rows = self._tables.task.objects.filter(name__in=[entry.name for entry in entries])
        with transaction.atomic(using=using):
            there = {row.name: row for row in rows}
            schedules = Schedules(self._tables)
            for entry in entries:
                writing = _Writing(self._tables, schedules, entry, there.get(entry.name))
                if why := _why_refused(writing, using):
                    refused[entry.name] = why
                    schedules = Schedules(self._tables)  # a row of it may be rolled back
            self._tables.changes.update_changed()
        return refused

    def _disable(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), PAGE):
            rows = self._tables.task.objects.filter(name__in=names[start : start + PAGE])
            rows.filter(enabled=True).update(enabled=False, last_run_at=None)
        self._tables.changes.update_changed()


def _why_refused(writing: _Writing, using: str) -> str:
    """Write an entry in a savepoint; the reason why it was not written, "" if it was."""
    from django.core.exceptions import ValidationError
    from django.db import DataError, IntegrityError, transaction

    try:
        with transaction.atomic(using=using):
            writing.save()
    except NotReturned as error:
        return error.why
    except ValidationError as error:  # without the values, which may be secrets
        fields = ", ".join(getattr(error, "error_dict", {})) or "its fields"
        return f"{SOURCE} does not accept {fields}"
    except (DataError, IntegrityError, ValueError) as error:  # ValueError: a text with NUL, say
        return f"the database refuses it: {printable(str(error), 300)}"
    return ""


def _is_storable(name: str) -> bool:
    """Whether every database takes this name: one that it does not take fails a whole page."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in name


def why_not(schedule: Schedule) -> str:
    """What django-celery-beat cannot store of a schedule; "" if it can."""
    if isinstance(schedule, Interval) and period_of(schedule.every_ms) is None:
        return f"{SOURCE} stores fractions of a second only in periods up to 35 minutes"
    if isinstance(schedule, Crontab) and str(schedule.tz).startswith(("UTC+", "UTC-")):
        return f"{SOURCE} has no zone {schedule.tz}"
    if isinstance(schedule, Solar) and not (_is_short(schedule.lat) and _is_short(schedule.lon)):
        return f"{SOURCE} stores six digits of a latitude and a longitude"
    return ""


def _is_short(degrees: float) -> bool:
    return round(degrees, 6) == degrees


def period_of(every_ms: int) -> tuple[int, str] | None:
    """A period as a number of units of IntervalSchedule; None if no unit can express it."""
    for unit, unit_ms in _PERIODS:
        if every_ms % unit_ms == 0 and every_ms // unit_ms <= _MOST:
            return every_ms // unit_ms, unit
    micros = every_ms * 1_000
    return (micros, "microseconds") if micros <= _MOST else None


class Schedules:
    """The rows of schedules, each of which many entries may share."""

    def __init__(self, tables: Tables) -> None:
        self._models = tables.schedules
        self._rows: dict[Schedule, tuple[str, Any]] = {}

    def columns(self, schedule: Schedule) -> dict[str, Any]:
        """The four columns of an entry for its schedule, of which one is set."""
        found = self._rows.get(schedule)
        if found is None:
            kind, fields = _fields(schedule)
            found = self._rows[schedule] = kind, self._row(self._models[kind], fields)
        kind, row = found
        return {**dict.fromkeys(KINDS), kind: row}

    def _row(self, model: Any, fields: Mapping[str, Any]) -> Any:
        row = model.objects.filter(**fields).first()
        if row is None:
            row = model(**fields)
            row.clean_fields(exclude=["timezone"])
            row.save()
        return row


def _fields(schedule: Schedule) -> tuple[str, Mapping[str, Any]]:
    """The kind and the columns of a schedule's own row."""
    match schedule:
        case Interval(every_ms=every_ms):
            found = period_of(every_ms)
            assert found is not None, "why_not has refused it"
            return "interval", dict(zip(("every", "period"), found, strict=True))
        case Crontab():
            names = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
            fields = {name: getattr(schedule, name) for name in names}
            return "crontab", {**fields, "timezone": schedule.tz}
        case Solar():
            place = {"latitude": _decimal(schedule.lat), "longitude": _decimal(schedule.lon)}
            return "solar", {"event": schedule.event, **place}
        case Once(at_ms=at_ms):
            return "clocked", {"clocked_time": _stored(moment(at_ms))}
    raise AssertionError(f"why_not has refused {schedule.kind}")


def _stored(at: datetime) -> datetime:
    """An instant as the project stores it: without a zone, in UTC, with USE_TZ = False."""
    from django.conf import settings

    return at if settings.USE_TZ else at.astimezone(UTC).replace(tzinfo=None)


class _Writing:
    """Writes one entry into its row, which may exist."""

    def __init__(self, tables: Tables, schedules: Schedules, entry: Returned, row: Any) -> None:
        self._tables, self._schedules, self._entry, self._row = tables, schedules, entry, row

    def save(self) -> None:
        """Write it; NotReturned, or an error of Django or of the database."""
        entry, row = self._entry, self._row
        if entry.declared and row is not None:  # without the checks of a definition that stays
            self._tables.task.objects.filter(pk=row.pk).update(**self._state())
            return
        row = row or self._tables.task(name=entry.name)
        for name, value in {**self._definition(), **self._state()}.items():
            setattr(row, name, value)
        row.no_changes = True  # one mark for the whole page is enough
        row.clean_fields(exclude=KINDS)
        row.save()

    def _state(self) -> dict[str, Any]:
        """What django-celery-beat keeps of a row whose definition the code has."""
        entry = self._entry
        return {
            "enabled": entry.enabled,
            "last_run_at": _stored(entry.last_run) if entry.enabled else None,
            "total_run_count": 0 if entry.one_off else entry.total_run_count,
        }

    def _definition(self) -> dict[str, Any]:
        entry, options = self._entry, self._entry.options
        if entry.schedule is None:
            raise NotReturned(
                f"{SOURCE} has no row of it yet and cannot express its schedule: it starts from "
                "the moment at which its beat starts"
            )
        expires = options.get("expires")
        ends = entry.ends or (expires if isinstance(expires, datetime) else None)
        return {
            "task": entry.task,
            **self._schedules.columns(entry.schedule),
            "args": _text(list(entry.args)),
            "kwargs": _text(dict(entry.kwargs)),
            **{name: options.get(name) for name in ("queue", "exchange", "routing_key")},
            "priority": options.get("priority"),
            "headers": _text(dict(options.get("headers", {}))),
            "expires": ends and _stored(ends),
            "expire_seconds": ceil(expires) if isinstance(expires, int | float) else None,
            "start_time": entry.starts and _stored(entry.starts),
            "one_off": entry.one_off,
            "description": entry.description,
        }


def _text(value: Any) -> str:
    """JSON as people can read it in the admin; with kombu's types, as its scheduler reads them."""
    text: str = json.dumps(value, ensure_ascii=False)
    return text


def _decimal(degrees: float) -> Decimal:
    return Decimal(repr(degrees))
