"""``export`` and ``load``: write all entries to one JSON document, and read them back."""

from __future__ import annotations

import json
import sys
from typing import IO

import click

from habeat.cli.group import bad, command, json_option
from habeat.cli.printing import entries_counted, say, say_json
from habeat.client import Client, LoadReport
from habeat.printable import printable_json


@command("export")
@click.option(
    "--output", "-o", type=click.File("w", encoding="utf-8", lazy=True), help="Write to a file."
)
@click.option("--json", "as_json", is_flag=True, help="No effect: the output is always JSON.")
def export_command(client: Client, output: IO[str] | None, as_json: bool) -> None:
    """Print all entries as JSON, for `load`."""
    data = client.export()
    if output is None:
        say_json(data)
        return
    output.write(printable_json(data) + "\n")
    click.echo(f"wrote {entries_counted(len(data['entries']))}", err=True)


@command("load")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@json_option
def load_command(client: Client, file: IO[str], dry_run: bool, as_json: bool) -> None:
    """Add and change entries to match an exported FILE.

    FILE may be - for stdin. Entries that are not in it stay unchanged.
    """
    try:
        data = json.load(file)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="FILE") from None
    report = client.load(data, dry_run, progress=_progress if on_a_terminal() else None)
    if as_json:
        say_json(report)
    else:
        _say_report(report)
    if report.refused:
        bad()


def on_a_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr.isatty()


def _progress(done: int, total: int) -> None:
    end = "\n" if done >= total else ""
    click.echo(f"\rloading: {done} of {entries_counted(total)}{end}", err=True, nl=False)


def _say_report(report: LoadReport) -> None:
    would = "" if report.written else "would be "
    for names, what in (
        (report.added, "added"),
        (report.changed, "changed"),
        (report.unchanged, "unchanged"),
    ):
        if names:
            doing = what if what == "unchanged" else would + what
            say(f"{entries_counted(len(names))} {doing}")
    if report.left:
        say(f"{entries_counted(len(report.left))} left unchanged: declared in beat_schedule")
    for name, why in report.refused.items():
        say(f"refused: {name}: {why}")
    if report.refused:
        say("nothing was written")
    elif not (report.added or report.changed or report.unchanged or report.left):
        say("the document has no entries")
