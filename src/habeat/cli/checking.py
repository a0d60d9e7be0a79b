"""``check``: whether this code's beat_schedule can be used; without Redis, for CI."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import click

from habeat.beat.declared.beat_schedule import declare
from habeat.cli.group import HabeatCommand, bad, client_app, json_option
from habeat.cli.printing import entries_counted, say, say_json
from habeat.clock import SystemClock
from habeat.config import Settings
from habeat.config.from_app import limits_of, policies_of
from habeat.core.entry import Entry, Policies
from habeat.core.known_tasks import KnownTasks
from habeat.core.limits import DEFAULT_LIMITS, Limits
from habeat.errors import SettingsError
from habeat.schedules.custom import Code

#: Settings about where Redis is, which a machine that only checks need not have; and what stands
#: in for them, so that everything else is judged as on a machine that has them.
_PLACE = {"habeat_redis_url": "redis://localhost", "habeat_redis_options": None}
#: What the project's code may raise: `check` reports it, as beat would end with it.
_OF_THE_PROJECT = (Exception, SystemExit)


@dataclass
class Findings:
    """What a check has found: problems by entry or setting, and notes, which deserve a look."""

    entries: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@click.command("check", cls=HabeatCommand)
@click.option("--strict", is_flag=True, help="Notes about entries make the check fail, too.")
@json_option
def check_command(strict: bool, as_json: bool) -> None:
    """Check this code's beat_schedule, without Redis.

    Exits with status 1 if beat would not schedule an entry, or would not start. Notes are about
    tasks that the code does not register, entries that never fire, and a Redis that is not set.
    """
    found = checked(client_app())
    failed = bool(found.problems) or (strict and any(name not in _PLACE for name in found.notes))
    if as_json:
        say_json(
            {
                "valid": not failed,
                "entries": found.entries,
                "problems": found.problems,
                "notes": found.notes,
            }
        )
    else:
        _say(found, failed)
    if failed:
        bad()


def checked(app: Any) -> Findings:
    """Check the settings and the entries of this app."""
    found = Findings()
    try:
        app.loader.import_default_modules()
        app.finalize()
    except _OF_THE_PROJECT as error:  # its own code, which beat would import, too
        found.problems["imports"] = f"{type(error).__name__}: {error}"
    limits, policies, elsewhere = _from_settings(app, found)
    try:
        given = dict(app.conf.beat_schedule or {})
        declared = declare(app, given, limits, policies)
    except _OF_THE_PROJECT as error:  # it is no mapping, or the app has no time zone
        found.problems["beat_schedule"] = f"{type(error).__name__}: {error}"
        return found
    found.entries = len(given)
    found.problems |= declared.broken
    # A beat may have only the names of its tasks; then none of them says anything.
    has_tasks = any(not name.startswith("celery.") for name in app.tasks)
    known = KnownTasks.of(frozenset(app.tasks), elsewhere) if has_tasks else None
    for name, entry in declared.entries.items():
        if note := _note(entry, known):
            found.notes[name] = note
    return found


def _from_settings(app: Any, found: Findings) -> tuple[Limits, Policies, tuple[str, ...]]:
    """What the settings say about entries; what is wrong with the settings goes to `found`."""
    place: dict[str, Any] = {}
    while True:
        try:
            settings = Settings.from_conf(_Placed(app.conf, place), app_main=app.main)
            return limits_of(settings, app.conf), policies_of(settings), settings.remote_tasks
        except SettingsError as error:
            if error.setting not in _PLACE or error.setting in place:
                found.problems[error.setting] = str(error)
                break
            found.notes[error.setting] = str(error)
            # Options may fit only the URL that they are for, so that is replaced as well.
            both = error.setting == "habeat_redis_options"
            place |= _PLACE if both else {error.setting: _PLACE[error.setting]}
        except _OF_THE_PROJECT as error:  # Celery reads the configuration's module on first use
            found.problems["settings"] = f"{type(error).__name__}: {error}"
            break
    return DEFAULT_LIMITS, Policies(), ()


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


def _note(entry: Entry, known: KnownTasks | None) -> str:
    """What deserves a look about an entry that can be scheduled; "" if nothing does."""
    if known is not None and not known.has(entry.task_name):
        return (
            f"the task {entry.task_name} is not registered in this code: if another app serves it, "
            "name it in habeat_remote_tasks"
        )
    try:
        never = entry.next_slot_ms(SystemClock().wall_ms()) is None
    except _OF_THE_PROJECT as error:  # the schedule's own code
        return f"its schedule failed: {type(error).__name__}: {error}"
    is_code = isinstance(entry.schedule, Code)  # which is not enumerated
    return "it never fires: its schedule has no slots from now on" if never and not is_code else ""


def _say(found: Findings, failed: bool) -> None:
    for name, why in found.problems.items():
        say(f"{name}: {why}", "red")
    for name, why in found.notes.items():
        say(f"note: {name}: {why}", "yellow")
    total = entries_counted(found.entries)
    if not failed:
        say(f"beat_schedule is valid: {total}")
    elif found.problems:
        say(f"beat_schedule is not valid: {total}, {len(found.problems)} with a problem", "red")
    else:
        say(f"beat_schedule is valid, but has notes: {total}", "yellow")
