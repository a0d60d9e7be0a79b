"""The options of ``add`` and ``update`` other than the schedule, as arguments of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from habeat.cli.words import (
    JSON_LIST,
    JSON_OBJECT,
    moment_in,
    option_values,
    seconds_of,
)
from habeat.core.entry import Delivery, Misfire

#: The value that makes a policy follow the app's settings again.
DEFAULT = "default"
#: The value that removes a bound or an offset.
NONE = "none"

_SPANS = ("jitter", "spread", "deadline", "misfire_grace", "misfire_window")
_NUMBERS: tuple[tuple[str, Callable[[str], float]], ...] = (
    ("max_runs", int),
    ("misfire_limit", int),
    ("misfire_pace", float),
)


def entry_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command; `fields_from` reads them."""
    options = (
        click.option("--args", type=JSON_LIST, help="Positional arguments, a JSON list."),
        click.option("--kwargs", type=JSON_OBJECT, help="Keyword arguments, a JSON object."),
        click.option("--queue", help="The queue to send to."),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option of apply_async: expires=60, priority=3 …; NAME= removes it (update).",
        ),
        click.option("--tag", "tags", multiple=True, help="A tag; can be repeated."),
        click.option("--description", help="What the entry is for."),
        click.option("--start", metavar="WHEN", help="No slots before this time (ISO 8601)."),
        click.option("--end", metavar="WHEN", help="No slots after this time."),
        click.option("--max-runs", metavar="N", help="Fire at most this often."),
        click.option(
            "--jitter", metavar="SPAN", help="Delay each firing by a varying part of this."
        ),
        click.option(
            "--spread", metavar="SPAN", help="Delay all firings by one fixed part of this."
        ),
        click.option(
            "--deadline", metavar="SPAN", help="Workers discard messages older than this."
        ),
        click.option(
            "--misfire",
            type=click.Choice([*map(str, Misfire), DEFAULT]),
            help="Which missed slots fire.",
        ),
        click.option(
            "--misfire-grace", metavar="SPAN", help="A slot this late still fires normally."
        ),
        click.option("--misfire-limit", metavar="N", help="How many slots 'all' fires at most."),
        click.option("--misfire-window", metavar="SPAN", help="Slots older than this never fire."),
        click.option("--misfire-pace", metavar="N", help="How many slots 'all' fires per second."),
        click.option(
            "--delivery",
            type=click.Choice([*map(str, Delivery), DEFAULT]),
            help="Whether to resend when a crash leaves it unclear if a message was sent.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def fields_from(given: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """The API's arguments for the options that were given."""
    plain = ("args", "kwargs", "description")
    fields = {name: given[name] for name in plain if given[name] is not None}
    options = option_values(given["options"])
    if given["queue"] is not None:
        options["queue"] = given["queue"]
    if options:
        fields["options"] = options
    if given["tags"]:
        fields["tags"] = given["tags"]
    for name in ("misfire", "delivery"):
        if given[name] is not None:
            fields[name] = None if given[name] == DEFAULT else given[name]
    for name, read in _written(given, timezone):
        fields[name] = None if given[name] in (DEFAULT, NONE) else read(given[name])
    return fields


def options_changed(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The stored options with the given changes; ``NAME=`` removes an option."""
    written = dict(pair.partition("=")[::2] for pair in given["options"])
    changed = {**stored, **option_values(given["options"])}
    left = {name: value for name, value in changed.items() if written.get(name) != ""}
    return left if given["queue"] is None else {**left, "queue": given["queue"]}


def _written(given: Mapping[str, Any], timezone: str) -> list[tuple[str, Callable[[str], Any]]]:
    readers: list[tuple[str, Callable[[str], Any]]] = [
        (name, _reader(name, seconds_of, "a span such as 60 or 5m")) for name in _SPANS
    ]
    readers += [(name, _reader(name, read, "a number")) for name, read in _NUMBERS]
    zone = given.get("tz") or timezone
    readers += [(name, lambda text: moment_in(text, zone)) for name in ("start", "end")]
    return [(name, read) for name, read in readers if given[name] is not None]


def _reader(name: str, read: Callable[[str], Any], what: str) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            value = read(text)
        except ValueError:
            value = None
        if value is None:
            hint = f"--{name.replace('_', '-')}"
            raise click.BadParameter(f"{text!r}: expected {what}, or 'none'", param_hint=hint)
        return value

    return checked
