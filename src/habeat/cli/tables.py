"""Tables that fit the terminal, and are complete everywhere else.

In a pipe or a file, nothing is cut. On a terminal that is too narrow, the columns give way in the
order that the table names, a little at first, until the rows fit; a column that was left out is
named below the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import click

from habeat.cli.printing import colours
from habeat.cli.wrapping import terminal_columns, width_of, width_of_character
from habeat.printable import printable

GAP = "  "
_CUT = "…"


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of one cell.

    `brief` replaces it where the column gives way. `tail` is the end of the text that is kept when
    the rest is cut. `keeps` says which part of the text is kept otherwise. `colour` is one of
    click's.
    """

    text: str
    brief: str = ""
    tail: str = ""
    keeps: Literal["start", "ends", "end"] = "start"
    colour: str = ""


@dataclass(frozen=True, slots=True)
class GivesWay:
    """One step of making room.

    A column of this heading shrinks, but not below `to`, or is left out, or shows `brief` texts.
    `tails` adds the room for the longest tail to `to`.
    """

    heading: str
    to: int = 0
    how: Literal["shrink", "brief", "drop"] = "shrink"
    tails: bool = False


@dataclass
class Table:
    """Rows of cells under headings.

    `right` has the headings of right-aligned columns, `briefly` the headings of columns that show
    `brief` texts, where they differ. `room` has the widths of columns whose rows are not all known
    when the table begins.
    """

    headings: Sequence[str]
    gives_way: Sequence[GivesWay] = ()
    right: Sequence[str] = ()
    briefly: Mapping[str, str] = field(default_factory=dict)
    room: Mapping[str, int] = field(default_factory=dict)
    _shown: list[int] = field(default_factory=list, init=False)
    _widths: dict[int, int] = field(default_factory=dict, init=False)
    _brief: set[int] = field(default_factory=set, init=False)
    _narrowed: set[int] = field(default_factory=set, init=False)
    _dropped: list[str] = field(default_factory=list, init=False)

    def print(self, rows: Iterable[Sequence[str | Cell]]) -> None:
        """Print the headings and these rows; name the columns that are left out."""
        cells = [_cells(row) for row in rows]
        self._fit(cells)
        heads = [self._head(at) for at in range(len(self.headings))]
        click.echo(self._line(heads, bold=True), color=colours())
        for row in cells:
            click.echo(self._line(row), color=colours())
        if self._dropped:
            missing = ", ".join(self._dropped)
            click.echo(f"no room for {missing}: widen the terminal, or use a pipe")

    def is_narrowed(self, heading: str) -> bool:
        """Whether texts of this column may have been cut in what was printed."""
        return self.headings.index(heading) in self._narrowed

    def add(self, row: Sequence[str | Cell]) -> None:
        """Print one more row, in the columns as they are."""
        click.echo(self._line(_cells(row)), color=colours())

    def _fit(self, rows: Sequence[Sequence[Cell]]) -> None:
        self._shown = list(range(len(self.headings)))
        self._brief, self._narrowed, self._dropped = set(), set(), []
        self._widths = {at: self._wanted(at, rows) for at in self._shown}
        room = terminal_columns()
        if room is None:
            return
        for step in self.gives_way:
            excess = self._total() - room
            if excess <= 0:
                break
            self._give_way(step, excess, rows)
        self._give_back(room, rows)

    def _give_back(self, room: int, rows: Sequence[Sequence[Cell]]) -> None:
        """Give the room of a dropped column to the others; the last to shrink comes first."""
        for step in reversed(self.gives_way):
            at = list(self.headings).index(step.heading)
            if at in self._shown:
                left = max(0, room - self._total())
                self._widths[at] = min(self._wanted(at, rows), self._widths[at] + left)

    def _give_way(self, step: GivesWay, excess: int, rows: Sequence[Sequence[Cell]]) -> None:
        at = list(self.headings).index(step.heading)
        if at not in self._shown:
            return
        if step.how == "drop":
            self._shown.remove(at)
            self._dropped.append(step.heading)
            return
        if step.how == "brief":
            self._brief.add(at)
            self._widths[at] = self._wanted(at, rows)
            return
        tails = max((width_of(row[at].tail) for row in rows), default=0) if step.tails else 0
        self._narrowed.add(at)
        least = max(step.to + tails, width_of(self._text(at, self._head(at))))
        self._widths[at] = min(self._widths[at], max(least, self._widths[at] - excess))

    def _wanted(self, at: int, rows: Sequence[Sequence[Cell]]) -> int:
        head = self._head(at)
        widest = max(width_of(self._text(at, cell)) for cell in (head, *(row[at] for row in rows)))
        return max(widest, self.room.get(self.headings[at], 0))

    def _head(self, at: int) -> Cell:
        return Cell(self.headings[at], self.briefly.get(self.headings[at], ""))

    def _total(self) -> int:
        return sum(self._widths[at] for at in self._shown) + len(GAP) * (len(self._shown) - 1)

    def _text(self, at: int, cell: Cell) -> str:
        return (cell.brief or cell.text) if at in self._brief else cell.text

    def _line(self, row: Sequence[Cell], *, bold: bool = False) -> str:
        parts = []
        for at in self._shown:
            cell, width = row[at], self._widths[at]
            text = self._text(at, cell)
            if at in self._narrowed:  # others are whole, also in a row that comes later
                text = cut(cell, text, width)
            padding = " " * (width - width_of(text))
            if at == self._shown[-1] and self.headings[at] not in self.right:
                padding = ""
            if bold or cell.colour:
                text = click.style(text, fg=cell.colour or None, bold=bold or None)
            parts.append(padding + text if self.headings[at] in self.right else text + padding)
        return GAP.join(parts).rstrip()


def cut(cell: Cell, text: str, width: int) -> str:
    """`text` in at most `width` columns, with a mark where something was left out."""
    if _reach(text, width) == len(text):  # a long text is not measured to its end
        return text
    if cell.tail and text.endswith(cell.tail):
        left = width - width_of(cell.tail) - 1
        if left > 1:
            return _first(text, left).rstrip() + _CUT + cell.tail
    if cell.keeps == "end":
        return _CUT + _last(text, width - 1)
    if cell.keeps == "ends":
        end = (width - 1) // 2
        return _first(text, width - 1 - end) + _CUT + _last(text, end)
    return _first(text, width - 1) + _CUT


def _first(text: str, width: int) -> str:
    return text[: _reach(text, width)]


def _last(text: str, width: int) -> str:
    return text[len(text) - _reach(reversed(text), width) :]


def _reach(chars: Iterable[str], width: int) -> int:
    """How many of these characters, from the first one on, fit into `width` columns."""
    count = 0
    for char in chars:
        width -= width_of_character(char)
        if width < 0:
            break
        count += 1
    return count


def _cells(row: Sequence[str | Cell]) -> list[Cell]:
    return [_printable(cell if isinstance(cell, Cell) else Cell(cell)) for cell in row]


def _printable(cell: Cell) -> Cell:
    return Cell(
        printable(cell.text), printable(cell.brief), printable(cell.tail), cell.keeps, cell.colour
    )
