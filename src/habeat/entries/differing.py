"""Which fields a change changes, for the change log: their names, with the values before and after.

Both sides are stored definitions, so the log shows what Redis holds. Arguments are never copied:
for `args` and `kwargs`, and for everything else that may carry data of a task (a signature's
arguments, headers, callbacks), the log has only that they changed. A record is bounded: long texts
are cut, and the values of fields that do not fit are left out in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from habeat.entries.fields import FIELDS, Field
from habeat.entries.record_values import (
    HIDDEN,
    TOO_LONG,
    Differing,
    bounded,
    cut,
    is_scalar,
    iso,
)

#: Options whose values say how a message is sent, and nothing of what is in it.
_PLAIN_OPTIONS = (
    *("queue", "exchange", "exchange_type", "routing_key", "route_name", "delivery_mode"),
    *("priority", "expires", "time_limit", "soft_time_limit", "retry", "ignore_result"),
    *("compression", "serializer"),
)
_SECRET = ("args", "kwargs")

_BY_KEY = {field.stored: field for field in FIELDS}


def differing(before: bytes, after: bytes, **also: tuple[Any, Any]) -> bytes:
    """The fields that differ between two stored definitions; b"" stands for none, on either side.

    `also` has what belongs to the change but not to the definition, such as a pause.
    """
    old, new = _object(before), _object(after)
    found: Differing = {}
    for key, field in _BY_KEY.items():
        if key in new or key in old:
            found.update(_of_field(field, old.get(key), new.get(key)))
    found.update({name: [cut(a), cut(b)] for name, (a, b) in also.items() if a != b})
    return bounded(found)


def pause_of(reason: str | None, until_ms: int | None) -> dict[str, Any]:
    """A pause as the change log has it."""
    until = None if until_ms is None else iso(until_ms)
    return {"paused": reason, "paused_until": until}


def both(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Two pauses as arguments for `differing`."""
    return {name: (before[name], after[name]) for name in before}


def _object(definition: bytes) -> Mapping[str, Any]:
    """The definition as plain JSON; nothing if it is not a JSON object."""
    try:
        found = json.loads(definition) if definition else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _of_field(field: Field, before: Any, after: Any) -> Iterator[tuple[str, Any]]:
    if before == after:
        return
    if field.name in _SECRET:
        yield field.name, HIDDEN
    elif field.name == "options":
        yield from _of_options(_mapping(before), _mapping(after))
    elif field.name == "task":
        names = [_task_name(before), _task_name(after)]
        yield field.name, HIDDEN if names[0] == names[1] else list(map(cut, names))
    else:
        pair = [cut(_given(field, each)) for each in (before, after)]
        yield field.name, HIDDEN if TOO_LONG in pair else pair


def _of_options(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in sorted({*before, *after}):
        pair = [before.get(name), after.get(name)]
        if pair[0] != pair[1]:
            plain = name in _PLAIN_OPTIONS and all(map(is_scalar, pair))
            yield f"options.{cut(name)}", list(map(cut, pair)) if plain else HIDDEN


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _task_name(value: Any) -> Any:
    """A task's name; for a signature, the name of its task or canvas."""
    return value.get("task") if isinstance(value, dict) else value


def _given(field: Field, value: Any) -> Any:
    """A stored value in the unit in which it is given: seconds, or ISO 8601."""
    if value is None or not isinstance(value, int) or isinstance(value, bool):
        return value
    if field.is_instant:
        return iso(value)
    return value / 1_000 if field.is_span else value
