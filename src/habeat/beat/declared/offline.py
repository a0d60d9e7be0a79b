"""This code's beat_schedule and settings, read without Redis: for CI and for tests.

Everything is checked as if there were a Redis. If the settings do not say where it is, a
placeholder address is used, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from celery.beat import Scheduler

from habeat.beat.declared.beat_schedule import BeatSchedule, declare
from habeat.config import Settings
from habeat.config.from_app import limits_of, policies_of, timezone_of
from habeat.core.entry import Policies
from habeat.core.known_tasks import KnownTasks
from habeat.core.limits import DEFAULT_LIMITS, Limits
from habeat.errors import SettingsError

#: Settings about where Redis is, which a machine that only reads need not have; and what stands in
#: for them.
PLACE = {"habeat_redis_url": "redis://localhost", "habeat_redis_options": None}
#: What the project's code may raise: it is reported, as beat would end with it.
OF_THE_PROJECT = (Exception, SystemExit)


@dataclass
class OfflineSchedule:
    """What an app declares; `problems` and `notes` are by entry or setting."""

    declared: BeatSchedule = field(default_factory=BeatSchedule)
    #: How many entries beat_schedule has, with those that cannot be used.
    given: int = 0
    limits: Limits = DEFAULT_LIMITS
    policies: Policies = field(default_factory=Policies)
    timezone: str = "UTC"
    #: The registered tasks; None if the code registers none, so that no task counts as unknown.
    known: KnownTasks | None = None
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def read_offline(app: Any, *, with_defaults: bool = False) -> OfflineSchedule:
    """Import the project's modules, and read what this app declares.

    With `with_defaults`, this includes the entries that Celery adds in beat.
    """
    found = OfflineSchedule()
    try:
        app.loader.import_default_modules()
        app.finalize()
    except OF_THE_PROJECT as error:  # its own code, which beat would import, too
        found.problems["imports"] = _in_words(error)
    elsewhere = _read_settings(app, found)
    try:
        given = dict(app.conf.beat_schedule or {})
        if with_defaults:
            given = {**_default_entries(app, given), **given}
        found.timezone = timezone_of(app.conf)
        found.declared = declare(app, given, found.limits, found.policies)
    except OF_THE_PROJECT as error:  # it is not a mapping, or the app has no time zone
        found.problems["beat_schedule"] = _in_words(error)
        return found
    found.given = len(given)
    # A beat may have only the names of its tasks; then no task counts as unregistered.
    if any(not name.startswith("celery.") for name in app.tasks):
        found.known = KnownTasks.of(frozenset(app.tasks), elsewhere)
    return found


def _default_entries(app: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The entries that Celery's own code adds to these, such as `celery.backend_cleanup`."""
    defaults = _Defaults(app, lazy=True)
    defaults.install_default_entries(given)
    return dict(defaults.data)


class _Defaults(Scheduler):
    """Celery's scheduler, which keeps the entries that it would add as they are."""

    def update_from_dict(self, dict_: dict[str, Any]) -> None:
        self.data.update(dict_)


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _read_settings(app: Any, found: OfflineSchedule) -> tuple[str, ...]:
    """Take in the settings, and what is wrong with them; returns the tasks of other apps."""
    place: dict[str, Any] = {}
    while True:
        try:
            settings = Settings.from_conf(_Placed(app.conf, place), app_main=app.main)
            found.limits, found.policies = limits_of(settings, app.conf), policies_of(settings)
            return settings.remote_tasks
        except SettingsError as error:
            if error.setting not in PLACE or error.setting in place:
                found.problems[error.setting] = str(error)
                break
            found.notes[error.setting] = str(error)
            # Options may fit only the URL that they are for, so that is replaced as well.
            both = error.setting == "habeat_redis_options"
            place |= PLACE if both else {error.setting: PLACE[error.setting]}
        except OF_THE_PROJECT as error:  # Celery reads the configuration's module on first use
            found.problems["settings"] = _in_words(error)
            break
    found.limits, found.policies = DEFAULT_LIMITS, Policies()
    return ()


class _Placed:
    """A configuration in which the values of `place` replace those of the same names."""

    def __init__(self, conf: Any, place: dict[str, Any]) -> None:
        self._conf = conf
        self._place = place

    def get(self, key: str, default: Any = None, /) -> Any:
        return self._place[key] if key in self._place else self._conf.get(key, default)

    def keys(self) -> Iterable[Any]:
        found: Iterable[Any] = self._conf.keys()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conf, name)
