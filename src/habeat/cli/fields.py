"""The options of ``add`` and ``update`` other than the schedule, as arguments of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from habeat.cli.moments import moment_in
from habeat.cli.words import JSON_LIST, JSON_OBJECT, option_values
from habeat.entries.fields import FIELDS, Field
from habeat.entries.spans import seconds_of
from habeat.entries.values import Form

#: The value that makes a policy follow the app's settings again.
DEFAULT = "default"
#: The value that removes a bound or an offset.
NONE = "none"

_Option = Callable[[Callable[..., None]], Callable[..., None]]
_Read = Callable[[str], Any]

#: Options that the generic ones below cannot express.
_SPECIAL: Mapping[str, tuple[_Option, ...]] = {
    "options": (
        click.option("--queue", help="The queue to send to."),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option of apply_async: expires=60, priority=3 …; NAME= removes it (update).",
        ),
    ),
    "tags": (
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag; can be repeated."),
    ),
}

_JSON = {Form.LIST: JSON_LIST, Form.OBJECT: JSON_OBJECT}

#: How the text of an option is read, and what it should be.
_READERS: Mapping[Form, tuple[_Read, str]] = {
    Form.SPAN: (seconds_of, "a span such as 60 or 5m"),
    Form.COUNT: (int, "a number"),
    Form.PACE: (float, "a number"),
}


def entry_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the table of fields to a command; `fields_from` reads them."""
    options = [option for field in FIELDS for option in _options_of(field)]
    for option in reversed(options):
        function = option(function)
    return function


def _options_of(field: Field) -> tuple[_Option, ...]:
    if field.name in _SPECIAL or field.kind.form is Form.OWN:
        return _SPECIAL.get(field.name, ())
    kind, form = field.kind, field.kind.form
    given: dict[str, Any] = {"metavar": form.value}
    if form in _JSON:
        given["type"] = _JSON[form]
    elif form is Form.WORD:
        given = {"type": click.Choice([*kind.words, DEFAULT])}
    return (click.option(option_of(field), help=field.meaning, **given),)


def option_of(field: Field) -> str:
    """The option that sets this field."""
    return "--" + field.name.replace("_", "-")


def fields_from(given: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """The API's arguments for the options that were given."""
    zone = given.get("tz") or timezone
    found = {
        field.name: _read(field, given[field.name], zone)
        for field in FIELDS
        if field.kind.form not in (Form.OWN, Form.TAGS) and given[field.name] is not None
    }
    options = option_values(given["options"])
    if given["queue"] is not None:
        if options.get("queue"):
            raise click.UsageError("give either --queue or --option queue=…, not both")
        options["queue"] = given["queue"]
    if options:
        found["options"] = options
    if given["tags"]:
        found["tags"] = given["tags"]
    return found


def _read(field: Field, given: Any, zone: str) -> Any:
    form = field.kind.form
    if form in _JSON or form is Form.TEXT:
        return given
    if given == DEFAULT or (given == NONE and form is not Form.WORD):
        return None
    if form is Form.WHEN:
        return moment_in(given, zone)
    return given if form is Form.WORD else _number(field, given)


def _number(field: Field, text: str) -> Any:
    read, what = _READERS[field.kind.form]
    try:
        value = read(text)
    except ValueError:
        value = None
    if value is None:
        hint = option_of(field)
        raise click.BadParameter(f"{text!r}: expected {what}, or 'none'", param_hint=hint)
    return value


def options_changed(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The stored options with the given changes; ``NAME=`` removes an option."""
    written = dict(pair.partition("=")[::2] for pair in given["options"])
    changed = {**stored, **option_values(given["options"])}
    left = {name: value for name, value in changed.items() if written.get(name) != ""}
    return left if given["queue"] is None else {**left, "queue": given["queue"]}
