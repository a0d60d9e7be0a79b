"""Turn the arguments of `add` and `update` into a checked Entry.

Every error is raised before anything is sent to Redis. It names the entry and the field, what was
given, and what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from habeat.core.entry import Entry, instant
from habeat.core.limits import DEFAULT_LIMITS, Limits, check_entry
from habeat.entries.affordable import check_affordable
from habeat.entries.codec import decode, encode, encode_checked
from habeat.entries.fields import read_fields, validated
from habeat.entries.options import check_names
from habeat.entries.schedules import schedule_of
from habeat.entries.serializers import check_arguments
from habeat.errors import ValidationError
from habeat.ports.entries import Stored


def fields_of(name: str, given: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """The fields of an Entry for the given arguments; ValidationError if one is invalid."""
    checked_name(name)
    try:
        fields = read_fields(given)
        if "schedule" in fields:
            fields["schedule"] = fields["schedule"].bound(name, timezone)
    except ValidationError as error:
        raise error.of_entry(name) from None
    return fields


def checked_name(name: Any) -> str:
    """`name` if an entry may be called that; ValidationError otherwise."""
    if not isinstance(name, str) or not name:
        raise ValidationError("name", name, "a non-empty string")
    try:
        # surrogateescape: an entry whose stored name is not UTF-8 can still be removed by it.
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValidationError("name", name, "a string without lone surrogates") from None
    return name


def new_entry(
    name: str, given: Mapping[str, Any], timezone: str, limits: Limits = DEFAULT_LIMITS
) -> Entry:
    """A new entry of the API from these arguments; ValidationError if one is invalid."""
    fields = fields_of(name, given, timezone)
    _check_options(name, fields, limits)
    return storable(Entry(name=name, owner="api", **fields), limits)


def _check_options(name: str, fields: Mapping[str, Any], limits: Limits) -> None:
    """Raise ValidationError if a given option has an unknown name."""
    try:
        check_names(fields.get("options", {}), limits.own_options)
    except ValidationError as error:
        raise error.of_entry(name) from None


def storable(entry: Entry, limits: Limits) -> Entry:
    """`entry` if all of it is valid and can be stored; ValidationError otherwise."""
    check_entry(validated(entry), len(encode_checked(entry)), limits)
    check_arguments(entry, limits.task_serializer)
    return entry


def changed_entry(
    stored: Stored, given: Mapping[str, Any], timezone: str, limits: Limits = DEFAULT_LIMITS
) -> Entry:
    """The stored entry with these changes, which may repair an unreadable one.

    Raises ValidationError for an invalid change, and DefinitionError if the entry is still
    unreadable.
    """
    fields = fields_of(stored.name, given, timezone)
    _check_options(stored.name, fields, limits)
    entry = _mended(stored, fields) if stored.entry is None else replace(stored.entry, **fields)
    return storable(entry, limits)


def check_has_slots(entry: Entry, now_ms: int) -> None:
    """Raise ValidationError if the entry would never fire, or if no leader could afford it."""
    after_ms = now_ms if entry.start_ms is None else max(now_ms, entry.start_ms - 1)
    first_ms = check_affordable(entry, after_ms)
    if first_ms is None:
        begins = "" if after_ms == now_ms else " after its start"
        raise ValidationError(
            "schedule",
            entry.schedule.describe(),
            f"one with a slot in the future{begins}",
            entry=entry.name,
        )
    if entry.end_ms is not None and first_ms > entry.end_ms:
        raise ValidationError(
            "end",
            instant(entry.end_ms),
            f"the next slot ({instant(first_ms)}) or later, or the entry would never fire",
            entry=entry.name,
        )


def _mended(stored: Stored, fields: Mapping[str, Any]) -> Entry:
    """The unreadable definition with the changed fields replaced in their stored form."""
    blank: dict[str, Any] = {"task": "?", "schedule": _ANY}
    changes = json.loads(encode(Entry(name=stored.name, **{**blank, **fields})))
    try:
        data = json.loads(stored.raw)
    except Exception:  # it is not JSON, so there is nothing to keep
        data = None
    kept = {key: changes[key] for key in ("v", "owner", "rev", "created_ms")}
    kept |= data if isinstance(data, dict) else {}
    for field in fields:
        kept.pop(field, None)
        if field in changes:
            kept[field] = changes[field]
    return replace(decode(stored.name, json.dumps(kept).encode()), state=stored.state)


_ANY = schedule_of(60)
