"""The ledger and the stored events: as a table, as JSON, and followed as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import sleep
from typing import Any

import click

from habeat.cli.printing import COLOURS, exact, plain, say_json_line, short, shown_name
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.client import Client, Event, LedgerRecord, OutcomeName
from habeat.client.history import FOLLOW_EVERY_S
from habeat.entries.spans import milliseconds
from habeat.errors import RedisUnavailable

Row = Sequence[str | Cell]
#: What `history` shows: outcomes of slots, and what happened to the schedule as a whole.
Item = LedgerRecord | Event


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show; `name` is None for all entries."""

    name: str | None
    since: datetime | timedelta | None = None
    until: datetime | timedelta | None = None
    outcomes: Sequence[OutcomeName] = ()
    with_events: bool = False
    is_wide: bool = False
    limit: int = 20

    def newest(self, client: Client, count: int) -> list[Item]:
        """The newest `count` records and events, newest first."""
        found: list[Item] = list(
            client.history(self.name, self.since, count, outcome=self.outcomes, until=self.until)
        )
        if self.with_events:
            found += client.events(self.since, self.until, count)
            found.sort(key=_order, reverse=True)
        return found[:count]

    def table(self, *, follows: bool = False) -> Table:
        """The table for `rows`; without the entry's name if it is the same in all rows.

        If more rows follow, the columns are as wide as most of them need.
        """
        headings = ["ENTRY", "SLOT", "OUTCOME", "LATE", "TASK ID"]
        if self.is_wide:
            headings += ["QUEUE", "LEADER", "EPOCH"]
        headings.append("WHY")
        gives_way = [each for each in _GIVES_WAY if each.heading in headings]
        if self.name is not None:
            headings = headings[1:]
            gives_way = [each for each in gives_way if each.heading != "ENTRY"]
        return Table(headings, gives_way, right=("LATE",), room=_ROOM if follows else {})

    def rows(self, items: Sequence[Item], now: datetime) -> Iterator[Row]:
        """The rows of these records and events."""
        for item in items:
            row = _event_row(item) if isinstance(item, Event) else _row(item, now)
            if not self.is_wide:
                row = [*row[:5], row[-1]]
            yield row if self.name is None else row[1:]


def item_json(item: Item) -> dict[str, Any]:
    """A record or an event for programs; `kind` says which."""
    found: dict[str, Any] = plain(item)
    if isinstance(item, Event):
        return {"kind": "event", **found, "span_ms": item.span_ms, "why": item.sentence}
    return {"kind": "slot", **found, "why": item.why}


#: The room for records that are still to come.
_ROOM = {
    **{"ENTRY": 24, "SLOT": 19, "OUTCOME": 7, "LATE": 6, "TASK ID": 36, "WHY": 30},
    **{"QUEUE": 10, "LEADER": 20, "EPOCH": 13},
}

_GIVES_WAY = [
    GivesWay("EPOCH", how="drop"),
    GivesWay("TASK ID", 9),
    GivesWay("WHY", 30),
    GivesWay("ENTRY", 20),
    GivesWay("LEADER", 12),
    GivesWay("WHY", 20),
    GivesWay("ENTRY", 12),
    GivesWay("WHY", 12),
    GivesWay("TASK ID", how="drop"),
    GivesWay("LATE", how="drop"),
]


def followed(client: Client, wanted: Wanted, *, as_json: bool) -> None:
    """Print the newest items, oldest first, and then each new one, until the user stops it."""
    news = _News(client, wanted)
    found = wanted.newest(client, wanted.limit)[::-1]
    news.skip(found)
    table = wanted.table(follows=True)
    now = client.server_time()
    if as_json:
        for item in found:
            say_json_line(item_json(item))
    else:
        table.print(wanted.rows(found, now))
    try:
        for item in news.items():
            if as_json:
                say_json_line(item_json(item))
            else:
                (row,) = wanted.rows([item], now)
                table.add(row)
    except KeyboardInterrupt:
        click.get_current_context().exit(0)


class _News:
    """The new records and events; an outage of Redis is noted once, and an answer ends it."""

    def __init__(self, client: Client, wanted: Wanted) -> None:
        newest = client.history(limit=1)
        after = _later(newest)
        self._records = client._follower(wanted.name, wanted.outcomes, after)
        self._events = client._event_follower() if wanted.with_events else None
        if self._events is not None:
            self._events.look()
        self._shown: set[tuple[bool, str]] = set()
        self._wait = client._calls.wait

    def skip(self, items: Sequence[Item]) -> None:
        """Note that these have been shown."""
        self._shown = set(map(_identity, items))

    def items(self) -> Iterator[Item]:
        lost = False
        while True:
            try:
                found, lost = self._look(), False
            except RedisUnavailable as error:
                if not lost:
                    click.echo(f"habeat: {error}; still trying", err=True)
                lost, found = True, []
            yield from found
            if lost:
                sleep(FOLLOW_EVERY_S)  # what Redis refuses, such as a wrong password, fails at once
            elif self._records.is_caught_up:
                self._wait(FOLLOW_EVERY_S)

    def _look(self) -> list[Item]:
        found: list[Item] = [] if self._events is None else list(self._events.look())
        found += self._records.look()
        return sorted((each for each in found if _identity(each) not in self._shown), key=_order)


def _identity(item: Item) -> tuple[bool, str]:
    """An event and a record may have the same id."""
    return isinstance(item, Event), item.id


def _order(item: Item) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in item.id.split("-"))


def _later(records: Sequence[LedgerRecord]) -> str:
    """The id of the latest of these records; one before all records if there is none."""
    return max(records, key=_order).id if records else "0-0"


def _row(record: LedgerRecord, now: datetime) -> list[str | Cell]:
    run = f"{record.count} slots until {short(record.until, now)}" if record.count > 1 else ""
    return [
        Cell(shown_name(record.entry), keeps="ends"),
        exact(record.slot.astimezone()),
        Cell(record.outcome, colour=COLOURS.get(record.outcome, "")),
        milliseconds(record.lateness_ms),
        record.task_id or "-",
        record.queue or "-",
        record.where or "-",
        str(record.lease_epoch or "-"),
        "; ".join(part for part in (record.why, run) if part),
    ]


def _event_row(event: Event) -> list[str | Cell]:
    return [
        Cell(shown_name(event.entry) if event.entry else "-", keeps="ends"),
        exact(event.at.astimezone()),
        Cell("event", colour="cyan"),
        "-",
        "-",
        "-",
        event.by.where if event.by.id or event.by.host else "-",
        str(event.by.lease_epoch or "-"),
        event.sentence,
    ]
