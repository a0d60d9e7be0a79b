"""The changes of entries: for `show` the last one, for `history --changes` a table.

The table also has the changes of the whole schedule: pauses, holds, calendars.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from habeat.cli.printing import exact, full, plain, say, say_json, shown_name
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.client import ChangeRecord, Client, FieldChange
from habeat.printable import printable
from habeat.schedules import from_json

#: A value in a table is cut to this length.
VALUE_CHARS = 60


def change_json(record: ChangeRecord) -> dict[str, Any]:
    """A change for programs."""
    found: dict[str, Any] = plain(record)
    return found


def full_change(record: ChangeRecord | None, now: datetime) -> str:
    """A change in one line: when, by whom and how, and what."""
    if record is None:
        return "not in the change log"
    who = f" by {record.by}" if record.by else ""
    what = _what(record)
    return f"{record.act} {full(record.at, now)}{who} ({record.way}){f': {what}' if what else ''}"


def say_changes(
    client: Client,
    name: str | None,
    since: datetime | timedelta | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Print the changes of one entry, or of all, newest first."""
    found = client.changes(name, since, limit + 1)
    records = found[:limit]
    if as_json:
        say_json([change_json(record) for record in records])
        return
    if not records:
        say(
            "no changes in the change log in that time" if since else "no changes in the change log"
        )
        return
    _table(with_entry=name is None).print(_rows(records, with_entry=name is None))
    if len(found) > limit:
        say(f"older changes are not shown; for more, give a --limit above {limit}")


def _table(*, with_entry: bool) -> Table:
    headings = ("ENTRY", "AT", "CHANGE", "BY", "WAY", "FIELDS")
    gives_way = [
        GivesWay("FIELDS", 40),
        GivesWay("ENTRY", 20),
        GivesWay("BY", 12),
        GivesWay("FIELDS", 24),
        GivesWay("ENTRY", 12),
        GivesWay("BY", 8),
        GivesWay("WAY", how="drop"),
        GivesWay("FIELDS", 12),
    ]
    if with_entry:
        return Table(headings, gives_way)
    return Table(headings[1:], [each for each in gives_way if each.heading != "ENTRY"])


def _rows(records: Sequence[ChangeRecord], *, with_entry: bool) -> Iterator[list[str | Cell]]:
    for record in records:
        row: list[str | Cell] = [
            Cell(_subject(record), keeps="ends"),
            exact(record.at.astimezone()),
            f"{_kind(record)} {record.act}".lstrip(),
            record.by or "-",
            record.way,
            _what(record) or "-",
        ]
        yield row if with_entry else row[1:]


def _kind(record: ChangeRecord) -> str:
    """What was changed if it is not an entry: the schedule, a hold, a calendar."""
    kind = record.control.partition(":")[0]
    return "schedule" if kind == "pause" else printable(kind)


def _subject(record: ChangeRecord) -> str:
    """The name of the entry, the hold or the calendar; "-" for the schedule as a whole."""
    name = record.control.partition(":")[2] if record.control else record.entry
    return shown_name(name) if name else "-"


def _what(record: ChangeRecord) -> str:
    """The fields in words; of an entry that was added or removed, how it was then."""
    return fields_in_words(record.fields, record.act)


def fields_in_words(fields: Mapping[str, FieldChange], act: str) -> str:
    """The fields of a change; `act` is as in a record of the change log."""
    return ", ".join(_field(name, each, act) for name, each in fields.items())


def _field(name: str, change: FieldChange, act: str) -> str:
    if not change.kept:
        return name if act in ("added", "removed") else f"{name} changed"
    before, after = (_value(name, each) for each in (change.before, change.after))
    if act in ("added", "removed"):
        return f"{name} {after if act == 'added' else before}"
    return f"{name} {before} → {after}"


def _value(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name == "schedule":
        try:
            return printable(from_json(value).describe(), VALUE_CHARS)
        except Exception:  # of another release, or damaged
            return "unreadable"
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(words, VALUE_CHARS) or '""'
