"""Records of the ledger: as a table, as JSON, and followed as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from time import sleep
from typing import Any

import click

from habeat.cli.printing import COLOURS, exact, plain, say_json_line, short, shown_name
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.client import Client, LedgerRecord, OutcomeName
from habeat.client.history import FOLLOW_EVERY_S
from habeat.entries.spans import milliseconds
from habeat.errors import RedisUnavailable

Row = Sequence[str | Cell]


def record_json(record: LedgerRecord) -> dict[str, Any]:
    """A record for programs."""
    found: dict[str, Any] = plain(record)
    return {**found, "why": record.why}


#: The room for records that are still to come.
_ROOM = {"ENTRY": 24, "SLOT": 19, "OUTCOME": 7, "LATE": 6, "TASK ID": 36, "WHY": 30}


def record_table(*, with_entry: bool, follows: bool = False) -> Table:
    """The table for `record_rows`; without the entry's name if it is the same in all rows.

    If more rows follow, the columns are as wide as most of them need.
    """
    room = _ROOM if follows else {}
    headings = ("ENTRY", "SLOT", "OUTCOME", "LATE", "TASK ID", "WHY")
    gives_way = [
        GivesWay("TASK ID", 9),
        GivesWay("WHY", 30),
        GivesWay("ENTRY", 20),
        GivesWay("WHY", 20),
        GivesWay("ENTRY", 12),
        GivesWay("WHY", 12),
        GivesWay("TASK ID", how="drop"),
        GivesWay("LATE", how="drop"),
    ]
    if with_entry:
        return Table(headings, gives_way, right=("LATE",), room=room)
    gives_way = [each for each in gives_way if each.heading != "ENTRY"]
    return Table(headings[1:], gives_way, right=("LATE",), room=room)


def record_rows(
    records: Sequence[LedgerRecord], now: datetime, *, with_entry: bool = True
) -> Iterator[Row]:
    """The rows of these records."""
    for record in records:
        row = _row(record, now)
        yield row if with_entry else row[1:]


def followed(
    client: Client,
    name: str | None,
    since: datetime | timedelta | None,
    *,
    outcomes: Sequence[OutcomeName],
    limit: int,
    as_json: bool,
) -> None:
    """Print the newest records, oldest first, and then each new one, until the user stops it."""
    newest = client.history(limit=1)
    records = client.history(name, since, limit, outcome=outcomes)[::-1]
    after = _later([*newest, *records])
    table = record_table(with_entry=name is None, follows=True)
    now = client.server_time()
    if as_json:
        for record in records:
            say_json_line(record_json(record))
    else:
        table.print(record_rows(records, now, with_entry=name is None))
    try:
        for record in _news(client, name, outcomes, after):
            if as_json:
                say_json_line(record_json(record))
            else:
                (row,) = record_rows([record], now, with_entry=name is None)
                table.add(row)
    except KeyboardInterrupt:
        click.get_current_context().exit(0)


def _news(
    client: Client, name: str | None, outcomes: Sequence[OutcomeName], after: str
) -> Iterator[LedgerRecord]:
    """The new records; an outage of Redis is noted once, and the next record ends it."""
    lost = False
    while True:
        try:
            for record in client.follow(name, outcome=outcomes, after=after):
                lost, after = False, record.id
                yield record
        except RedisUnavailable as error:
            if not lost:
                click.echo(f"habeat: {error}; still trying", err=True)
            lost = True
            sleep(FOLLOW_EVERY_S)  # what Redis refuses, as a wrong password, fails at once


def _later(records: Sequence[LedgerRecord]) -> str:
    """The id of the latest of these records; one before all records if there is none."""
    ids = [record.id for record in records]
    return max(ids, key=lambda each: tuple(map(int, each.split("-"))), default="0-0")


def _row(record: LedgerRecord, now: datetime) -> list[str | Cell]:
    run = f"{record.count} slots until {short(record.until, now)}" if record.count > 1 else ""
    return [
        Cell(shown_name(record.entry), keeps="ends"),
        exact(record.slot.astimezone()),
        Cell(record.outcome, colour=COLOURS.get(record.outcome, "")),
        milliseconds(record.lateness_ms),
        record.task_id or "-",
        "; ".join(part for part in (record.why, run) if part),
    ]
