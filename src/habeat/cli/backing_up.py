"""``backup`` and ``restore``: all entries with their state, in one file, and back."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from habeat.cli.errors import quoted, suggested
from habeat.cli.group import bad, command, json_option
from habeat.cli.printing import entries_counted, progress, say, say_json, say_whole
from habeat.client import Client, RestoreReport
from habeat.printable import printable_json

#: The most names of one list.
NAMES_SHOWN = 10


@command("backup")
@click.argument("file", type=click.Path(dir_okay=False, writable=True))
@json_option
def backup_command(client: Client, file: str, as_json: bool) -> None:
    """Write all entries with their states and pauses to FILE, for `restore`.

    Only its owner can read the file, because it has the arguments of all entries.
    """
    document = client.backup(progress=progress("backing up"))
    written(Path(file), document)
    count = len(document["entries"])
    if as_json:
        say_json({"file": file, "entries": count, "controls": len(document["controls"])})
    else:
        say(f"wrote {entries_counted(count)} to {file}")


@command("restore")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--apply", is_flag=True, help="Restore; without it, only show what would change.")
@click.option("--replace", is_flag=True, help="Change the API's entries that exist already.")
@click.option(
    "--resume-positions",
    is_flag=True,
    help="Continue from the positions in FILE; only if no beat has run since it was made.",
)
@click.option("--undo-file", metavar="FILE", help="Where to write what undoes the restore.")
@json_option
def restore_command(
    client: Client,
    file: str,
    apply: bool,
    replace: bool,
    resume_positions: bool,
    undo_file: str | None,
    as_json: bool,
) -> None:
    """Restore entries from a FILE that `backup` wrote.

    Entries that exist stay as they are, unless you give --replace. Missing ones are added, and
    start now. Before it changes anything, it writes a file that undoes the restore.
    """
    data = _read(file)
    undo = Path(undo_file or f"{file}.undo")
    keep = _keeper(undo) if apply else None
    report = client.restore(
        data,
        replace=replace,
        resume_positions=resume_positions,
        keep_undo=keep,
        progress=progress("restoring") if apply else None,
    )
    if as_json:
        say_json({"undo": str(undo) if report.written else None, "report": report})
    else:
        _say_report(report, undo)
    if report.refused:
        bad()


def written(path: Path, document: dict[str, Any]) -> None:
    """Write the document, readable only by its owner; the file is never half written."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(printable_json(document) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from error


def _keeper(path: Path) -> Callable[[dict[str, Any]], None]:
    """Writes the undo document, if there is anything to undo; a file that exists is kept."""

    def keep(document: dict[str, Any]) -> None:
        if path.exists():
            raise click.UsageError(
                f"{path} exists: it undoes an earlier restore; move it away, or give --undo-file"
            )
        written(path, document)

    return keep


def _read(file: str) -> Any:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"not a backup: {error}", param_hint="FILE") from None


def _say_report(report: RestoreReport, undo: Path) -> None:
    would = "" if report.written else "would be "
    for names, what in (
        (report.added, "added"),
        (report.changed, "changed"),
        (report.paused, "paused"),
        (report.removed, "removed"),
    ):
        if names:
            more = ", …" if len(names) > NAMES_SHOWN else ""
            say(f"{len(names)} {would}{what}: {', '.join(names[:NAMES_SHOWN])}{more}")
    if report.controls:
        would = "" if report.written else "would "
        say(f"holds and pauses of the schedule that {would}change: {', '.join(report.controls)}")
    if report.continued:
        say(f"{entries_counted(len(report.continued))} of these continue from their positions")
    if report.left:
        say(f"{entries_counted(len(report.left))} left as they are")
    for name, why in report.refused.items():
        say(f"refused: {name}: {why}", "red")
    if report.written:
        say("to undo this:")
        say_whole(suggested(f"restore {quoted(str(undo))} --apply"))
    elif report.added or report.changed or report.paused or report.removed or report.controls:
        say("nothing was written; give --apply to restore")
    else:
        say("there is nothing to restore")
