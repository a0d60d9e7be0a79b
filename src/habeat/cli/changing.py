"""``add``, ``update``, ``remove``, ``pause`` and ``resume``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from habeat.cli.group import command, json_option
from habeat.cli.printing import entries_counted, full, say, say_json
from habeat.cli.words import (
    JSON_LIST,
    JSON_OBJECT,
    option_values,
    schedule_from,
    schedule_options,
    seconds_of,
)
from habeat.client import Client
from habeat.core.entry import Delivery, Entry, Misfire

#: Said for a policy that shall follow the app's settings again.
DEFAULT = "default"


def entry_options(function: Callable[..., None]) -> Callable[..., None]:
    """What `add` and `update` say of an entry beside its schedule."""
    options = (
        click.option("--args", type=JSON_LIST, help="Positional arguments, a JSON list."),
        click.option("--kwargs", type=JSON_OBJECT, help="Keyword arguments, a JSON object."),
        click.option("--queue", help="The queue to send to."),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option of apply_async: expires=60, priority=3 …",
        ),
        click.option("--tag", "tags", multiple=True, help="A tag; may be given several times."),
        click.option("--description", help="What it is for."),
        click.option(
            "--misfire", type=click.Choice([*map(str, Misfire), DEFAULT]), help="Missed slots."
        ),
        click.option("--misfire-grace", metavar="SPAN", help="Until when a slot is only late."),
        click.option("--misfire-limit", type=int, help="How many slots 'all' fires at most."),
        click.option(
            "--delivery", type=click.Choice([*map(str, Delivery), DEFAULT]), help="After a crash."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command("add")
@click.argument("name")
@click.argument("task")
@schedule_options
@entry_options
@click.option("--disabled", is_flag=True, help="Do not fire yet.")
@click.option("--replace", is_flag=True, help="Change the entry if there is one of this name.")
@json_option
def add_command(
    client: Client,
    name: str,
    task: str,
    disabled: bool,
    replace: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Add an entry that sends TASK by a schedule: --every, --cron, --crontab, --at or --solar."""
    schedule = schedule_from(given, client.timezone)
    if schedule is None:
        raise click.UsageError("say when: --every, --cron, --crontab, --at or --solar")
    entry = client.add(
        name, task, schedule, enabled=not disabled, replace=replace, **_fields(given)
    )
    _say_entry(client, entry, as_json)


@command("update")
@click.argument("name")
@click.option("--task", help="The task to send.")
@schedule_options
@entry_options
@click.option("--no-tags", is_flag=True, help="Take all tags away.")
@click.option("--enable/--disable", "enabled", default=None, help="Fire, or do not.")
@click.option("--rev", type=int, help="Only if the entry is at this revision.")
@json_option
def update_command(
    client: Client,
    name: str,
    task: str | None,
    no_tags: bool,
    enabled: bool | None,
    rev: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Change what is said of an entry; the rest stays.

    --option and --queue together replace all options, --tag all tags.
    """
    changes = _fields(given)
    schedule = schedule_from(given, client.timezone)
    more = {"task": task, "schedule": schedule, "enabled": enabled, "tags": () if no_tags else None}
    changes |= {field: value for field, value in more.items() if value is not None}
    if not changes:
        raise click.UsageError("say what to change; see --help")
    _say_entry(client, client.update(name, rev=rev, **changes), as_json)


@command("remove")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--prefix", default="", help="All of the API's whose name begins so.")
@click.option("--tag", "tags", multiple=True, help="All of the API's with this tag.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove_command(
    client: Client, names: Sequence[str], prefix: str, tags: Sequence[str], yes: bool, as_json: bool
) -> None:
    """Remove entries by name, or many at once by prefix and tags."""
    if bool(names) == bool(prefix or tags):
        raise click.UsageError("give either names, or --prefix and --tag")
    if names:
        removed = sum(client.remove(name) for name in names)
    else:
        _be_sure(client, prefix, tags, yes)
        removed = client.remove(prefix=prefix, tags=tags)
    if as_json:
        say_json({"removed": removed})
    else:
        say(f"removed {entries_counted(removed)}")


@command("pause")
@click.argument("name")
@click.option("--reason", default="", help="Why; shown with the entry.")
@json_option
def pause_command(client: Client, name: str, reason: str, as_json: bool) -> None:
    """Stop an entry until it is resumed."""
    _say_entry(client, client.pause(name, reason), as_json)


@command("resume")
@click.argument("name")
@json_option
def resume_command(client: Client, name: str, as_json: bool) -> None:
    """Let a paused or quarantined entry go on from now."""
    _say_entry(client, client.resume(name), as_json)


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The API's arguments for what was said of an entry."""
    plain = ("args", "kwargs", "description", "misfire_limit")
    found = {name: given[name] for name in plain if given[name] is not None}
    options = option_values(given["options"])
    if given["queue"] is not None:
        options["queue"] = given["queue"]
    if options:
        found["options"] = options
    if given["tags"]:
        found["tags"] = given["tags"]
    for name in ("misfire", "delivery"):
        if given[name] is not None:
            found[name] = None if given[name] == DEFAULT else given[name]
    if given["misfire_grace"] is not None:
        found["misfire_grace"] = _grace_s(given["misfire_grace"])
    return found


def _grace_s(written: str) -> float | None:
    if written == DEFAULT:
        return None
    seconds = seconds_of(written)
    if seconds is None:
        raise click.BadParameter(
            f"{written!r} is no span such as 60, 5m or 'default'", param_hint="--misfire-grace"
        )
    return seconds


def _be_sure(client: Client, prefix: str, tags: Sequence[str], yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("removing many at once needs --yes where nobody can be asked")
    count = sum(1 for _ in client.list(prefix=prefix, tags=tags, owner="api"))
    click.confirm(f"remove {entries_counted(count)}?", abort=True, err=True)


def _say_entry(client: Client, entry: Entry, as_json: bool) -> None:
    if as_json:
        say_json(entry)
        return
    due = entry.state.next_due
    until = f", next due {full(due, client.server_time())}" if due else ""
    say(f"{entry.name} is {entry.condition}: {entry.schedule.describe()}{until}")
