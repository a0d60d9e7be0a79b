"""Which entries a command is for: named ones, or those with a prefix and tags, or all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from habeat.cli.completion import name_argument
from habeat.cli.errors import sentence_of
from habeat.cli.group import on_a_terminal
from habeat.cli.printing import entries_counted, say
from habeat.client import Client
from habeat.errors import HabeatError

#: A sentence names this many entries.
NAMED = 10

names_argument = name_argument("names", nargs=-1, metavar="[NAME]...")
_prefix = click.option("--prefix", default="", help="Entries whose names start with this.")
_tag = click.option(
    "--tag", "tags", multiple=True, help="Entries with this tag; repeat to require several."
)
_all = click.option("--all", "every", is_flag=True, help="All entries.")


yes_option = click.option("--yes", is_flag=True, help="With --all: do not ask, even on a terminal.")


def chosen_entries(function: Callable[..., None]) -> Callable[..., None]:
    """Add NAME…, --prefix, --tag and --all to a command; `chosen` reads them."""
    return names_argument(_prefix(_tag(_all(function))))


def chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the Client's calls for many entries; UsageError if they contradict."""
    names, prefix, tags, every = (given[each] for each in ("names", "prefix", "tags", "every"))
    if bool(names) + bool(prefix or tags) + bool(every) != 1:
        raise click.UsageError("give either names, or --prefix and --tag, or --all")
    return {"names": names or None, "prefix": prefix, "tags": tags, "all": every}


def be_sure(client: Client, doing: str, given: Mapping[str, Any], *, yes: bool) -> None:
    """Ask before the command does this to all entries; click's Abort if the user declines.

    A script has no terminal, and has written --all on purpose.
    """
    if yes or not given["every"] or not on_a_terminal():
        return
    count = sum(1 for _ in client.list())
    click.confirm(f"{doing} all {entries_counted(count)}?", abort=True, err=True)


def single(names: Sequence[str]) -> str | None:
    """The name, if there is only one."""
    return names[0] if len(set(names)) == 1 else None


def say_done(what: str, names: Sequence[str]) -> None:
    """Say what was done to these entries: "paused 2 entries: a, b"."""
    if names:
        say(f"{what} {entries_counted(len(names))}: {listed(names)}")
    else:
        say(f"{what} no entry")


def listed(names: Sequence[str]) -> str:
    """The names, at most ten of them."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def say_refused(refused: Mapping[str, HabeatError]) -> None:
    """Say which of these entries could not be changed, and why."""
    for name, sentence in refused_json(refused).items():
        say(f"refused: {name}: {sentence}", "red")


def refused_json(refused: Mapping[str, HabeatError]) -> dict[str, str]:
    """Why each of these entries could not be changed, in words."""
    return {name: sentence_of(error) for name, error in refused.items()}
