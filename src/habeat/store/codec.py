"""Entries as stored: versioned JSON, and the short records of :state.

The JSON is kombu's, so arguments may hold what Celery's own messages may: datetime, UUID,
Decimal. What cannot be written raises ValidationError naming the entry; what cannot be read
raises DefinitionError, whose entry is then quarantined. Keys of version 1 that this code does
not know were written by a later release: they are kept in `Entry.extra` and written back as they
were. A higher version is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from json import JSONDecoder
from typing import Any, cast

from kombu.utils import json

from habeat.core.entry import Delivery, Entry, EntryState, Misfire
from habeat.core.order import Order
from habeat.core.schedule import registry
from habeat.errors import DefinitionError, HabeatError, ValidationError

VERSION = 1

_STATE = re.compile(r"^(-?\d+)\|(-?\d*)\|([^|]*)\|(\d*)\|(\d+)$")

_PLAIN = (
    "task",
    "kwargs",
    "options",
    "enabled",
    "description",
    "owner",
    "misfire_grace_ms",
    "misfire_limit",
    "misfire_window_ms",
    "misfire_pace",
    "start_ms",
    "end_ms",
    "max_runs",
    "jitter_ms",
    "spread_ms",
    "deadline_ms",
    "rev",
    "created_ms",
    "generation",
    "fingerprint",
)
_TUPLES = ("args", "tags", "from_code")
_KNOWN = frozenset((*_PLAIN, *_TUPLES, "v", "schedule", "misfire", "delivery"))
_ALWAYS = ("task", "owner", "rev", "created_ms")

#: What `json.dumps` and `json.loads` make anew for each call.
_ENCODER = json.JSONEncoder(sort_keys=True)
_DECODER = JSONDecoder(object_hook=json.object_hook)

_NOTHING = object()
_UNSET = Entry("", "", cast(Any, None))
#: What is left out of a stored definition, for it is so anyway.
_DEFAULTS = tuple(
    (name, _NOTHING if name in _ALWAYS else getattr(_UNSET, name))
    for name in (*_PLAIN, *_TUPLES, "misfire", "delivery")
)


def digest_of(stored: bytes) -> str:
    """The name by which scripts compare stored definitions."""
    return hashlib.sha1(stored, usedforsecurity=False).hexdigest()


def encode(entry: Entry, **instead: int) -> bytes:
    """The entry's definition as stored, with these fields instead of its own.

    ValidationError if a value cannot be written.
    """
    extra = {key: value for key, value in entry.extra.items() if key not in _KNOWN}
    data = {**extra, "v": VERSION, "schedule": entry.schedule.to_json()}
    for name, plain in _DEFAULTS:
        value = getattr(entry, name)
        if value != plain:
            data[name] = list(value) if name in _TUPLES else value
    data.update(instead)
    try:
        written = str(_ENCODER.encode(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise _unwritable(entry, error) from error
    return written.encode()


def _unwritable(entry: Entry, error: Exception) -> ValidationError:
    for name in ("args", "kwargs", "options", "task"):
        try:
            json.dumps(getattr(entry, name))
        except (TypeError, ValueError, RecursionError):
            return ValidationError(
                name,
                getattr(entry, name),
                f"what JSON can carry, datetime, UUID and Decimal ({error})",
                entry=entry.name,
            )
    return ValidationError("definition", "?", str(error), entry=entry.name)


def decode(name: str, stored: bytes, state: EntryState | None = None) -> Entry:
    """The entry written as `stored`, at this state; DefinitionError if it cannot be read."""
    try:
        data = _DECODER.decode(stored.decode())
        if not isinstance(data, dict):
            raise ValidationError("definition", type(data).__name__, "a JSON object")
        version = data.get("v")
        if version != VERSION:
            raise ValidationError("v", version, f"{VERSION} (this release of habeat)")
        return _entry(name, data, state or EntryState())
    except (HabeatError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as why:
        told = f"{why.args[0]!r} is missing" if isinstance(why, KeyError) else str(why)
        raise DefinitionError(name, told) from why


def _entry(name: str, data: Mapping[str, Any], state: EntryState) -> Entry:
    fields = {key: data[key] for key in _PLAIN if key in data}
    fields |= {key: tuple(data[key]) for key in _TUPLES if key in data}
    if "misfire" in data:
        fields["misfire"] = Misfire(data["misfire"])
    if "delivery" in data:
        fields["delivery"] = Delivery(data["delivery"])
    for key, kind in (("rev", int), ("created_ms", int), ("kwargs", dict), ("options", dict)):
        if key in fields and not isinstance(fields[key], kind):
            raise ValidationError(key, fields[key], f"a JSON {kind.__name__}")
    extra = {key: value for key, value in data.items() if key not in _KNOWN}
    schedule = registry.from_json(data["schedule"])
    return Entry(name=name, schedule=schedule, extra=extra, state=state, **fields)


def encode_order(order: Order) -> bytes:
    """An order as stored; ValidationError if its arguments cannot be written."""
    data = {"v": VERSION, **asdict(order)}
    try:
        return str(json.dumps(data, sort_keys=True)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(
            "args", (order.args, order.kwargs), f"what JSON can carry ({error})", entry=order.entry
        ) from error


def decode_order(stored: bytes) -> Order:
    """The order written as `stored`; DefinitionError if it cannot be read."""
    try:
        data = json.loads(stored)
        if data.pop("v") != VERSION or data["kind"] not in ("trigger", "backfill"):
            raise ValidationError("kind", data["kind"], "trigger or backfill, version 1")
        if data.get("args") is not None:
            data["args"] = tuple(data["args"])
        return Order(**data)
    except (HabeatError, KeyError, TypeError, ValueError, AttributeError) as why:
        raise DefinitionError("?", f"the request cannot be read: {why}") from why


def read_state(raw: str) -> EntryState | None:
    """A record of :state; None if it cannot be read."""
    match = _STATE.match(raw)
    if match is None:
        return None
    cursor, slot, _token, fired, count = match.groups()
    return EntryState(
        cursor_ms=int(cursor),
        next_slot_ms=int(slot) if slot else None,
        last_fired_ms=int(fired) if fired else None,
        fired=int(count),
    )


def is_declared_as(stored: bytes | None, fingerprint: str) -> bool:
    """Whether a stored definition came from a declaration with this fingerprint.

    By its text: reading a hundred thousand definitions takes seconds, this a few milliseconds.
    """
    return stored is not None and f'"fingerprint": "{fingerprint}"'.encode() in stored


def with_facts(
    state: EntryState, *, due_ms: int | None, paused: str, quarantined: str
) -> EntryState:
    """The state with what stands beside it in other keys."""
    if not paused and not quarantined and due_ms == state.due_ms:
        return state  # a hundred thousand times at a start
    told = _pause(paused)
    return replace(
        state,
        due_ms=due_ms,
        paused=str(told.get("reason", "")) if paused else None,
        paused_at_ms=told.get("at_ms"),
        paused_until_ms=told.get("until_ms"),
        quarantined=quarantined or None,
    )


def _pause(raw: str) -> Mapping[str, Any]:
    """What :paused holds; what cannot be read is a pause all the same."""
    try:
        told = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
