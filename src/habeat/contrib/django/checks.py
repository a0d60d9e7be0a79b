"""The system check: settings that stop the schedule, or make the admin misleading.

All are warnings with a hint. Silence one with SILENCED_SYSTEM_CHECKS, for example W002 if beat is
started with ``-S habeat.Scheduler``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured

from habeat.client.location import location_of_app
from habeat.config.from_app import timezone_of
from habeat.contrib.django.celery_app import celery_app
from habeat.errors import HabeatError
from habeat.printable import printable, repr_of

#: What `beat_scheduler` may be; the first is the name of the entry point.
OURS = ("habeat", "habeat.Scheduler", "habeat:Scheduler", "habeat.beat.scheduler:Scheduler")
BEAT_TABLES = "django_celery_beat"


def check_settings(app_configs: Any = None, **options: Any) -> list[CheckMessage]:
    """The warnings about the project's settings."""
    try:
        app = celery_app()
    except ImproperlyConfigured as error:
        return [_warning(1, str(error))]
    try:
        conf = app.conf
        _ = conf.beat_scheduler  # reads the configuration
    except Exception as error:  # the project's own configuration may raise anything
        return [_warning(1, f"The configuration of {_named(app)} cannot be read: {error}")]
    return [message for check in _CHECKS for message in check(app)]


def _check_scheduler(app: Any) -> Iterator[CheckMessage]:
    scheduler = app.conf.beat_scheduler
    if not isinstance(scheduler, str) or scheduler in OURS:
        return
    if BEAT_TABLES in scheduler:
        yield _warning(
            3,
            f"beat_scheduler is {scheduler}, so beat sends the entries in the database and none "
            "of those in this admin.",
            "Set CELERY_BEAT_SCHEDULER = 'habeat.Scheduler'.",
        )
    else:
        yield _warning(
            2,
            f"beat_scheduler is {scheduler}, so beat sends none of the entries in this admin "
            "unless it is started with -S habeat.Scheduler.",
            "Set CELERY_BEAT_SCHEDULER = 'habeat.Scheduler'.",
        )


def _check_tables(app: Any) -> Iterator[CheckMessage]:
    """Two admins for a schedule, one of which has no effect."""
    scheduler = app.conf.beat_scheduler
    if apps.is_installed(BEAT_TABLES) and scheduler in OURS:
        yield _warning(
            4,
            f"{BEAT_TABLES} is installed, and beat does not send the entries in its tables.",
            "Carry its entries over with `celery -A proj habeat migrate --from django`, then "
            f"remove {BEAT_TABLES!r} from INSTALLED_APPS.",
        )


def _check_location(app: Any) -> Iterator[CheckMessage]:
    try:
        location_of_app(app)
    except HabeatError as error:
        yield _warning(5, str(error), _PREFIXED)
    except Exception as error:  # a value of the project's configuration may raise anything
        yield _warning(5, f"The settings of {_named(app)} cannot be read: {error}")


def _check_timezone(app: Any) -> Iterator[CheckMessage]:
    try:
        zone = timezone_of(app.conf)
    except HabeatError as error:
        yield _warning(6, str(error))
        return
    if zone != settings.TIME_ZONE:
        yield _warning(
            6,
            f"Schedules without a time zone of their own use {zone}, but Django's TIME_ZONE is "
            f"{settings.TIME_ZONE}, in which the admin shows times.",
            "Set CELERY_TIMEZONE = TIME_ZONE.",
        )


_PREFIXED = (
    "In settings.py, habeat's settings have the prefix of Celery's namespace, as in "
    "CELERY_HABEAT_REDIS_URL."
)

_CHECKS: tuple[Callable[[Any], Iterator[CheckMessage]], ...] = (
    _check_scheduler,
    _check_tables,
    _check_location,
    _check_timezone,
)


def _named(app: Any) -> str:
    return f"the Celery app {repr_of(app.main)}"


def _warning(number: int, text: str, hint: str | None = None) -> CheckMessage:
    return Warning(printable(text, 1_000), hint=hint, id=f"habeat.W{number:03}")
