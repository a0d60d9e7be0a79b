"""Entries as stored: versioned JSON, and the short records of :state.

The JSON is kombu's, so arguments may hold what Celery's own messages may: datetime, UUID,
Decimal. What cannot be written raises ValidationError naming the entry; what cannot be read
raises DefinitionError, whose entry is then quarantined. Keys of version 1 that this code does
not know were written by a later release: they are kept in `Entry.extra` and written back as they
were. A higher version is refused.
"""

from __future__ import annotations

import hashlib
import json as plain_json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from json import JSONDecoder
from typing import Any, cast

from kombu.utils import json

from habeat.core.entry import Delivery, Entry, EntryState, Misfire
from habeat.core.request import Request
from habeat.entries import shapes, storable
from habeat.errors import DefinitionError, HabeatError, ValidationError
from habeat.printable import kind_of, place
from habeat.schedules import registry

VERSION = 1

#: Instants have 15 digits at most (the year 9999).
_STATE = re.compile(
    r"(-?[0-9]{1,15})\|(-?[0-9]{1,15}|)\|([^|]*)\|([0-9]{0,15})\|([0-9]{1,15})\Z", re.DOTALL
)

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
#: What people put their own values into.
_CHECKED = ("args", "kwargs", "options", "task", "description", "tags")
_ALWAYS = ("task", "owner", "rev", "created_ms")

#: What `json.dumps` and `json.loads` make anew for each call.
_ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False)
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

    ValidationError, with the path, if a value cannot be stored (`storable`).
    """
    for name in _CHECKED:
        if value := getattr(entry, name):
            _check_storable(name, value, entry.name)
    extra = {key: value for key, value in entry.extra.items() if key not in _KNOWN}
    data = {**extra, "v": VERSION, "schedule": entry.schedule.to_json()}
    for name, plain in _DEFAULTS:
        value = getattr(entry, name)
        if value != plain:
            data[name] = list(value) if name in _TUPLES else value
    data.update(instead)
    return _written(data, entry.name)


def encode_checked(entry: Entry) -> bytes:
    """The same, read once more as the leader will; what it could not read is refused here."""
    written = encode(entry)
    try:
        decode(entry.name, written)
    except DefinitionError as error:
        raise ValidationError(
            "definition",
            kind_of(entry),
            f"one that can be read back ({error.why})",
            entry=entry.name,
        ) from error
    return written


def _check_storable(name: str, value: Any, entry: str) -> None:
    if storable.is_plain(value):
        return
    for path, allowed in storable.faults(value):
        raise ValidationError(place(name, path), kind_of(_at(value, path)), allowed, entry=entry)


def _at(value: Any, path: storable.Path) -> Any:
    """What stands at the path; where that leads nowhere (a key that is no text), the whole."""
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            break
    return value


def _written(data: Mapping[str, Any], entry: str) -> bytes:
    try:
        return str(_ENCODER.encode(data)).encode()
    except Exception as error:  # a subclass of dict or str may do as it likes
        allowed = f"what JSON can carry ({type(error).__name__})"
        raise ValidationError("definition", kind_of(data), allowed, entry=entry) from error


def decode(name: str, stored: bytes, state: EntryState | None = None) -> Entry:
    """The entry written as `stored`, at this state; DefinitionError if it cannot be read."""
    try:
        data = _object(stored)
        _check_name(name)
        shapes.check(data, shapes.DEFINITION)
        return _entry(name, data, state or EntryState())
    except Exception as why:  # whatever it is, it is this entry's own trouble
        raise DefinitionError(name, _told(why, stored)) from why


def _object(stored: bytes) -> dict[str, Any]:
    """A stored record of our version."""
    data = _DECODER.decode(stored.decode())
    if not isinstance(data, dict):
        raise ValidationError("definition", kind_of(data), "a JSON object")
    if data.get("v") != VERSION:
        raise ValidationError("v", kind_of(data.get("v")), f"{VERSION} (this release of habeat)")
    if stored.count(b"[") + stored.count(b"{") > storable.MAX_DEPTH:  # else it cannot be so deep
        for path, allowed in storable.faults(data):
            raise ValidationError(place("definition", path), kind_of(None), allowed)
    return data


def _check_name(name: str) -> None:
    """A name that is not UTF-8 cannot be part of a task's id; text() keeps its bytes."""
    if not name.isascii() and storable.has_surrogates(name):
        raise ValidationError("name", name, "UTF-8")


