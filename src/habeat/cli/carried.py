"""What becomes of each entry on the way to habeat or back, as `migrate` prints it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from habeat.cli.printing import entries_counted, say, when
from habeat.cli.tables import Cell, GivesWay, Table

#: Other beats do not limit the length of a name; a longer one is cut in the table.
_NAME_CHARS = 200
_GIVES_WAY = (GivesWay("WHY", 40), GivesWay("NAME", 24), GivesWay("WHY", 20))


class Carried(Protocol):
    """One entry: what becomes of it, its first slot over there, and why."""

    @property
    def name(self) -> str: ...

    @property
    def action(self) -> StrEnum: ...

    @property
    def first_slot(self) -> datetime | None: ...

    @property
    def why(self) -> str: ...

    @property
    def notes(self) -> Sequence[str]: ...


def say_rows(
    rows: Sequence[Carried],
    words: Mapping[Any, tuple[str, str]],
    look_at: Collection[StrEnum],
    now: datetime,
) -> None:
    """Print the table; `words` has the word and the colour of each action.

    On a narrow terminal, the reasons of the actions in `look_at` follow in full.
    """
    if not rows:
        return
    table = Table(("NAME", "WHAT", "FIRST SLOT", "WHY"), _GIVES_WAY)
    table.print([_cells(row, *words[row.action], now) for row in rows])
    if table.is_narrowed("WHY"):
        for row in rows:
            if row.action in look_at:
                say(f"{_name(row)}: {_why(row)}")


def say_counts(
    rows: Sequence[Carried], summary: Mapping[Any, tuple[str, str]], *, written: bool
) -> None:
    """Print how many entries there are of each action: what was done, or would be."""
    for action, (did, would) in summary.items():
        if count := sum(row.action is action for row in rows):
            say(f"{entries_counted(count)} {did if written else would}")


def rows_json(rows: Sequence[Carried]) -> list[dict[str, Any]]:
    """The rows for programs."""
    return [
        {
            "name": row.name,
            "action": str(row.action),
            "first_slot": row.first_slot,
            "why": row.why,
            "notes": row.notes,
        }
        for row in rows
    ]


def _cells(row: Carried, word: str, colour: str, now: datetime) -> Sequence[str | Cell]:
    return (_name(row), Cell(word, colour=colour), when(row.first_slot, now), _why(row))


def _name(row: Carried) -> str:
    return row.name if len(row.name) <= _NAME_CHARS else f"{row.name[:_NAME_CHARS]}…"


def _why(row: Carried) -> str:
    return "; ".join(each for each in (row.why, *row.notes) if each)
