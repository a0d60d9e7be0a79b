"""``check``: whether this code's beat_schedule can be used; without Redis, for CI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click

from habeat.beat.declared.offline import OF_THE_PROJECT, PLACE, read_offline
from habeat.cli.group import HabeatCommand, bad, client_app, json_option
from habeat.cli.printing import entries_counted, say, say_json
from habeat.clock import SystemClock
from habeat.core.entry import Entry
from habeat.core.known_tasks import KnownTasks
from habeat.schedules.custom import Code


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
    failed = bool(found.problems) or (strict and any(name not in PLACE for name in found.notes))
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
    read = read_offline(app)
    found = Findings(read.given, {**read.problems, **read.declared.broken}, read.notes)
    for name, entry in read.declared.entries.items():
        if note := _note(entry, read.known):
            found.notes[name] = note
    return found


def _note(entry: Entry, known: KnownTasks | None) -> str:
    """What deserves a look about an entry that can be scheduled; "" if nothing does."""
    if known is not None and not known.has(entry.task_name):
        return (
            f"the task {entry.task_name} is not registered in this code: if another app serves it, "
            "name it in habeat_remote_tasks"
        )
    try:
        never = entry.next_slot_ms(SystemClock().wall_ms()) is None
    except OF_THE_PROJECT as error:  # the schedule's own code
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
