"""From the arguments of `add` and `update` to the fields of an Entry, each one checked.

What is wrong is said at the call, naming entry, field, what was given and what is allowed, and
before anything is sent to Redis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from habeat.core.entry import Entry, instant, validated
from habeat.core.limits import DEFAULT_LIMITS, Limits, check_entry
from habeat.entries.affordable import check_affordable
from habeat.entries.codec import decode, encode, encode_checked
from habeat.entries.fields import read_fields
from habeat.entries.schedules import schedule_of
from habeat.errors import ValidationError
from habeat.ports.entries import Stored


def fields_of(name: str, given: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """The fields of an Entry for what was given; ValidationError."""
    checked_name(name)
    try:
        fields = read_fields(given)
        if "schedule" in fields:
            fields["schedule"] = fields["schedule"].bound(name, timezone)
    except ValidationError as error:
        raise error.of_entry(name) from None
    return fields


def checked_name(name: Any) -> str:
    """The name of an entry that there may be; ValidationError."""
    if not isinstance(name, str) or not name:
        raise ValidationError("name", name, "an entry's name")
    try:
        name.encode("utf-8", "surrogateescape")  # a name of other bytes can be acted on as well
    except UnicodeEncodeError:
        raise ValidationError("name", name, "an entry's name, without lone surrogates") from None
    return name


def new_entry(
    name: str, given: Mapping[str, Any], timezone: str, limits: Limits = DEFAULT_LIMITS
) -> Entry:
    """An entry of the API made of these arguments; ValidationError."""
    return storable(Entry(name=name, owner="api", **fields_of(name, given, timezone)), limits)


def storable(entry: Entry, limits: Limits) -> Entry:
    """The entry, if all of it is allowed and can be stored; ValidationError."""
    check_entry(validated(entry), len(encode_checked(entry)), limits)
    return entry


def changed_entry(
    stored: Stored, given: Mapping[str, Any], timezone: str, limits: Limits = DEFAULT_LIMITS
) -> Entry:
    """The stored entry with these changes; one that cannot be read is mended by them.

    ValidationError for a change that is not allowed; DefinitionError where the entry still
    cannot be read.
    """
    fields = fields_of(stored.name, given, timezone)
    entry = _mended(stored, fields) if stored.entry is None else replace(stored.entry, **fields)
    return storable(entry, limits)


def check_has_slots(entry: Entry, now_ms: int) -> None:
    """ValidationError for an entry that would never fire, or that no leader could afford."""
    after_ms = now_ms if entry.start_ms is None else max(now_ms, entry.start_ms - 1)
    first_ms = check_affordable(entry, after_ms)
    if first_ms is None:
        begins = "" if after_ms == now_ms else " from its start on"
        raise ValidationError(
            "schedule",
            entry.schedule.describe(),
            f"one with a slot still to come{begins}",
            entry=entry.name,
        )
    if entry.end_ms is not None and first_ms > entry.end_ms:
        raise ValidationError(
            "end",
            instant(entry.end_ms),
            f"the next slot ({instant(first_ms)}) or later, else it would never fire",
            entry=entry.name,
        )


def _mended(stored: Stored, fields: Mapping[str, Any]) -> Entry:
    """The unreadable definition with the changed parts put in their stored form."""
    blank: dict[str, Any] = {"task": "?", "schedule": _ANY}
    changes = json.loads(encode(Entry(name=stored.name, **{**blank, **fields})))
    try:
        data = json.loads(stored.raw)
    except Exception:  # of what cannot be parsed, nothing is kept
        data = None
    kept = {key: changes[key] for key in ("v", "owner", "rev", "created_ms")}
    kept |= data if isinstance(data, dict) else {}
    for field in fields:
        kept.pop(field, None)
        if field in changes:
            kept[field] = changes[field]
    return replace(decode(stored.name, json.dumps(kept).encode()), state=stored.state)


_ANY = schedule_of(60)
