"""Read django-celery-beat's tables, through Django's ORM and the installed app's own models.

Only reads. The rows are read in pages; if a page fails because of one value, its rows are read one
by one, and only the unreadable one is not carried.

**How fresh the last runs are.** The scheduler keeps last runs in memory. It writes them when a
task is sent and the last write is `beat_sync_every` messages or three minutes ago, when the
schedule is changed, and when SIGTERM or SIGINT ends it. After a graceful stop they are exact. After
a crash they are up to three minutes old, and only the operator knows until when messages were sent.

**Whether its beat lives.** Nothing in the database says so. Last runs that change while we look
prove that it does. A period that is overdue by more than those three minutes proves that it does
not. Whether its messages are sent now is looked for elsewhere (heard.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from habeat.config.from_app import timezone_of
from habeat.errors import HabeatError
from habeat.migrate.found import (
    Living,
    Reading,
    SourceEmpty,
    SourceEntry,
    SourceUnreadable,
    Uncarried,
)
from habeat.migrate.sources.django_rows import KINDS, DjangoSettings, NotCarried, entry_of
from habeat.printable import plural, printable

SOURCE, APP = "django-celery-beat", "django_celery_beat"
#: Celery's own entry, which django-celery-beat always adds to its table.
CLEANUP = "celery.backend_cleanup"
PAGE = 500
PLACE_CHARS = 200
#: More rows than this are not read: they would fill the memory.
ENTRIES_MOST = 200_000
_JUST_AFTER = timedelta(milliseconds=1)
#: How long to watch the rows for changes, while nothing is sent.
LOOK_S = 2.0
#: How old its last runs in the database may get while it runs: three minutes, and time to send.
SYNC_S = 200.0
STALE = (
    "django-celery-beat writes its last runs every 3 minutes and when SIGTERM stops it; if it was "
    "killed, give the time of the kill with --sent-until"
)


@dataclass(frozen=True, slots=True)
class Tables:
    """The models of the installed django-celery-beat, and what the settings say about them."""

    task: Any
    changes: Any
    schedules: Mapping[str, Any]
    settings: DjangoSettings
    place: str


def read(
    app: Any,
    declared: Collection[str],
    *,
    now: datetime,
    sleep: Callable[[float], None],
    check: Callable[[str], None] = lambda done: None,
) -> Reading:
    """All entries in the database of the app's Django project; SourceUnreadable, SourceEmpty.

    `declared` are the names in this code's beat_schedule. `sleep` waits between two looks at the
    rows; `check` is called between pages and may raise.
    """
    tables = tables_of(app)
    try:
        before = _runs(tables)
        entries, uncarried = rows_of(tables, declared, now, check)
        living = _living(tables, before, entries, now, sleep)
    except HabeatError:
        raise
    except Exception as error:  # the database's: unreachable, or the tables are missing
        raise unreadable(tables.place, error) from error
    finally:
        _close()
    if not (entries or uncarried):
        raise SourceEmpty(f"{SOURCE} ({tables.place}) has no rows: check the database's settings")
    return Reading(f"{SOURCE} ({tables.place})", entries, uncarried, living, STALE)


# -- Django, as the project configures it ------------------------------------------------------


def tables_of(app: Any) -> Tables:
    """The models; SourceUnreadable if Django or django-celery-beat is missing or not configured."""
    _set_up(app)
    from django.apps import apps
    from django.conf import settings

    if not apps.is_installed(APP):
        raise SourceUnreadable(
            "django_celery_beat is not in INSTALLED_APPS of this Django project, so its tables "
            "cannot be read: put it back until the switch is done"
        )
    from django.db import router

    task, changes = (apps.get_model(APP, name) for name in ("PeriodicTask", "PeriodicTasks"))
    schedules = {kind: apps.get_model(APP, f"{kind.title()}Schedule") for kind in KINDS}
    alias = router.db_for_read(task)
    own_zones = bool(getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True))
    found = DjangoSettings(timezone_of(app.conf), own_zones)
    return Tables(task, changes, schedules, found, _place(alias))


def _place(alias: str) -> str:
    """Which database that is, without its user and password."""
    from django.db import connections

    settings = connections[alias].settings_dict
    vendor = connections[alias].vendor
    where = [str(settings.get(part) or "") for part in ("HOST", "PORT")]
    host = ":".join(filter(None, where))
    named = "/".join(filter(None, (host, str(settings.get("NAME") or ""))))
    return printable(f"{vendor} database {alias!r}, {named}", PLACE_CHARS)


def _set_up(app: Any) -> None:
    """`django.setup()`, as the app's beat does it: by Celery's own support for Django."""
    try:
        import django
        from django.apps import apps
        from django.conf import settings
    except ImportError:
        raise SourceUnreadable(
            "Django is not installed here: run this where the project's beat runs"
        ) from None
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise SourceUnreadable(
            "Django has no settings here: set DJANGO_SETTINGS_MODULE, as manage.py does"
        )
    try:
        app.loader.import_default_modules()
        if not apps.ready:
            django.setup()
    except (Exception, SystemExit) as error:  # the project's own code
        raise SourceUnreadable(
            f"the Django project cannot be set up: {type(error).__name__}: "
            f"{printable(str(error), 500)}"
        ) from error


def unreadable(place: str, error: Exception) -> SourceUnreadable:
    """The error for what the database raises."""
    hint = "run `manage.py migrate django_celery_beat`, or check the database's address"
    return SourceUnreadable(
        f"{SOURCE} ({place}) cannot be used: {type(error).__name__}: "
        f"{printable(str(error), 500)}; {hint}"
    )


def _close() -> None:
    from django.db import connections

    connections.close_all()


# -- rows --------------------------------------------------------------------------------------


def rows_of(
    tables: Tables,
    declared: Collection[str],
    now: datetime,
    check: Callable[[str], None] = lambda done: None,
) -> tuple[list[SourceEntry], list[Uncarried]]:
    """All rows: those that can be carried, and those that cannot."""
    entries: list[SourceEntry] = []
    uncarried: list[Uncarried] = []
    rows = tables.task.objects.order_by("pk")
    if rows.count() > ENTRIES_MOST:
        raise SourceUnreadable(f"{SOURCE} ({tables.place}) has more than {ENTRIES_MOST} rows")
    ids = list(rows.values_list("pk", "name"))
    for start in range(0, len(ids), PAGE):
        check(f"{start} rows of {len(ids)} were read")
        page = ids[start : start + PAGE]
        for (_, name), row in zip(page, _rows(tables, [pk for pk, _ in page]), strict=True):
            found = _one(name, row, tables.settings, declared, now)
            if isinstance(found, Uncarried):
                uncarried.append(found)
            elif found is not None:
                entries.append(found)
    return entries, uncarried


def _rows(tables: Tables, keys: Sequence[Any]) -> Iterator[Any]:
    """The rows with these keys in this order: None for one that is gone, or an exception."""
    wanted = tables.task.objects.select_related(*KINDS)
    try:
        found = {row.pk: row for row in wanted.filter(pk__in=keys)}
    except Exception:  # perhaps one value that the ORM cannot convert; a dead database fails again
        for key in keys:
            yield _row(wanted, key)
        return
    yield from (found.get(key) for key in keys)


def _row(wanted: Any, key: Any) -> Any:
    from django.db import InterfaceError, OperationalError

    try:
        return wanted.filter(pk=key).first()
    except (OperationalError, InterfaceError):  # the database, not the row
        raise
    except Exception as error:
        return error


def _one(
    name: str, row: Any, settings: DjangoSettings, declared: Collection[str], now: datetime
) -> SourceEntry | Uncarried | None:
    if row is None:  # deleted since the names were read
        return None
    if isinstance(row, Exception):
        return _unusable(name, row)
    if name == CLEANUP and name not in declared:
        why = "Celery's own, which habeat adds where the result backend needs it"
        return Uncarried(name, why, dropped=True)
    if name in declared:
        return _of_code(name, row, settings, now)
    try:
        return entry_of(row, settings, now)
    except NotCarried as error:
        return Uncarried(name, error.why, error.advice, error.dropped)
    except (TypeError, ValueError, ArithmeticError) as error:  # SQLite keeps text in any column
        return _unusable(name, error)


def _unusable(name: str, error: Exception) -> Uncarried:
    why = f"a value of its row cannot be read: {type(error).__name__}"
    return Uncarried(name, why, "correct it in the database, or delete the row")


def _of_code(name: str, row: Any, settings: DjangoSettings, now: datetime) -> SourceEntry:
    """The copy of an entry of beat_schedule: django-celery-beat overwrites it at its next start."""
    last = _aware(row.last_run_at, settings)
    changed = _aware(row.date_changed, settings)
    return SourceEntry(
        name=name,
        last_run_at=last,
        # Without a last run, its scheduler counts from the last change.
        first_run_at=None if last or changed is None else changed + _JUST_AFTER,
        total_run_count=row.total_run_count,
        enabled=bool(row.enabled),
        declared=True,
        notes=_kept_in_database(row),
    )


def _aware(at: datetime | None, settings: DjangoSettings) -> datetime | None:
    return at.replace(tzinfo=settings.naive) if at is not None and at.tzinfo is None else at


def _kept_in_database(row: Any) -> tuple[str, ...]:
    """What django-celery-beat kept from the row, although the code declares the entry."""
    fields = ("one_off", "start_time", "expires")
    kept = [field for field in fields if getattr(row, field)]
    if not kept:
        return ()
    return (f"its {' and '.join(kept)} in the database: write {_them(kept)} into beat_schedule",)


def _them(kept: Sequence[str]) -> str:
    return "it" if len(kept) == 1 else "them"


# -- whether its beat lives --------------------------------------------------------------------


def _runs(tables: Tables) -> int:
    """The sum of all counts: it changes whenever a scheduler writes its last runs."""
    from django.db.models import Sum

    found: int | None = tables.task.objects.aggregate(runs=Sum("total_run_count"))["runs"]
    return found or 0


def _living(
    tables: Tables,
    before: int,
    entries: Sequence[SourceEntry],
    now: datetime,
    sleep: Callable[[float], None],
) -> Living:
    last_runs = [each.last_run_at for each in entries if each.last_run_at is not None]
    if not last_runs:
        return Living(False, "no row has a last run")
    age = now - max(last_runs)
    sleep(LOOK_S)
    if _runs(tables) != before:
        return Living(True, f"last runs in the database changed within {LOOK_S:g} s")
    overdue = _overdue(entries, now) if age > timedelta(seconds=SYNC_S) else ""
    if overdue:
        return Living(False, f"it has not sent for {_age(age)}, and {overdue} is overdue")
    return Living(False, f"its newest last run is {_age(age)} old; stop its beat with SIGTERM")


def _overdue(entries: Sequence[SourceEntry], now: datetime) -> str:
    """An entry that a live beat would have sent and written by now; "" if there is none."""
    for entry in entries:
        period = entry.arguments.get("schedule")
        if not entry.enabled or entry.last_run_at is None or not isinstance(period, timedelta):
            continue
        if _may_wait(entry, now):
            continue
        if now - entry.last_run_at > period + timedelta(seconds=SYNC_S):
            return entry.name
    return ""


def _may_wait(entry: SourceEntry, now: datetime) -> bool:
    start = entry.arguments.get("start")
    return start is not None and start > now


def _age(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    if seconds < 120:
        return plural(seconds, "second")
    return plural(seconds // 60, "minute")
