"""The demo on a terminal: the beats' roles, what was sent and how late, and the latest events.

It fills the terminal and is redrawn at each look; the scrollback stays unchanged.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from habeat.demo.entries import SCHEDULES
from habeat.demo.stage import BEATS, Scene
from habeat.demo.watch import View

_COLUMNS = 3
_TOP_LINES = 6
_ROLE_STYLES = {
    "leader": "bold green",
    "standby": "cyan",
    "starting": "dim",
    "killed": "bold red",
    "stopped": "red",
    "frozen": "bold blue",
}


class TerminalScreen:
    """A `Screen` that is drawn with rich."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, scene: Scene) -> None:
        """Draw the scene."""
        self._live.update(_drawn(scene, self._console.height), refresh=True)

    def news(self, scene: Scene, at_s: float, text: str) -> None:
        """Nothing to do: the event is part of the scene."""


def _drawn(scene: Scene, height: int) -> Layout:
    entries_lines = -(-len(SCHEDULES) // _COLUMNS) + 2
    log_lines = max(4, height - 1 - _TOP_LINES - entries_lines)
    top = Layout(size=_TOP_LINES)
    top.split_row(
        Layout(_framed("beats", _replicas(scene)), ratio=3),
        Layout(_framed("firings", _firings(scene.view)), ratio=2),
    )
    whole = Layout()
    whole.split_column(
        Layout(_header(scene), size=1),
        top,
        Layout(_framed("events", _news(scene, log_lines - 2)), size=log_lines),
        Layout(_framed("entries: messages sent, maximum lateness", _entries(scene.view))),
    )
    return whole


def _framed(title: str, inside: Table | Text) -> Panel:
    return Panel(inside, title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def _header(scene: Scene) -> Table:
    at_s = scene.elapsed_s(scene.view.now_us) if scene.view else 0.0
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1, no_wrap=True)
    line.add_column(width=20)
    line.add_column(justify="right", no_wrap=True)
    length_s = scene.length_s or 1.0
    line.add_row(
        Text(scene.title, style="bold"),
        ProgressBar(total=length_s, completed=min(at_s, length_s) if scene.length_s else 0),
        f"{at_s:.0f} of {scene.length_s:.0f} s" if scene.length_s else "starting",
    )
    return line


def _replicas(scene: Scene) -> Table:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for name in BEATS:
        role = scene.role(name)
        style = _ROLE_STYLES.get(role, "")
        pid = scene.pids.get(name)
        table.add_row(
            Text(name, style=style),
            Text(role.upper() if role == "leader" else role, style=style),
            Text(f"pid {pid}" if pid else "", style="dim"),
            Text(scene.host, style="dim", overflow="ellipsis", no_wrap=True),
        )
    table.add_row("", "", "", "")
    return table


def _firings(view: View | None) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    if view is None:
        return table
    late = view.overall
    table.add_row("sent / run", f"{view.enqueued} / {view.runs}")
    table.add_row("run twice", Text(str(view.repeated), style="bold red" if view.repeated else ""))
    table.add_row("late p50 / p99", f"{late.quantile_ms(0.5)} / {late.quantile_ms(0.99)} ms")
    table.add_row("late max", f"{late.max_ms} ms")
    return table


def _news(scene: Scene, lines: int) -> Text:
    shown = Text(no_wrap=True, overflow="ellipsis")
    for at_s, text in scene.news[-lines:]:
        shown.append(f"{at_s:5.1f} s  ", style="dim")
        shown.append(f"{text}\n", style=_news_style(text))
    return shown


def _news_style(text: str) -> str:
    if " leads after " in text:
        return "bold green"
    return "yellow" if text.startswith("SIG") else ""


def _entries(view: View | None) -> Table:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for _ in range(_COLUMNS):
        table.add_column(ratio=1, no_wrap=True)
    cells = [_entry(name, view) for name in SCHEDULES]
    rows = -(-len(cells) // _COLUMNS)
    for row in range(rows):
        table.add_row(*cells[row::rows])
    return table


def _entry(name: str, view: View | None) -> Table:
    cell = Table.grid(expand=True)
    cell.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    cell.add_column(width=5, justify="right")
    cell.add_column(width=8, justify="right", style="dim")
    late = view.by_entry.get(name) if view else None
    if late is None:
        cell.add_row(Text(name, style="dim"), "0", "")
    else:
        cell.add_row(name, str(late.count), f"{late.max_ms} ms")
    return cell
