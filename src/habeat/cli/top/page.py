"""The lines of the screen: who leads, how late, what is wrong, what is due next, what was sent.

A line is made of cells whose widths are known, and each is cut before it is coloured. So no line is
wider than the screen, whatever the names contain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from habeat.cli.errors import as_typed
from habeat.cli.printing import COLOURS, shown_name
from habeat.cli.sparkline import sparkline
from habeat.cli.tables import Cell, cut
from habeat.cli.top.looking import View
from habeat.cli.top.window import LATELY, SPAN, Window
from habeat.cli.watching import states_in_words
from habeat.cli.wrapping import width_of
from habeat.client import Event, LedgerRecord, Replica, Status
from habeat.core.health import Finding, Severity
from habeat.core.leadership import CAUSES
from habeat.entries.spans import milliseconds, relative, span
from habeat.printable import plural, printable
from habeat.schedules.schedule import moment

LABEL = 10
#: From this width on, what is due and what was sent stand side by side.
WIDE = 120
#: At most this many sentences say what is wrong, and this many lines name replicas.
PROBLEMS_SHOWN = 5
STANDBYS_SHOWN = 3
#: Columns of the drawn figures, and of the parts of a row besides the name of the entry.
SPARK = 30
DUE_WIDTH, RECORD_WIDTH = 24, 38
NAME_LEAST, NAME_MOST = 8, 40
#: The rest of the row.
WHOLE = 10_000
#: In place of a style, for cells that have the name of an entry.
NAME = "name"
KEYS = "q quit   p pause   / filter"

Paint = Callable[[str, str], str]


@dataclass(slots=True)
class Wishes:
    """What the person at the keyboard has chosen.

    `filter` is a part of the names to show, and `is_typing` says that it is being typed.
    """

    filter: str = ""
    is_typing: bool = False
    is_paused: bool = False

    def wants(self, name: str) -> bool:
        return self.filter.casefold() in name.casefold()


def painted(text: str, style: str) -> str:
    """`text` in a colour of click's, or bold, dim or reverse."""
    if style in ("bold", "dim", "reverse"):
        return click.style(text, **{style: True})
    return click.style(text, fg=style) if style else text


def unpainted(text: str, style: str) -> str:
    """`text` as it is."""
    return text


