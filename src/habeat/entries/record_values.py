"""The values in a record of the change log: what differs, cut and bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from habeat.core.entry import instant

#: A longer text is cut, and a longer value of another kind is left out.
VALUE_CHARS_MAX = 300
#: The values that do not fit are left out.
RECORD_BYTES_MAX = 4_096

#: Stands for a change whose values are not kept.
HIDDEN = True
#: Stands for a value that is not kept because of its length.
TOO_LONG = object()

Differing = dict[str, Any]


def differing_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> bytes:
    """The values that differ, of something else than an entry."""
    found: Differing = {}
    for name in {**before, **after}:
        pair = [cut(before.get(name)), cut(after.get(name))]
        if before.get(name) != after.get(name):
            found[name] = HIDDEN if TOO_LONG in pair else pair
    return bounded(found)


def cut(value: Any) -> Any:
    """The value as it is kept; TOO_LONG if it is not."""
    if isinstance(value, str):
        return value if len(value) <= VALUE_CHARS_MAX else value[: VALUE_CHARS_MAX - 1] + "…"
    if is_scalar(value) or len(_json(value)) <= VALUE_CHARS_MAX:
        return value
    return TOO_LONG


def bounded(found: Differing) -> bytes:
    """The record's JSON; the values of the largest fields are left out if it is too long."""
    written = _json(found)
    if len(written) <= RECORD_BYTES_MAX:
        return written
    for name in sorted(found, key=lambda name: -len(_json(found[name]))):
        found[name] = HIDDEN
        written = _json(found)
        if len(written) <= RECORD_BYTES_MAX:
            return written
    return _json({"options": HIDDEN})  # thousands of options; their names alone do not fit


def is_scalar(value: Any) -> bool:
    """Whether the value is a text, a number, a boolean or None."""
    return value is None or isinstance(value, str | int | float | bool)


def iso(at_ms: int) -> Any:
    """The instant in ISO 8601; as it is if it is not an instant."""
    try:
        found = instant(at_ms)
        return found and found.isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # not an instant: the definition is damaged
        return at_ms


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def _json(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
