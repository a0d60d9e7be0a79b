"""Output of the commands: times with their distance, JSON, and pairs of labels and values.

Times are in this host's time zone, followed by the distance from now ("in 4m"). `now` is Redis'
clock, so the distances are right even if the host's own clock is off. JSON uses UTC.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from habeat.cli.wrapping import terminal_columns, wrapped
from habeat.core.entry import Entry, instant
from habeat.entries.spans import relative
from habeat.printable import plural, printable, printable_json

if TYPE_CHECKING:
    from habeat.entries.fields import Field

GAP = "  "
#: How far the further lines of a broken line are indented.
INDENT = 2
#: On a terminal that is narrower, the values beside labels are broken by the terminal itself.
LEAST_ROOM = 20


def say(text: str = "", colour: str = "") -> None:
    """Print a line on stdout, without terminal control characters; coloured on a terminal.

    A line that is too long for the terminal is broken between words.
    """
    _echo(wrapped(printable(text), terminal_columns(), INDENT), colour)


def say_whole(text: str) -> None:
    """Print a line that a person copies: it is not broken, however narrow the terminal is."""
    _echo(printable(text))


def _echo(text: str, colour: str = "") -> None:
    click.echo(click.style(text, fg=colour) if colour else text, color=colours())


def colours() -> bool:
    """Whether to use colours: on a terminal, unless NO_COLOR or Celery's --no-color is set."""
    obj = click.get_current_context().obj if click.get_current_context(silent=True) else None
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not refused and not getattr(obj, "no_color", False)


def say_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    click.echo(printable_json(plain(value)))


def say_json_line(value: Any) -> None:
    """Print a value as JSON on one line, for output that has no end."""
    click.echo(json.dumps(plain(value), default=str))


def plain(value: Any) -> Any:
    """Entries, results of the Client and the values in them, as JSON types."""
    if isinstance(value, Entry):
        return entry_json(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value


def iso(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry with its condition and state; times in UTC, durations in ms."""
    from habeat.entries.fields import FIELDS  # a probe prints no entries, and need not import them

    state = entry.state
    created = instant(entry.created_ms or None)
    return {
        "name": entry.name,
        **dict(_field_json(entry, field) for field in FIELDS),
        "schedule_in_words": entry.schedule.describe(),
        "owner": entry.owner,
        "runs_left": entry.runs_left(state.fired),
        "rev": entry.rev,
        "created": plain(created),
        "state": entry.condition,
        "next_due": plain(state.next_due),
        "last_fired": plain(state.last_fired),
        "fired": state.fired,
        "paused": state.paused,
        "paused_since": plain(instant(state.paused_at_ms)),
        "paused_until": plain(instant(state.paused_until_ms)),
        "quarantined": state.quarantined,
        "extra": plain(entry.extra),
    }


def _field_json(entry: Entry, field: Field) -> tuple[str, Any]:
    value = getattr(entry, field.stored)
    if field.name == "schedule":
        return field.name, value.to_json()
    return (field.name, plain(instant(value))) if field.is_instant else (field.stored, plain(value))


def when(at: datetime | None, now: datetime) -> str:
    """A time in this host's zone, short, with its distance; "-" for none."""
    if at is None:
        return "-"
    return f"{short(at, now)} ({relative(at, now)})"


def short(at: datetime, now: datetime) -> str:
    """A time in this host's zone, with only as much of the date as it needs."""
    local = at.astimezone()
    if abs(at - now) < timedelta(hours=12):
        return f"{local:%H:%M:%S}"
    if timedelta(0) < at - now < timedelta(days=6):
        return f"{local:%a %H:%M}"
    return f"{local:%Y-%m-%d %H:%M}"


def exact(at: datetime) -> str:
    """A time in its own zone, with milliseconds if it has any."""
    fraction = f".{at.microsecond // 1_000:03}" if at.microsecond >= 1_000 else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction}"


def full(at: datetime | None, now: datetime) -> str:
    """A complete time in this host's zone, with its distance; "never" for none."""
    if at is None:
        return "never"
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z} ({relative(at, now)})"


def shown_name(name: str) -> str:
    """The name of an entry in a table: in quotes if blanks at its ends would not be seen."""
    return name if name == name.strip(" ") else repr(name)


def entries_counted(count: int) -> str:
    """How many entries: "1 entry", "3 entries"."""
    return plural(count, "entry", "entries")


def progress(doing: str) -> Callable[[int, int], None] | None:
    """Shows on stderr how many entries are done; None if that is not a terminal."""
    if not is_watched():
        return None

    def show(done: int, total: int) -> None:
        end = "\n" if done >= total else ""
        click.echo(f"\r{doing}: {done} of {entries_counted(total)}{end}", err=True, nl=False)

    return show


def is_watched() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr.isatty()


#: The colours of states of entries, and of outcomes of slots.
COLOURS = {
    **{"active": "green", "failing": "red", "paused": "yellow", "quarantined": "red"},
    **{"sent": "green", "late": "yellow", "skipped": "yellow", "missed": "red"},
    **{"failed": "red", "ambiguous": "red"},
}


def pairs(rows: Iterable[tuple[str, str | Sequence[str]]]) -> None:
    """Print labels with their values; further lines of a value are indented."""
    labelled = [(label, [text] if isinstance(text, str) else list(text)) for label, text in rows]
    width = max((len(label) for label, _ in labelled), default=0)
    columns = terminal_columns()
    room = None if columns is None else max(LEAST_ROOM, columns - width - len(GAP))
    for label, lines in labelled:
        shown = [part for line in lines for part in wrapped(printable(line), room).split("\n")]
        for number, line in enumerate(shown or [""]):
            head = label if number == 0 else ""
            _echo(f"{head.ljust(width)}{GAP}{line}".rstrip())