def _told(why: Exception, stored: bytes) -> str:
    """What is wrong, without the values of arguments."""
    if isinstance(why, HabeatError | plain_json.JSONDecodeError | UnicodeDecodeError):
        return str(why)
    if isinstance(why, KeyError):
        return f"{why.args[0]!r} is missing"
    where = _unrevived(stored)
    return f"{where} cannot be read" if where else f"{type(why).__name__}"


def _unrevived(stored: bytes) -> str:
    """The path to what kombu's decoder refuses, "" if it is not that."""
    try:
        data = plain_json.loads(stored)
        return next((place(str(p[0]), p[1:]) for p, _ in storable.faults(data) if p), "")
    except Exception:  # the first reading has failed already
        return ""


def _entry(name: str, data: Mapping[str, Any], state: EntryState) -> Entry:
    fields = {"task": data["task"], **{key: data[key] for key in _PLAIN if key in data}}
    fields |= {key: tuple(data[key]) for key in _TUPLES if key in data}
    if "misfire" in data:
        fields["misfire"] = _word(Misfire, "misfire", data["misfire"])
    if "delivery" in data:
        fields["delivery"] = _word(Delivery, "delivery", data["delivery"])
    extra = {key: value for key, value in data.items() if key not in _KNOWN}
    schedule = registry.from_json(data["schedule"])
    return Entry(name=name, schedule=schedule, extra=extra, state=state, **fields)


def _word(words: type[Misfire] | type[Delivery], field: str, given: str) -> Misfire | Delivery:
    try:
        return words(given)
    except ValueError:
        raise ValidationError(field, given, " or ".join(map(repr, map(str, words)))) from None


def encode_request(order: Request) -> bytes:
    """An order as stored; ValidationError, with the path, if it could not be read again."""
    for name in ("args", "kwargs"):
        if value := getattr(order, name):
            _check_storable(name, value, order.entry)
    written = _written({"v": VERSION, **asdict(order)}, order.entry)
    try:
        decode_request(written)
    except DefinitionError as error:
        allowed = f"one that can be read back ({error.why})"
        raise ValidationError("request", kind_of(order), allowed, entry=order.entry) from error
    return written


def decode_request(stored: bytes) -> Request:
    """The order written as `stored`; DefinitionError if it cannot be read."""
    try:
        data = _object(stored)
        del data["v"]
        shapes.check(data, shapes.REQUEST)
        if data.get("args") is not None:
            data["args"] = tuple(data["args"])
        return Request(**data)
    except Exception as why:  # whatever it is, it is this request's own trouble
        raise DefinitionError("?", f"the request cannot be read: {_told(why, stored)}") from why


def read_state(raw: str) -> EntryState | None:
    """A record of :state; None if it cannot be read, as common.lua's state_of decides it."""
    match = _STATE.match(raw)
    if match is None:
        return None
    cursor, slot, _token, fired, count = match.groups()
    if not all(shapes.is_instant(int(each or 0)) for each in (cursor, slot, fired)):
        return None
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
        paused=told["reason"] if paused else None,
        paused_at_ms=told["at_ms"],
        paused_until_ms=told["until_ms"],
        quarantined=quarantined or None,
    )


def _pause(raw: str) -> Mapping[str, Any]:
    """What :paused holds; what cannot be read of it is a pause all the same."""
    try:
        data = plain_json.loads(raw) if raw else {}
    except Exception:  # whatever it is: it stands where pauses stand
        data = {}
    told = data if isinstance(data, dict) else {}
    reason = told.get("reason", "")
    return {
        "reason": reason if isinstance(reason, str) else "",
        "at_ms": at_ms if shapes.is_instant(at_ms := told.get("at_ms")) else None,
        "until_ms": until_ms if shapes.is_instant(until_ms := told.get("until_ms")) else None,
    }


def paused_json(reason: str, at_ms: int, until_ms: int | None = None) -> str:
    """What :paused holds of an entry."""
    return plain_json.dumps({"reason": reason, "at_ms": at_ms, "until_ms": until_ms})
