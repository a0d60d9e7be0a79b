"""From the arguments of `add` and `update` to the fields of an Entry, each one checked.

What is wrong is said at the call, naming entry, field, what was given and what is allowed, and
before anything is sent to Redis.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from habeat.client.schedules import schedule_of
from habeat.client.tasks import options_of, task_of
from habeat.core.entry import Delivery, Entry, Misfire, validated
from habeat.core.schedule import Schedule
from habeat.errors import ValidationError
from habeat.store.codec import decode, encode
from habeat.store.entries import Stored

Word = TypeVar("Word", bound=enum.StrEnum)


def fields_of(name: str, given: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """The fields of an Entry for what was given; ValidationError."""
    fields: dict[str, Any] = {}
    checked_name(name)
    try:
        for key, value in given.items():
            if key not in _READERS:
                raise ValidationError(key, value, "no such field: only " + ", ".join(_READERS))
            field, read = _READERS[key]
            fields[field] = read(value)
        if "schedule" in fields:
            fields["schedule"] = fields["schedule"].bound(name, timezone)
    except ValidationError as error:
        raise error.of_entry(name) from None
    return fields


def checked_name(name: Any) -> str:
    """The name of an entry that there may be; ValidationError."""
    if not isinstance(name, str) or not name:
        raise ValidationError("name", name, "an entry's name")
    return name


def new_entry(name: str, given: Mapping[str, Any], timezone: str) -> Entry:
    """An entry of the API made of these arguments; ValidationError."""
    entry = validated(Entry(name=name, owner="api", **fields_of(name, given, timezone)))
    encode(entry)
    return entry


def changed_entry(stored: Stored, given: Mapping[str, Any], timezone: str) -> Entry:
    """The stored entry with these changes; one that cannot be read is mended by them.

    ValidationError for a change that is not allowed; DefinitionError where the entry still
    cannot be read.
    """
    fields = fields_of(stored.name, given, timezone)
    entry = _mended(stored, fields) if stored.entry is None else replace(stored.entry, **fields)
    encode(validated(entry))
    return entry


def check_schedule_has_slots(name: str, schedule: Schedule, now_ms: int) -> None:
    """ValidationError for a schedule whose last slot is over: it would never fire."""
    if schedule.next_after_ms(now_ms) is None:
        raise ValidationError(
            "schedule", schedule.describe(), "one with a slot still to come", entry=name
        )


def _mended(stored: Stored, fields: Mapping[str, Any]) -> Entry:
    """The unreadable definition with the changed parts put in their stored form."""
    blank: dict[str, Any] = {"task": "?", "schedule": _ANY}
    changes = json.loads(encode(Entry(name=stored.name, **{**blank, **fields})))
    try:
        data = json.loads(stored.raw)
    except ValueError:
        data = None
    kept = {key: changes[key] for key in ("v", "owner", "rev", "created_ms")}
    kept |= data if isinstance(data, dict) else {}
    for field in fields:
        kept.pop(field, None)
        if field in changes:
            kept[field] = changes[field]
    return replace(decode(stored.name, json.dumps(kept).encode()), state=stored.state)


def _sequence(field: str) -> Callable[[Any], tuple[Any, ...]]:
    def read(given: Any) -> tuple[Any, ...]:
        if not isinstance(given, list | tuple):
            raise ValidationError(field, given, "a list or tuple")
        return tuple(given)

    return read


def _kwargs(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValidationError("kwargs", given, "a mapping with text keys")
    return dict(given)


def tags_of(given: Any) -> tuple[str, ...]:
    """Tags, each once, in the order given; ValidationError for a single text."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValidationError("tags", given, "a list of texts")
    tags = tuple(dict.fromkeys(given))
    if not all(isinstance(tag, str) and tag and tag.isprintable() for tag in tags):
        raise ValidationError("tags", given, "a list of texts")
    return tags


def _word(field: str, words: type[Word]) -> Callable[[Any], Word | None]:
    def read(given: Any) -> Word | None:
        try:
            return None if given is None else words(given)
        except ValueError:
            allowed = ", ".join(repr(str(word)) for word in words)
            raise ValidationError(field, given, f"{allowed}, or None for the app's") from None

    return read


def _grace_ms(given: Any) -> int | None:
    if given is None:
        return None
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if type(seconds) in (int, float) and math.isfinite(seconds) and seconds >= 0:
        return round(seconds * 1_000)
    raise ValidationError("misfire_grace", given, "seconds or a timedelta, 0 or more, or None")


def _limit(given: Any) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 1):
        return given
    raise ValidationError("misfire_limit", given, "a whole number, 1 or more, or None")


def _as_given(given: Any) -> Any:
    return given  # `validated` looks at it


_ANY = schedule_of(60)

_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "task": ("task", task_of),
    "schedule": ("schedule", schedule_of),
    "args": ("args", _sequence("args")),
    "kwargs": ("kwargs", _kwargs),
    "options": ("options", options_of),
    "enabled": ("enabled", _as_given),
    "tags": ("tags", tags_of),
    "description": ("description", _as_given),
    "misfire": ("misfire", _word("misfire", Misfire)),
    "misfire_grace": ("misfire_grace_ms", _grace_ms),
    "misfire_limit": ("misfire_limit", _limit),
    "delivery": ("delivery", _word("delivery", Delivery)),
}
