"""``top``: the command, and the loop of the live screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from habeat.cli.group import command, json_option
from habeat.cli.printing import colours, say_json
from habeat.cli.top.looking import Looker, View, Watching
from habeat.cli.top.page import Page, Wishes, painted, unpainted
from habeat.cli.top.terminal import BACKSPACE, ENTER, ESCAPE, Terminal
from habeat.cli.top.window import LATELY, SPAN
from habeat.cli.watching import status_json
from habeat.cli.wrapping import terminal_columns
from habeat.client import Client

#: The width of what is printed where there is no terminal.
PRINTED_COLUMNS = 120
#: The screen is drawn at least this often, because it shows how long things last.
REDRAWN_S = 1.0
FILTER_CHARS = 80


@command("top")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2, max=60),
    default=1.0,
    show_default=True,
    help="Seconds between refreshes.",
)
@click.option("--once", is_flag=True, help="Print one snapshot and exit, as without a terminal.")
@json_option
def top_command(client: Client, every: float, once: bool, as_json: bool) -> None:
    """Watch the schedule live: leader, lateness, problems, what is due, the ledger.

    Keys: q quits, p pauses the screen, / filters by a part of the entries' names. Without a
    terminal, it prints one snapshot. While Redis is away, it says so and continues.
    """
    if as_json:
        say_json({**_json(Looker(client).look()), "redis": client.redis})
    elif once or not _is_live():
        columns = terminal_columns() or PRINTED_COLUMNS
        page = Page(columns, None, painted if colours() else unpainted, client.redis)
        for line in page.of(Looker(client).look(), Wishes()):
            click.echo(line.rstrip(), color=colours())
    else:
        _live(client, every)


def _is_live() -> bool:
    """Whether there is a terminal that can show a screen, and a keyboard to leave it."""
    terminals = sys.stdin.isatty() and sys.stdout.isatty()
    return terminals and os.environ.get("TERM", "dumb") != "dumb"


def _live(client: Client, every_s: float) -> None:
    paint = painted if colours() else unpainted
    encoding = sys.stdout.encoding or "utf-8"
    terminal = Terminal(sys.stdin.fileno(), sys.stdout.fileno(), encoding)
    watching = Watching(Looker(client), every_s, terminal.wake)
    sys.stdout.flush()
    try:
        with terminal:
            watching.start()
            _loop(terminal, watching, lambda: Page(*_size(terminal), paint, client.redis))
    except KeyboardInterrupt:
        pass  # Ctrl-C ends it as q does
    finally:
        watching.close()


def _size(terminal: Terminal) -> tuple[int, int]:
    size = terminal.size
    return size.columns, size.lines


def _loop(terminal: Terminal, watching: Watching, page: Callable[[], Page]) -> None:
    """Draw what there is and do what the keys say, until one of them ends it."""
    wishes, shown = Wishes(), watching.view
    while watching.error is None:
        if not wishes.is_paused:
            shown = watching.view
        terminal.draw(page().of(shown, wishes))
        for key in terminal.wait(REDRAWN_S):
            if press(wishes, key):
                return
    raise watching.error


def press(wishes: Wishes, key: str) -> bool:
    """Do what a key means; returns whether it ends the screen."""
    if wishes.is_typing:
        _type(wishes, key)
    elif key in ("q", "Q"):
        return True
    elif key in ("p", " "):
        wishes.is_paused = not wishes.is_paused
    elif key == "/":
        wishes.is_typing, wishes.filter = True, ""
    elif key == ESCAPE:
        wishes.filter = ""
    return False


def _type(wishes: Wishes, key: str) -> None:
    if key == ENTER:
        wishes.is_typing = False
    elif key == ESCAPE:
        wishes.is_typing, wishes.filter = False, ""
    elif key == BACKSPACE:
        wishes.filter = wishes.filter[:-1]
    elif key.isprintable() and len(wishes.filter) < FILTER_CHARS:
        wishes.filter += key


def _json(view: View) -> Mapping[str, Any]:
    """One look, for programs."""
    assert view.status is not None
    assert view.window is not None
    window, now = view.window, view.status.at
    late = window.lateness()
    return {
        "at": view.at,
        "status": status_json(view.status),
        "lateness": None
        if late is None
        else dict(zip(("p50_ms", "p99_ms", "max_ms"), late, strict=True)),
        "sent_per_s": {
            "last_10s": window.rate(now, LATELY),
            "last_5m": window.rate(now, SPAN),
        },
        "outcomes": window.outcomes(),
        "next_due": [{"entry": name, "at": at} for name, at in view.upcoming],
        "records": view.records,
        "events": view.events,
    }
