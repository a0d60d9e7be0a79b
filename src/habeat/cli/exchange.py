"""``export`` and ``load``: write all entries to one document, JSON or YAML, and read them back."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from habeat.cli.group import bad, command, json_option
from habeat.cli.printing import entries_counted, progress, say, say_json
from habeat.cli.yaml_form import from_yaml, to_yaml
from habeat.client import Client, LoadReport
from habeat.printable import printable_json

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["json", "yaml"]),
    default="json",
    show_default=True,
    help="The form of the document; YAML needs habeat[yaml].",
)


@command("export")
@click.option(
    "--output", "-o", type=click.File("w", encoding="utf-8", lazy=True), help="Write to a file."
)
@format_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def export_command(client: Client, output: IO[str] | None, form: str, as_json: bool) -> None:
    """Print all entries as one document, for `load`."""
    data = client.export()
    text = to_yaml(data) if form == "yaml" and not as_json else printable_json(data) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    output.write(text)
    click.echo(f"wrote {entries_counted(len(data['entries']))}", err=True)


@command("load")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "yaml"]),
    help="The form of the document; default: yaml for FILE.yaml and FILE.yml, otherwise json.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@json_option
def load_command(
    client: Client, file: IO[str], form: str | None, dry_run: bool, as_json: bool
) -> None:
    """Add and change entries to match an exported FILE.

    FILE may be - for stdin. Entries that are not in it stay unchanged.
    """
    data = _read(file, form)
    report = client.load(data, dry_run, progress=progress("loading"))
    if as_json:
        say_json(report)
    else:
        _say_report(report)
    if report.refused:
        bad()


def _read(file: IO[str], form: str | None) -> Any:
    if form is None:
        form = "yaml" if str(file.name).lower().endswith((".yaml", ".yml")) else "json"
    try:
        return from_yaml(file.read()) if form == "yaml" else json.load(file)
    except (ValueError, RecursionError) as error:
        words = "YAML" if form == "yaml" else "JSON"
        raise click.BadParameter(f"not {words}: {error}", param_hint="FILE") from None


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