class Page:
    """Makes the lines for one size of the screen."""

    def __init__(self, columns: int, lines: int | None, paint: Paint, where: str) -> None:
        """`where` names the schedule. With `lines` of None, all that is known is shown."""
        self._columns, self._lines, self._paint, self._where = columns, lines, paint, where

    def of(self, view: View, wishes: Wishes) -> list[str]:
        """The lines that show this view."""
        head = [self._title(view, wishes), *self._head(view)]
        if self._lines is None:
            return [*head, *self._body(view, wishes, None)]
        foot = self._foot(view, wishes)
        body = list(self._body(view, wishes, max(0, self._lines - len(head) - 1)))
        lines = [*head, *body][: self._lines - 1]
        return [*lines, *[""] * (self._lines - 1 - len(lines)), foot]

    # -- head -------------------------------------------------------------------------------

    def _title(self, view: View, wishes: Wishes) -> str:
        word, style = _verdict(view)
        word = f"{word}, PAUSED" if wishes.is_paused else word
        clock = f"{view.at.astimezone():%H:%M:%S}" if view.at else ""
        room = self._columns - width_of(word) - width_of(clock) - 4
        parts = [(self._where, max(0, room), "bold"), ("", 2, ""), (word, width_of(word), style)]
        return self._row([*parts, ("", 2, ""), (clock, width_of(clock), "")], self._columns)

    def _head(self, view: View) -> Iterator[str]:
        if view.away:
            seconds = time.monotonic() - view.away_s
            yield from self._label("Redis", f"away for {span(seconds)}: {view.away}", "red")
        if view.status is None:
            return
        status = view.status
        yield from self._label("leader", _leader(status), "" if status.leader else "red")
        yield from self._label("standbys", _replicas(status.standbys))
        if status.inert:
            yield from self._label("inert", _replicas(status.inert), "yellow")
        overdue = f"; {status.overdue} overdue" if status.overdue else ""
        yield from self._label("entries", states_in_words(status) + overdue)
        if view.window is not None:
            yield from self._figures(view.window, status.at, is_sampled=view.is_sampled)
        yield from self._problems(status)

    def _figures(self, window: Window, now: datetime, *, is_sampled: bool) -> Iterator[str]:
        parts = min(SPARK, max(1, self._columns - 60))
        found = window.lateness()
        late = f"nothing was sent in {span(SPAN.total_seconds())}"
        if found is not None:
            p50, p99, most = map(milliseconds, found)
            late = f"p50 {p50}, p99 {p99}, max {most}"
        yield from self._drawn("lateness", late, window.lateness_by_time(now, parts), "cyan")
        rate = f"{window.rate(now, LATELY):.1f}/s, {window.rate(now, SPAN):.1f}/s over 5m"
        if is_sampled:
            rate = "faster than can be shown: figures are of a part"
        yield from self._drawn("sent", rate, window.sent_by_time(now, parts), "green")
        others = {name: n for name, n in window.outcomes().items() if name != "sent"}
        if others:
            words = ", ".join(f"{count} {name}" for name, count in sorted(others.items()))
            yield from self._label("besides", words, "yellow")

    def _drawn(
        self, label: str, text: str, values: Sequence[float | None], style: str
    ) -> Iterator[str]:
        drawn = sparkline(values)
        room = self._columns - LABEL - width_of(drawn) - 1
        head = self._cell(label, LABEL, "dim")
        yield f"{head}{self._cell(text, max(0, room))} {self._paint(drawn, style)}"

    def _problems(self, status: Status) -> Iterator[str]:
        found = sorted(status.findings, key=lambda each: each.severity is not Severity.ERROR)
        most = len(found) if self._lines is None else PROBLEMS_SHOWN
        for each in found[:most]:
            is_error = each.severity is Severity.ERROR
            label, style = ("PROBLEM", "red") if is_error else ("note", "yellow")
            yield from self._label(label, as_typed(_sentence(each, status)), style)
        if len(found) > most:
            yield from self._label("", f"and {len(found) - most} more: see `status`", "dim")

    def _label(self, label: str, text: str, style: str = "") -> Iterator[str]:
        head = self._cell(label, LABEL, "dim")
        yield head + self._cell(text, self._columns - LABEL, style)

    # -- body -------------------------------------------------------------------------------

    def _body(self, view: View, wishes: Wishes, lines: int | None) -> Iterator[str]:
        if view.status is None:
            return
        due = [each for each in view.upcoming if wishes.wants(each[0])]
        records = _by_time(view, wishes)
        if lines is None:
            yield from self._due(due[:10], view, self._columns)
            yield from self._ledger(records[-10:], self._columns)
        elif self._columns >= WIDE:
            left = self._columns * 2 // 5
            yield from _beside(
                list(self._due(due[: max(0, lines - 1)], view, left)),
                list(self._ledger(_last(records, lines - 1), self._columns - left - 2)),
                left,
            )
        else:
            above = max(3, lines * 2 // 5)
            yield from self._due(due[: above - 1], view, self._columns)
            below = lines - min(above, len(due[: above - 1]) + 1)
            yield from self._ledger(_last(records, below - 1), self._columns)

    def _due(self, due: Sequence[tuple[str, datetime]], view: View, columns: int) -> Iterator[str]:
        yield self._cell("NEXT DUE", columns, "bold")
        for name, at in due:
            now = view.at or at
            distance = (relative(at, now), 10, "red" if at < now else "")
            clock = (f"{at.astimezone():%a %H:%M:%S}", DUE_WIDTH - 10, "dim")
            yield self._row([distance, clock, (shown_name(name), columns, NAME)], columns)

    def _ledger(self, found: Sequence[LedgerRecord | Event], columns: int) -> Iterator[str]:
        yield self._cell("LEDGER", columns, "bold")
        names = [each.entry for each in found if isinstance(each, LedgerRecord)]
        longest = max((width_of(printable(shown_name(name))) for name in names), default=0)
        room = min(NAME_MOST, longest + 2, max(NAME_LEAST, columns - RECORD_WIDTH))
        for each in found:
            at = each.at.astimezone()
            clock = (f"{at:%H:%M:%S}.{at.microsecond // 1_000:03}", 13, "dim")
            parts = _parts(each, room) if isinstance(each, LedgerRecord) else _event_parts(each)
            yield self._row([clock, *parts], columns)

    def _foot(self, view: View, wishes: Wishes) -> str:
        if wishes.is_typing:
            text = f"filter: {printable(wishes.filter)}_   Enter keeps it, Esc ends it"
            return self._cell(text, self._columns, "reverse")
        chosen = f"   filter: {printable(wishes.filter)}" if wishes.filter else ""
        return self._cell(KEYS + chosen, self._columns, "dim")

    # -- cells ------------------------------------------------------------------------------

    def _row(self, parts: Sequence[tuple[str, int, str]], columns: int) -> str:
        """Cells of these widths side by side; those that do not fit are cut, or left out."""
        row = ""
        for text, width, style in parts:
            width = min(width, columns)
            columns -= width
            row += self._cell(text, width, style)
        return row

    def _cell(self, text: str, width: int, style: str = "") -> str:
        """The text in exactly this many columns; names keep both of their ends, and a gap."""
        if width <= 0:
            return ""
        text = printable(text)
        is_name = style == NAME
        room = width - 1 if is_name else width
        shown = cut(Cell(text, keeps="ends" if is_name else "start"), text, room)
        padding = " " * (width - width_of(shown))
        return (self._paint(shown, "" if is_name else style) if shown else "") + padding


def _beside(left: Sequence[str], right: Sequence[str], columns: int) -> Iterator[str]:
    """Two columns; the lines of the left one have this width."""
    for at in range(max(len(left), len(right))):
        first = left[at] if at < len(left) else " " * columns
        yield f"{first}  {right[at] if at < len(right) else ''}"


def _by_time(view: View, wishes: Wishes) -> Sequence[LedgerRecord | Event]:
    """The records that are wanted, with the events between them; a filter leaves these out."""
    records = [each for each in view.records if wishes.wants(each.entry)]
    events = () if wishes.filter else view.events
    return sorted([*records, *events], key=lambda each: each.at)


def _parts(record: LedgerRecord, room: int) -> list[tuple[str, int, str]]:
    """The cells of a record, with their widths and styles; `room` is for the name."""
    late = "" if record.lateness_ms is None else milliseconds(record.lateness_ms)
    many = f"{plural(record.count, 'slot')}; " if record.count > 1 else ""
    why = "" if record.outcome == "sent" and not record.reason else many + record.why
    return [
        (record.outcome, 11, COLOURS.get(record.outcome, "")),
        (shown_name(record.entry), room, NAME),
        (late, 10, "dim"),
        (why, WHOLE, ""),
    ]


def _event_parts(event: Event) -> list[tuple[str, int, str]]:
    return [("event", 11, "cyan"), (event.sentence, WHOLE, "cyan")]


def _last(found: Sequence[LedgerRecord | Event], count: int) -> Sequence[LedgerRecord | Event]:
    return found[-count:] if count > 0 else ()


def _verdict(view: View) -> tuple[str, str]:
    if view.away:
        return "REDIS AWAY", "red"
    if view.status is None:
        return "connecting", "dim"
    return ("healthy", "green") if view.status.healthy else ("UNHEALTHY", "red")


def _leader(status: Status) -> str:
    leader = status.leader
    if leader is None:
        return "none"
    since = leader.since
    time_there = "" if since is None else f", since {since.astimezone():%H:%M:%S}"
    ago = "" if since is None else f" ({span((status.at - since).total_seconds())})"
    cause = CAUSES.get(leader.cause, leader.cause)
    sends = f"; {status.dispatch}" if status.dispatch else ""
    return f"{leader.where}{time_there}{ago}, {cause}{sends}"


def _sentence(finding: Finding, status: Status) -> str:
    """What is wrong, and for how long."""
    if finding.since_ms is None:
        return finding.sentence
    seconds = (status.at - moment(finding.since_ms)).total_seconds()
    return f"{span(seconds)}: {finding.sentence}"


def _replicas(found: Sequence[Replica]) -> str:
    if not found:
        return "none"
    named = ", ".join(
        each.where + (f" ({each.inert})" if each.inert else "") for each in found[:STANDBYS_SHOWN]
    )
    more = len(found) - STANDBYS_SHOWN
    return named + (f" and {more} more" if more > 0 else "")
