"""``dead``: firings and requests that were given up. Their arguments are never shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import click

from habeat.cli.command import limit_option
from habeat.cli.completion import entry_names
from habeat.cli.group import Group, HabeatCommand, command, json_option
from habeat.cli.printing import exact, full, pairs, say, say_json, when
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.cli.words import SPAN
from habeat.client import Client, DeadLetter
from habeat.printable import plural

ID = click.argument("identity", metavar="ID")


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    entry = click.option("--entry", help="Only those of this entry.", shell_complete=entry_names)
    age = click.option(
        "--older-than",
        type=SPAN,
        metavar="SPAN",
        help="Only those given up longer ago than this: 15m, 2d.",
    )
    return entry(age(function))


@click.group("dead", cls=Group)
def dead_command() -> None:
    """List, show, resend or purge what was given up.

    That is a firing or a request whose attempts are used up, or that cannot be carried out.
    """


@command("list")
@_filters
@limit_option(50, "Show at most this many.")
@json_option
def list_dead(
    client: Client, entry: str | None, older_than: timedelta | None, limit: int, as_json: bool
) -> None:
    """List firings and requests that were given up, oldest first."""
    found = client.dead(entry, older_than=older_than, limit=limit + 1)
    letters = found[:limit]
    if not found:
        _check_known(client, entry)
    if as_json:
        say_json(letters)
    elif letters:
        _rows(letters, client)
        if len(found) > limit:
            say(f"newer ones are not shown; for more, give a --limit above {limit}")
    else:
        say("nothing was given up")


@command("show")
@ID
@json_option
def show_dead(client: Client, identity: str, as_json: bool) -> None:
    """Show when and why one was given up. Its arguments are not shown."""
    letter = client.dead_letter(identity)
    if as_json:
        say_json(letter)
        return
    now = client.server_time()
    pairs(
        [
            ("id", letter.id),
            ("kind", letter.kind),
            ("entry", letter.entry),
            ("given up", full(letter.at, now) if letter.at else "unknown"),
            ("why", letter.why or "unknown"),
            ("slot", f"{exact(letter.slot)} UTC" if letter.slot else "unknown"),
            ("attempts", "unknown" if letter.attempts is None else str(letter.attempts)),
            ("task", letter.task or "unknown"),
            ("task id", letter.task_id or "unknown"),
            ("size", f"{letter.size} bytes"),
            ("resend", "possible" if letter.resendable else "not possible: it is unreadable"),
        ]
    )


@command("resend")
@ID
@json_option
def resend_dead(client: Client, identity: str, as_json: bool) -> None:
    """Resend a firing with the same task id, or a request unchanged."""
    letter = client.resend(identity)
    if as_json:
        say_json({"id": letter.id, "entry": letter.entry, "resent": True})
    else:
        say(f"{letter.id} will be resent as soon as a leader sees it")


@command("purge")
@click.argument("identity", metavar="[ID]", required=False)
@_filters
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def purge_dead(
    client: Client,
    identity: str | None,
    entry: str | None,
    older_than: timedelta | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete one record, or all that the options select.

    With neither an ID nor options, it deletes all records.
    """
    if identity == "":  # such as an unset variable of a script: it does not mean all records
        raise click.UsageError("the ID is empty: give an ID, or leave it out to select by options")
    if identity is not None and (entry is not None or older_than is not None):
        raise click.UsageError("give either an ID or options")
    if not yes:
        count = (
            1
            if identity is not None
            else len(client.dead(entry, older_than=older_than, limit=None))
        )
        if count:
            click.confirm(f"Permanently delete {plural(count, 'record')}?", abort=True, err=True)
    count = client.purge_dead(identity, entry=entry, older_than=older_than)
    if not count:
        _check_known(client, entry)
    if as_json:
        say_json({"purged": count})
    else:
        say(f"deleted {plural(count, 'record')}")


def _check_known(client: Client, entry: str | None) -> None:
    """EntryNotFound unless an entry has this name, or the ledger has a record of it."""
    if entry is not None:
        client.history(entry, limit=1)


def _rows(letters: Sequence[DeadLetter], client: Client) -> None:
    now = client.server_time()
    gives_way = [GivesWay("WHY", 24), GivesWay("ID", 24), GivesWay("WHY", 12), GivesWay("ID", 12)]
    Table(("ID", "KIND", "GIVEN UP", "ATTEMPTS", "WHY"), gives_way, right=("ATTEMPTS",)).print(
        (
            Cell(letter.id, keeps="ends"),
            letter.kind,
            when(letter.at, now) if letter.at else "unknown",
            "?" if letter.attempts is None else str(letter.attempts),
            letter.why,
        )
        for letter in letters
    )


for each in (list_dead, show_dead, resend_dead, purge_dead):
    assert isinstance(each, HabeatCommand)
    dead_command.add_command(each)
