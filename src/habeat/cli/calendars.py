"""``calendar``: named sets of days on which entries do not fire."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from habeat.cli.group import Group, HabeatCommand, bad, command, json_option
from habeat.cli.printing import say, say_json
from habeat.cli.tables import GivesWay, Table
from habeat.client import CalendarDays, Client
from habeat.printable import plural

#: The first and the last day of an all-day event; the last one does not belong to it.
_ICS_DAY = re.compile(r"^DTSTART[^:]*:(\d{4})(\d{2})(\d{2})\s*$", re.MULTILINE)
FILE_CHARS_MAX = 1_000_000


@click.group("calendar", cls=Group)
def calendar_command() -> None:
    """Days on which the entries that name the calendar do not fire, such as holidays."""


@command("set")
@click.argument("name")
@click.argument("dates", nargs=-1, metavar="[DATE]...")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    help="Read dates from this file, one a line; or an .ics.",
)
@click.option("--tz", metavar="ZONE", help="For schedules without a zone; default: the app's.")
@json_option
def set_calendar(
    client: Client,
    name: str,
    dates: Sequence[str],
    file: Path | None,
    tz: str | None,
    as_json: bool,
) -> None:
    """Define the days of a calendar: 2026-12-24, or 12-25 for every year."""
    days = [*dates, *(_days_in(_text_of(file)) if file else ())]
    if not days:
        raise click.UsageError("give dates, or --file")
    found = client.set_calendar(name, days, timezone=tz)
    if as_json:
        say_json(found)
    else:
        say(f"calendar {name}: {_counted(found)}")


@command("list")
@json_option
def list_calendars(client: Client, as_json: bool) -> None:
    """List the calendars, by name."""
    found = client.calendars()
    if as_json:
        say_json(found)
    elif found:
        rows = ((each.name, _counted(each), each.timezone) for each in found)
        Table(("NAME", "DAYS", "TIME ZONE"), [GivesWay("DAYS", 12)]).print(rows)
    else:
        say("no calendars")


@command("show")
@click.argument("name")
@json_option
def show_calendar(client: Client, name: str, as_json: bool) -> None:
    """Show the days of a calendar."""
    found = next((each for each in client.calendars() if each.name == name), None)
    if as_json:
        say_json(found)
    elif found is None:
        say(f"there is no calendar named {name}")
    else:
        for day in (*found.dates, *(f"{each} every year" for each in found.yearly)):
            say(str(day))
    if found is None:
        bad()


@command("remove")
@click.argument("name")
@json_option
def remove_calendar(client: Client, name: str, as_json: bool) -> None:
    """Remove a calendar; the entries that name it then fire on all days."""
    done = client.remove_calendar(name)
    if as_json:
        say_json({"removed": done})
    else:
        say(f"removed the calendar {name}" if done else f"there is no calendar named {name}")
    if not done:
        bad()


def _text_of(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(FILE_CHARS_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot read {path}: {error}", param_hint="--file") from error
    if len(text) > FILE_CHARS_MAX:  # the days beyond would be missing
        raise click.BadParameter(
            f"{path} has more than {FILE_CHARS_MAX:,} characters: give a file with fewer days",
            param_hint="--file",
        )
    return text


def _days_in(text: str) -> list[str]:
    """The days in a file: of the events of a calendar program, or one a line; # is a comment."""
    if "BEGIN:VCALENDAR" in text:
        return ["-".join(found) for found in _ICS_DAY.findall(text)]
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _counted(found: CalendarDays) -> str:
    days = plural(len(found.dates) + len(found.yearly), "day")
    return f"{days}, {len(found.yearly)} of them every year" if found.yearly else days


for each in (set_calendar, list_calendars, show_calendar, remove_calendar):
    assert isinstance(each, HabeatCommand)
    calendar_command.add_command(each)
