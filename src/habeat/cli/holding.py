"""``hold``: keep entries from firing for a while, for example during maintenance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from habeat.cli.group import Group, HabeatCommand, bad, command, json_option
from habeat.cli.printing import exact, full, say, say_json
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.cli.words import SINCE, SPAN, ahead, schedule_from, schedule_options
from habeat.client import Client, Hold
from habeat.schedules.in_words import duration


@click.group("hold", cls=Group)
def hold_command() -> None:
    """Keep entries from firing for a while: maintenance windows.

    Slots that fall due in a hold are skipped, or the newest of each entry fires at the end.
    """


@command("add")
@click.argument("name")
@click.option("--from", "start", type=SINCE, help="When it begins (ISO 8601, or a span from now).")
@click.option("--to", "end", type=SINCE, help="When it ends; default: when it is removed.")
@schedule_options
@click.option("--for", "span", type=SPAN, metavar="SPAN", help="How long each window lasts.")
@click.option("--prefix", default="", help="Only entries whose names start with this.")
@click.option("--tag", "tags", multiple=True, help="Only entries with this tag; can be repeated.")
@click.option(
    "--misfire",
    type=click.Choice(["skip", "latest"]),
    default="skip",
    show_default=True,
    help="Skip the slots, or fire the newest of each entry at the end.",
)
@click.option("--reason", default="", help="The reason, shown with the hold.")
@click.option("--replace", is_flag=True, help="Replace an existing hold with this name.")
@json_option
def add_hold(
    client: Client,
    name: str,
    start: Any,
    end: Any,
    span: timedelta | None,
    prefix: str,
    tags: Sequence[str],
    misfire: Any,
    reason: str,
    replace: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Hold all entries, or those with a prefix and tags.

    Once, from --from (default: now) to --to; or repeatedly, with --cron and the like to begin each
    window and --for to set its length.
    """
    schedule = schedule_from(given, client.timezone, name)
    now = client.server_time()
    begin = now if start is None else ahead(start, now)
    hold = client.add_hold(
        name,
        start=None if start is None else begin,
        end=None if end is None else ahead(end, begin),
        schedule=schedule,
        duration=span,
        prefix=prefix,
        tags=tags,
        misfire=misfire,
        reason=reason,
        replace=replace,
    )
    if as_json:
        say_json(hold)
    else:
        say(f"{hold.name} holds {_scope(hold)}: {_when(hold)}")
        if hold.until is not None:
            say(f"it is on until {full(hold.until, now)}")


@command("list")
@json_option
def list_holds(client: Client, as_json: bool) -> None:
    """List the holds, by name."""
    found = client.holds()
    if as_json:
        say_json(found)
    elif found:
        _table().print(_rows(found))
    else:
        say("no holds")


@command("remove")
@click.argument("name")
@json_option
def remove_hold(client: Client, name: str, as_json: bool) -> None:
    """Remove a hold; its entries go on with their next slots."""
    done = client.remove_hold(name)
    if as_json:
        say_json({"removed": done})
    else:
        say(f"removed the hold {name}" if done else f"there is no hold named {name}")
    if not done:
        bad()


def _table() -> Table:
    gives_way = [GivesWay("REASON", 10), GivesWay("WHEN", 20)]
    return Table(("NAME", "ON UNTIL", "WHEN", "ENTRIES", "MISFIRE", "REASON"), gives_way)


def _rows(found: Sequence[Hold]) -> Iterator[Sequence[Cell | str]]:
    for hold in found:
        until = exact(hold.until) if hold.until else "-"
        yield [hold.name, until, _when(hold), _scope(hold), hold.misfire, hold.reason]


def _scope(hold: Hold) -> str:
    parts = [f"names that start with {hold.prefix}"] if hold.prefix else []
    parts += [f"the tag {tag}" for tag in hold.tags]
    return "entries with " + " and ".join(parts) if parts else "all entries"


def _when(hold: Hold) -> str:
    if hold.schedule is not None and hold.duration is not None:
        length = duration(round(hold.duration.total_seconds() * 1_000))
        span = f"{hold.schedule.describe()}, for {length}"
        return f"{span}, {_between(hold.start, hold.end)}"
    return _between(hold.start, hold.end)


def _between(start: datetime, end: datetime | None) -> str:
    return f"from {exact(start)}" + (f" to {exact(end)}" if end else "")


for each in (add_hold, list_holds, remove_hold):
    assert isinstance(each, HabeatCommand)
    hold_command.add_command(each)
