"""``add``, ``update``, ``remove``, ``rename``, ``pause`` and ``resume``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import click

from habeat.cli.choosing import (
    be_sure,
    chosen,
    chosen_entries,
    names_argument,
    refused_json,
    say_done,
    say_refused,
    single,
    yes_option,
)
from habeat.cli.completion import name_argument
from habeat.cli.fields import entry_options, fields_from, options_changed
from habeat.cli.group import bad, check_terminal, command, json_option
from habeat.cli.printing import entries_counted, entry_json, full, say, say_json
from habeat.cli.words import SINCE, ahead, schedule_from, schedule_options
from habeat.client import Client, ManyChanged, SchedulePause
from habeat.core.entry import Entry


@command("add")
@click.argument("name")
@click.argument("task")
@schedule_options
@entry_options
@click.option("--disabled", is_flag=True, help="Add it disabled: it does not fire yet.")
@click.option("--replace", is_flag=True, help="Replace an existing entry with this name.")
@json_option
def add_command(
    client: Client, name: str, task: str, disabled: bool, replace: bool, as_json: bool, **given: Any
) -> None:
    """Add an entry that sends TASK on a schedule.

    Give the schedule with --every, --cron, --crontab, --rrule, --at or --solar.
    """
    if any(not pair.partition("=")[2] for pair in given["options"] if "=" in pair):
        raise click.BadParameter("expected NAME=VALUE with a value", param_hint="--option")
    schedule = schedule_from(given, client.timezone, name)
    if schedule is None:
        raise click.UsageError(
            "missing schedule: give --every, --cron, --crontab, --rrule, --at or --solar"
        )
    entry = client.add(
        name,
        task,
        schedule,
        enabled=not disabled,
        replace=replace,
        **fields_from(given, client.timezone),
    )
    _say_entry(client, entry, as_json)


@command("update")
@name_argument()
@click.option("--task", help="The task to send.")
@schedule_options
@entry_options
@click.option("--no-tags", is_flag=True, help="Remove all tags.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether the entry fires.")
@click.option("--rev", type=int, help="Update only if the entry is at this revision.")
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
    """Change the given fields of an entry; the others stay.

    --option and --queue change only the options that they name; --option NAME= removes one.
    --tag replaces all tags.
    """
    if no_tags and given["tags"]:
        raise click.UsageError("give either --tag or --no-tags, not both")
    changes = fields_from(given, client.timezone)
    if "options" in changes:
        entry = client.get(name)
        changes["options"] = options_changed(entry.options, given)
        rev = entry.rev if rev is None else rev  # else this would undo a concurrent change
    schedule = schedule_from(given, client.timezone, name)
    more = {"task": task, "schedule": schedule, "enabled": enabled, "tags": () if no_tags else None}
    changes |= {field: value for field, value in more.items() if value is not None}
    if not changes:
        raise click.UsageError("nothing to change: give at least one option; see --help")
    _say_entry(client, client.update(name, rev=rev, **changes), as_json)


@command("remove")
@names_argument
@click.option("--prefix", default="", help="Entries of the API whose names start with this.")
@click.option("--tag", "tags", multiple=True, help="Entries of the API with this tag.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def remove_command(
    client: Client, names: Sequence[str], prefix: str, tags: Sequence[str], yes: bool, as_json: bool
) -> None:
    """Remove entries by name, or many at once by prefix and tags.

    If one of the named entries cannot be removed, none is.
    """
    if bool(names) == bool(prefix or tags):
        raise click.UsageError("give either names, or --prefix and --tag")
    if not names:
        _be_sure(client, prefix, tags, yes)
    removed = client.remove_many(names or None, prefix=prefix, tags=tags)
    if as_json:
        say_json({"removed": len(removed), "names": removed})
    else:
        say_done("removed", removed)


@command("rename")
@name_argument()
@click.argument("new_name")
@json_option
def rename_command(client: Client, name: str, new_name: str, as_json: bool) -> None:
    """Rename an entry; it keeps its slots and its count of firings."""
    _say_entry(client, client.rename(name, new_name), as_json)


_each = click.option("--each", is_flag=True, help="Every entry, each by itself.")


@command("pause")
@chosen_entries
@_each
@click.option("--reason", default="", help="The reason, shown with the entry.")
@click.option(
    "--until",
    type=SINCE,
    help="When the pause ends (ISO 8601), or how long it lasts: 30m, 2h, 1d, 1w.",
)
@yes_option
@json_option
def pause_command(
    client: Client, reason: str, until: Any, yes: bool, as_json: bool, each: bool, **given: Any
) -> None:
    """Pause entries, or the whole schedule, until they are resumed or until a given time.

    Give names, or --prefix and --tag, or --each. With --all, the whole schedule stops by one
    switch; the pauses of single entries stay as they are.
    """
    entries = _those(given, each)
    end = None if until is None else ahead(until, client.server_time())
    be_sure(client, "pause", {"every": each or given["every"]}, yes=yes)
    if given["every"]:
        _say_pause(client.pause_all(reason, end), as_json, client.server_time())
        return
    if name := single(given["names"]):
        _say_entry(client, client.pause(name, reason, end), as_json)
    else:
        result = client.pause_many(**entries, reason=reason, until=end)
        _say_many("paused", "paused already", result, as_json)


@command("resume")
@chosen_entries
@_each
@click.option(
    "--from",
    "begin",
    type=click.Choice(["now", "paused"]),
    default="now",
    show_default=True,
    help="Continue from now, or from where it was paused, with catch-up.",
)
@json_option
def resume_command(
    client: Client, begin: Literal["now", "paused"], as_json: bool, each: bool, **given: Any
) -> None:
    """Resume paused or quarantined entries, or the whole schedule.

    Give names, or --prefix and --tag, or --each. --all ends the pause of the whole schedule;
    entries that are paused themselves stay paused.
    """
    entries = _those(given, each)
    if given["every"]:
        if begin != "now":
            raise click.UsageError(
                "--all with --from paused: slots of such a pause were skipped; use backfill"
            )
        _say_resumed(client.resume_all(), as_json)
        return
    if name := single(given["names"]):
        _say_entry(client, client.resume(name, begin), as_json)
    else:
        result = client.resume_many(**entries, from_=begin)
        _say_many("resumed", "neither paused nor quarantined", result, as_json)


def _those(given: Mapping[str, Any], each: bool) -> dict[str, Any]:
    """The entries that are meant; with --each, all of them."""
    if not each:
        return chosen(given)
    if given["every"]:
        raise click.UsageError("give either --each or --all")
    return chosen({**given, "every": True})


def _say_pause(pause: SchedulePause, as_json: bool, now: datetime) -> None:
    if as_json:
        say_json({"paused": pause})
        return
    until = f" until {full(pause.until, now)}" if pause.until else "; `resume --all` ends it"
    say(f"the whole schedule is paused{until}")


def _say_resumed(pause: SchedulePause | None, as_json: bool) -> None:
    if as_json:
        say_json({"ended": pause})
    elif pause is None:
        say("the schedule was not paused; to resume each entry that is, use --each")
    else:
        say("the pause of the whole schedule is over")


def _say_many(done: str, already: str, result: ManyChanged, as_json: bool) -> None:
    if as_json:
        count = {done: len(result.changed), "names": result.changed}
        refused = refused_json(result.refused)
        say_json({**count, "unchanged": result.unchanged, "refused": refused})
    else:
        say_done(done, result.changed)
        if result.unchanged:
            say(f"{already}: {entries_counted(len(result.unchanged))}")
        say_refused(result.refused)
    if result.refused:
        bad()


def _be_sure(client: Client, prefix: str, tags: Sequence[str], yes: bool) -> None:
    if yes:
        return
    check_terminal("removing by prefix or tag")
    count = sum(1 for _ in client.list(prefix=prefix, tags=tags, owner="api"))
    click.confirm(f"remove {entries_counted(count)}?", abort=True, err=True)


def _say_entry(client: Client, entry: Entry, as_json: bool) -> None:
    unknown = bool(client.unregistered([entry]))
    if as_json:
        say_json({**entry_json(entry), "unregistered": unknown})
        return
    due = entry.state.next_due
    until = f", next due {full(due, client.server_time())}" if due else ""
    say(f"{entry.name} is {entry.condition}: {entry.schedule.describe()}{until}")
    if unknown:
        say(f"note: beat's code does not register the task {entry.task_name}; it is still sent")
    if entry.calendars:
        for name in sorted({*entry.calendars} - {each.name for each in client.calendars()}):
            say(f"note: there is no calendar {name}, so no slot is skipped for it")
