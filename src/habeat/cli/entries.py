"""``list`` and ``show``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from habeat.beat.message.template_limits import why_not_app, why_not_entry
from habeat.cli.changes import change_json, full_change
from habeat.cli.completion import name_argument
from habeat.cli.errors import as_typed
from habeat.cli.group import client_app, command, json_option
from habeat.cli.listing import MARK, entry_rows, entry_table
from habeat.cli.printing import entries_counted, entry_json, full, pairs, plain, say, say_json
from habeat.cli.records import Wanted, item_json
from habeat.cli.slots import instant_json, instant_rows
from habeat.cli.watching import ADD_ONE, circuit_json, circuit_line, pause_line
from habeat.client import Client, Condition, Owner
from habeat.client.queues import Queues
from habeat.client.selection import CONDITIONS, OWNERS
from habeat.core.catchup import promise
from habeat.core.circuit import Circuit
from habeat.core.entry import POLICIES, Entry, Policies, instant
from habeat.entries.fields import FIELDS
from habeat.printable import plural
from habeat.schedules.in_words import duration

#: The mark of an entry whose task beat's code does not register.
UNREGISTERED = "unregistered task"
#: The states in which an entry does not fire, although its schedule has slots.
IDLE = ("paused", "disabled", "quarantined")
SLOTS_SHOWN = 5
RECORDS_SHOWN = 5


@command("list")
@click.option("--prefix", default="", help="Entries whose names start with this.")
@click.option(
    "--tag", "tags", multiple=True, help="Entries with this tag; repeat to require several."
)
@click.option("--owner", type=click.Choice(OWNERS), help="api, or config for beat_schedule.")
@click.option("--state", type=click.Choice(CONDITIONS), help="Entries in this state.")
@json_option
def list_command(
    client: Client,
    prefix: str,
    tags: Sequence[str],
    owner: Owner | None,
    state: Condition | None,
    as_json: bool,
) -> None:
    """List entries by name."""
    entries = list(client.list(prefix=prefix, tags=tags, owner=owner, state=state))
    unknown = client.unregistered(entries)
    if as_json:
        say_json([{**entry_json(each), "unregistered": each.name in unknown} for each in entries])
        return
    if not entries:
        filtered = prefix or tags or owner or state
        say(
            "no entry matches; leave the options out to list all"
            if filtered
            else f"no entries yet; {as_typed(ADD_ONE)}"
        )
        return
    now = client.server_time()
    entry_table().print(entry_rows(entries, client_app(), now, unknown))
    say(_summary(entries))
    _say_if_paused(client, now)
    if unknown:
        count = entries_counted(len(unknown))
        say(f"{MARK} {count} with an {UNREGISTERED}: beat's code does not have it")


@command("show")
@name_argument()
@json_option
def show_command(client: Client, name: str, as_json: bool) -> None:
    """Show an entry, its next slots and its latest outcomes."""
    entry = client.get(name)
    now = client.server_time()
    slots = client.preview(name, SLOTS_SHOWN)
    records = client.history(name, limit=RECORDS_SHOWN)
    circuit, changed = client.circuit(name), client.last_change(name)
    unknown = bool(client.unregistered([entry]))
    if as_json:
        shown = [instant_json(slot) for slot in slots]
        promised = promise(client.policies(entry))
        more = {
            "catch_up": promised,
            "message": _message(entry),
            "circuit": circuit_json(circuit) if circuit else None,
            "unregistered": unknown,
            "last_change": None if changed is None else change_json(changed),
            "next_slots": shown,
            "last_records": [item_json(record) for record in records],
        }
        say_json({**entry_json(entry), **more})
        return
    fields = _fields(entry, client.policies(entry), now, circuit)
    pairs([*fields, ("last change", full_change(changed, now))])
    if unknown:
        say()
        say(f"{UNREGISTERED.upper()}: it is sent, but beat's code does not have {entry.task_name}")
    say()
    _say_if_paused(client, now)
    idle = entry.condition in IDLE
    say("next slots" + (f"; none fires while it is {entry.condition}" if idle else ""))
    if slots:
        instant_rows(slots, now)
    else:
        say("  none: the schedule has no slots left, or is unreadable")
    say()
    say("last records")
    if records:
        wanted = Wanted(entry.name)
        wanted.table().print(wanted.rows(records, now))
    else:
        say("  none yet")


def _say_if_paused(client: Client, now: datetime) -> None:
    pause = client.schedule_paused()
    if pause is not None:
        say(f"paused: {pause_line(pause, now)}", "yellow")


def _summary(entries: Sequence[Entry]) -> str:
    counts = Counter(entry.condition for entry in entries)
    words = ", ".join(f"{counts[word]} {word}" for word in CONDITIONS if counts[word])
    return f"{entries_counted(len(entries))}: {words}"


def _fields(
    entry: Entry, policies: Policies, now: datetime, circuit: Circuit | None
) -> Iterator[tuple[str, str]]:
    state = entry.state
    yield "name", entry.name
    yield "state", _condition(entry, now)
    if circuit:
        yield "circuit", circuit_line(circuit)
    yield "owner", "beat_schedule" if entry.owner == "config" else "the API"
    yield "task", entry.task_name
    if not isinstance(entry.task, str):
        yield "signature", _json(entry.task)
    yield "schedule", entry.schedule.describe()
    yield "queue", Queues(client_app()).of(entry)
    yield "args", _json(entry.args)
    yield "kwargs", _json(entry.kwargs)
    yield "options", _json(entry.options)
    yield "tags", ", ".join(entry.tags) or "none"
    yield "description", entry.description or "none"
    yield "enabled", "yes" if entry.enabled else "no"
    if entry.calendars:
        yield "calendars", ", ".join(entry.calendars)
    yield from _bounds(entry, now)
    yield "catch-up", promise(policies)
    yield "delivery", str(entry.delivery or "the app's default")
    yield "message", _message(entry)
    if entry.from_code:
        yield "from code", ", ".join(entry.from_code)
    yield "next due", _next_due(entry, now)
    yield "last fired", full(state.last_fired, now)
    yield "fired", plural(state.fired, "time") + _of_runs(entry)
    yield "created", full(instant(entry.created_ms or None), now)
    yield "revision", str(entry.rev)


def _condition(entry: Entry, now: datetime) -> str:
    state = entry.state
    if state.quarantined is not None:
        return f"quarantined: {state.quarantined}"
    if state.paused is not None:
        why = f": {state.paused}" if state.paused else ""
        end = instant(state.paused_until_ms)
        until = f" until {full(end, now)}" if end else ""
        return f"paused since {full(instant(state.paused_at_ms), now)}{until}{why}"
    return entry.condition


def _next_due(entry: Entry, now: datetime) -> str:
    if entry.condition == "paused" and entry.state.next_due is None:
        return "none while paused"
    return full(entry.state.next_due, now)


def _bounds(entry: Entry, now: datetime) -> Iterator[tuple[str, str]]:
    """Bounds and offsets; only those that are set."""
    for field in FIELDS:
        value = getattr(entry, field.stored)
        if field.is_instant and value is not None:
            yield field.name, full(instant(value), now)
        elif field.is_span and value and field.stored not in POLICIES:
            yield field.name, duration(value)


def _of_runs(entry: Entry) -> str:
    left = entry.runs_left(entry.state.fired)
    return "" if left is None else f" of {entry.max_runs}, {left} left"


def _message(entry: Entry) -> str:
    """How the entry's messages are built, judging by this process's own app."""
    app = client_app()
    if app.conf.get("habeat_template") is False:
        return "built by Celery each time: habeat_template is False"
    try:
        why = why_not_app(app) or why_not_entry(app, entry)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    return f"built by Celery each time: {why}" if why else "built from a template"


def _json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, default=str)
