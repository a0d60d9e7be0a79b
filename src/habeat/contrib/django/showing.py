"""Entries, records and status as the templates show them: printable text, times in Django's zone.

The templates escape everything. `printable` is for what escaping leaves: control characters, marks
of the reading order, and surrogates, which no page can contain.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from habeat.client import Circuit, Instant, LedgerRecord, Status
from habeat.client.queues import Queues
from habeat.contrib.django.keys import key_of
from habeat.contrib.django.times import local, shown
from habeat.core.entry import Entry
from habeat.entries.spans import milliseconds, relative
from habeat.printable import plural, printable
from habeat.schedules import Schedule

TEXT_CHARS = 500
VALUE_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Row:
    """One entry in the list."""

    key: str
    name: str
    schedule: str
    task: str
    queue: str
    state: str
    note: str
    last: Mapping[str, str]
    next: Mapping[str, str]
    fired: int
    owner: str


def rows(
    entries: Sequence[Entry], app: Any, now: datetime, unknown: Container[str]
) -> Iterator[Row]:
    """The rows of these entries; `unknown` has those whose task beat's code does not register."""
    queues = Queues(app)
    for entry in entries:
        notes = [_why(entry), "unregistered task" if entry.name in unknown else ""]
        yield Row(
            key=key_of(entry.name),
            name=printable(entry.name, TEXT_CHARS),
            schedule=in_words(entry.schedule),
            task=printable(entry.task_name, TEXT_CHARS),
            queue=printable(queues.of(entry), TEXT_CHARS),
            state=entry.condition,
            note="; ".join(note for note in notes if note),
            last=_when(entry.state.last_fired, now),
            next=_when(entry.state.next_due, now),
            fired=entry.state.fired,
            owner=owner_of(entry),
        )


def in_words(schedule: Schedule) -> str:
    """The schedule in words, or the name of its class if that fails."""
    try:
        return printable(schedule.describe(), TEXT_CHARS)
    except Exception:  # a class of the project may raise anything
        return printable(type(schedule).__name__, TEXT_CHARS)


def _when(at: datetime | None, now: datetime) -> dict[str, str]:
    """A time and its distance from now, for a narrow column; nothing for None."""
    if at is None:
        return {}
    return {"distance": relative(at, now), "time": f"{local(at):%Y-%m-%d %H:%M:%S %Z}"}


def owner_of(entry: Entry) -> str:
    """Where the entry comes from, in words."""
    return "beat_schedule" if entry.owner == "config" else "API"


def facts(
    entry: Entry, app: Any, now: datetime, *, with_arguments: bool
) -> Iterator[tuple[str, str]]:
    """What is known of an entry, as labels and texts; arguments only if the user may see them."""
    state = entry.state
    yield "State", entry.condition + (f": {_why(entry)}" if _why(entry) else "")
    if state.paused is not None:
        yield "Paused since", shown(state.paused_at, now)
        yield "Paused until", shown(state.paused_until, now) or "it is resumed"
    yield "Schedule", in_words(entry.schedule)
    none = "none while paused" if entry.condition == "paused" else "none"
    yield "Next run", shown(state.next_due, now) or none
    yield "Last run", shown(state.last_fired, now) or "never"
    left = entry.runs_left(state.fired)
    of = "" if left is None else f" of {entry.max_runs}, {left} left"
    yield "Runs", plural(state.fired, "run") + of
    yield "Task", printable(entry.task_name, TEXT_CHARS)
    yield "Queue", printable(Queues(app).of(entry), TEXT_CHARS)
    yield "Owner", owner_of(entry)
    yield "Tags", printable(", ".join(entry.tags), TEXT_CHARS)
    yield "Description", printable(entry.description, VALUE_CHARS)
    if with_arguments:
        for label, value in (
            ("Positional arguments", entry.args),
            ("Keyword arguments", entry.kwargs),
            ("Options", entry.options),
        ):
            yield label, _json(value)
    yield "Revision", str(entry.rev)


def circuit_text(circuit: Circuit | None) -> str:
    """Why the entry is not sent; "" if it is."""
    if circuit is None:
        return ""
    return printable(
        f"It is not sent, because it failed again and again: {circuit.why}", TEXT_CHARS
    )


def slots(schedule: Schedule, instants: Sequence[Instant], now: datetime) -> list[dict[str, str]]:
    """Slots as the preview shows them, in the schedule's own zone, or else in Django's."""
    has_zone = getattr(schedule, "tz", None) is not None
    return [
        {
            "time": f"{each.nominal if has_zone else local(each.nominal):%a %Y-%m-%d %H:%M:%S %Z}",
            "distance": relative(each.effective, now),
            "marks": _marks(each),
        }
        for each in instants
    ]


def _marks(instant: Instant) -> str:
    marks = ", ".join(instant.marks)
    if not instant.offset:
        return marks
    return f"{marks} (+{milliseconds(round(instant.offset.total_seconds() * 1_000))})"


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One record of the ledger."""

    slot: str
    outcome: str
    late: str
    attempt: int
    task_id: str
    url: str
    result: str
    why: str


def history_rows(
    records: Sequence[LedgerRecord], links: Mapping[str, tuple[str, str]]
) -> Iterator[HistoryRow]:
    """The rows of these records; `links` has the URL and the status of results by task id."""
    for record in records:
        url, result = links.get(record.task_id or "", ("", ""))
        run = f"; {record.count} slots" if record.count > 1 else ""
        yield HistoryRow(
            slot=f"{local(record.slot):%Y-%m-%d %H:%M:%S %Z}",
            outcome=record.outcome,
            late="" if record.lateness_ms is None else milliseconds(record.lateness_ms),
            attempt=record.attempt,
            task_id=record.task_id or "",
            url=url,
            result=result,
            why=printable(record.why, TEXT_CHARS) + run,
        )


def summary(status: Status) -> str:
    """Who leads, and how many entries there are."""
    leader = status.leader
    where = f"{printable(leader.where)} leads" if leader else "no beat leads"
    if leader and not leader.id:  # the client has a scope
        where = "a beat leads"
    standbys = plural(len(status.standbys), "standby", "standbys")
    entries = plural(status.entries.total, "entry", "entries")
    return f"{entries}; {where}; {standbys}"


def sentences(status: Status) -> list[str]:
    """What is wrong with the schedule, as far as this user may know."""
    return [printable(problem, TEXT_CHARS) for problem in status.problems]


def _why(entry: Entry) -> str:
    """The reason of a pause or a quarantine."""
    reason = entry.state.quarantined or entry.state.paused or ""
    return printable(reason, TEXT_CHARS)


def _json(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False, default=str), VALUE_CHARS)
