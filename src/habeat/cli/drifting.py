"""``drift``: how late messages are sent, as a table with small charts, and as a picture."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from habeat.cli.completion import name_argument
from habeat.cli.drift_chart import drift_svg
from habeat.cli.errors import suggested
from habeat.cli.group import client_app, command, json_option
from habeat.cli.printing import exact, plain, say, say_json, shown_name
from habeat.cli.sparkline import sparkline
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.cli.words import SINCE
from habeat.client import Client, Drift, DriftReport, DriftRow, LatenessFigures
from habeat.entries.spans import milliseconds
from habeat.errors import ValidationError

#: A progress line is shown from this many records on.
WORTH_A_LINE = 50_000
OVERALL = "all entries"
#: The bottom and the top of the small charts, so that they can be compared.
LOWEST_MS, HIGHEST_MS = 10, 3_600_000
WINDOWS = (
    *("HOUR P50", "HOUR P99", "DAY P50", "DAY P90", "DAY P99", "DAY MAX"),
    *("ALL P99", "COUNT"),
)
_COLOURS = {"worse": "red", "better": "green"}


@command("drift")
@name_argument(required=False)
@click.option(
    "--since",
    type=SINCE,
    help="Only firings since this time (ISO 8601, or 15m, 2h, 1d): one window, exact figures.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also draw the last day as an SVG picture.",
)
@json_option
def drift_command(
    client: Client, name: str | None, since: datetime | None, plot: Path | None, as_json: bool
) -> None:
    """Show how late messages were sent, worst entries first.

    Lateness counts from a firing's effective time. Each row has the last hour, the last day and
    all firings; the small chart has the largest lateness of each hour of the day. Triggers and
    backfills do not count. Without a NAME, it shows all entries.
    """
    if since is not None:
        if plot is not None:
            raise click.UsageError("--plot draws the last day: leave out --since")
        _of_one_window(client.drift(name, since), as_json=as_json)
        return
    report = client.drift_report(name, progress=_Progress())
    if plot is not None:
        _write(plot, drift_svg(report, _title(name)))
    if as_json:
        say_json(report_json(report))
    elif report.rows:
        report_rows(report, name)
    else:
        _none()


def _of_one_window(rows: Sequence[Drift], *, as_json: bool) -> None:
    if as_json:
        say_json(rows)
    elif rows:
        drift_rows(rows)
    else:
        _none()


def _none() -> None:
    say(f"no slot has fired yet (triggers and backfills do not count); see: {suggested('status')}")


def _title(name: str | None) -> str:
    return f"Lateness of {name if name is not None else client_app().main or 'all entries'}"


def _write(path: Path, picture: str) -> None:
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise ValidationError(
            "plot", str(path), f"a file that can be written ({error.strerror})"
        ) from None


class _Progress:
    """Shows on stderr how much of the ledger was read, if it takes long and is a terminal."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, read: int, at: datetime) -> None:
        if read - self._said >= WORTH_A_LINE and sys.stderr.isatty():
            self._said = read
            click.echo(f"{read} records were read, back to {exact(at)} UTC", err=True)


def report_json(report: DriftReport) -> list[dict[str, Any]]:
    """The rows for programs; the first one is about all entries, and its entry is null.

    Each row has the figures of all firings at its top, as in earlier releases.
    """
    return [_row_json(row) for row in (report.overall, *report.rows)]


def _row_json(row: DriftRow) -> dict[str, Any]:
    return {
        "entry": row.entry,
        **plain(row.all),
        "day": plain(row.day),
        "hour": plain(row.hour),
        "trend": row.trend,
        "hourly_max_ms": list(row.hourly_max_ms),
    }


def report_rows(report: DriftReport, name: str | None) -> None:
    """Print the windows as a table."""
    gives_way = [GivesWay("ENTRY", 20)]
    gives_way += [GivesWay(each, how="drop") for each in ("DAY P90", "ALL P99", "COUNT", "DAY P50")]
    gives_way += [GivesWay("ENTRY", 12), GivesWay("LAST DAY", how="drop")]
    table = Table(("ENTRY", *WINDOWS, "TREND", "LAST DAY"), gives_way, right=WINDOWS)
    rows = report.rows if name is not None else (report.overall, *report.rows)
    table.print(_cells(row) for row in rows)
    if report.since is not None:
        say(f"the ledger begins at {exact(report.since)} UTC: the last day is not complete")


def _cells(row: DriftRow) -> list[str | Cell]:
    name = OVERALL if row.entry is None else shown_name(row.entry)
    hour, day, all_ = row.hour, row.day, row.all
    return [
        Cell(name, keeps="ends"),
        _figure(hour, lambda each: each.p50_ms),
        _figure(hour, lambda each: each.p99_ms),
        _figure(day, lambda each: each.p50_ms),
        _figure(day, lambda each: each.p90_ms),
        _figure(day, lambda each: each.p99_ms),
        _figure(day, lambda each: each.max_ms),
        _figure(all_, lambda each: each.p99_ms),
        str(all_.count),
        Cell(row.trend or "-", colour=_COLOURS.get(row.trend or "", "")),
        sparkline([_height(each) for each in row.hourly_max_ms], _height(HIGHEST_MS)),
    ]


def _height(late_ms: int | None) -> float | None:
    """The height of a lateness in the small chart: its logarithm, from `LOWEST_MS` on."""
    return None if late_ms is None else math.log(max(late_ms, LOWEST_MS) / LOWEST_MS)


def _figure(figures: LatenessFigures, value: Callable[[LatenessFigures], int]) -> str:
    return milliseconds(value(figures)) if figures.count else "-"


def drift_rows(rows: Sequence[Drift]) -> None:
    """Print lateness in one window as a table."""
    figures = ("COUNT", "P50", "P90", "P99", "MAX")
    table = Table(("ENTRY", *figures), [GivesWay("ENTRY", 12)], right=figures)
    table.print(list(_window_cells(row)) for row in rows)


def _window_cells(row: Drift) -> Iterator[str | Cell]:
    yield Cell(shown_name(row.entry), keeps="ends")
    yield str(row.count)
    for value_ms in (row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms):
        yield milliseconds(value_ms)
