"""The table of `list`: what fires, what it sends and where to, when next and when last.

On a narrow terminal the distance from now is enough, then names and tasks are shortened, then the
queue, the task and the last run are left out. The time zone of a schedule is cut last: without it,
the hours beside it would be misread.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from datetime import datetime
from typing import Any

from habeat.cli.printing import COLOURS, shown_name, when
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.client.queues import Queues
from habeat.core.entry import Entry
from habeat.entries.spans import relative

#: Marks an entry whose task is not registered, where there is no room for the word.
MARK = "*"

#: In this order, columns give way until the table fits.
_GIVES_WAY = (
    GivesWay("NEXT DUE", how="brief"),
    GivesWay("TASK", 24),
    GivesWay("QUEUE", 12),
    GivesWay("LAST RUN", how="brief"),
    GivesWay("STATE", how="brief"),
    GivesWay("SCHEDULE", how="brief"),
    GivesWay("SCHEDULE", 16, tails=True),
    GivesWay("NAME", 28),
    GivesWay("TASK", 14),
    GivesWay("NAME", 20),
    GivesWay("QUEUE", how="drop"),
    GivesWay("SCHEDULE", 9, tails=True),
    GivesWay("TASK", 10),
    GivesWay("NAME", 14),
    GivesWay("TASK", how="drop"),
    GivesWay("LAST RUN", how="drop"),
    GivesWay("NAME", 10),
    GivesWay("SCHEDULE", 10),
)


def entry_table() -> Table:
    """The table for the rows of `entry_rows`."""
    headings = ("NAME", "TASK", "SCHEDULE", "QUEUE", "NEXT DUE", "LAST RUN", "STATE")
    return Table(headings, _GIVES_WAY, briefly={"NEXT DUE": "NEXT", "LAST RUN": "LAST"})


def entry_rows(
    entries: Sequence[Entry], app: Any, now: datetime, unknown: Container[str] = ()
) -> Iterator[list[str | Cell]]:
    """The rows of these entries; the app knows the queues.

    `unknown` has the names of entries whose task is not registered: they are marked.
    """
    queues = Queues(app)
    for entry in entries:
        due, fired = entry.state.next_due, entry.state.last_fired
        yield [
            Cell(shown_name(entry.name), keeps="ends"),
            Cell(entry.task_name, keeps="end"),
            _schedule(entry),
            queues.of(entry),
            Cell(when(due, now), brief=_roughly(due, now) if due else "-"),
            Cell(relative(fired, now), brief=_roughly(fired, now)) if fired else "never",
            _state(entry, marked=entry.name in unknown),
        ]


def _state(entry: Entry, *, marked: bool) -> Cell:
    if marked:
        full = f"{entry.condition}, unregistered"
        return Cell(full, brief=f"{entry.condition}{MARK}", colour="red")
    return Cell(entry.condition, colour=COLOURS.get(entry.condition, ""))


def _schedule(entry: Entry) -> Cell:
    """The schedule in words; an interval's offset is the first to give way, a zone the last."""
    words = entry.schedule.describe()
    zone = getattr(entry.schedule, "tz", None)
    tail = f", {zone}"
    kept = tail if zone and words.endswith(tail) else ""
    return Cell(words, brief=words.partition(", offset ")[0], tail=kept)


def _roughly(at: datetime, now: datetime) -> str:
    """The distance in its largest unit: "in 2m", "17h ago"."""
    return re.sub(r"(\d+\w) \d+\w", r"\1", relative(at, now))
