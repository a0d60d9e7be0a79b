"""Entries as stored: versioned JSON, and the short records of :state.

The JSON is kombu's, so arguments may contain what Celery's own messages may: datetime, UUID,
Decimal. Writing an invalid value raises ValidationError, which names the entry. Reading an invalid
definition raises DefinitionError, and the entry is quarantined. Keys of version 1 that this code
does not know come from a later release: they are kept in `Entry.extra` and written back unchanged.
A higher version is refused.
"""

from __future__ import annotations

import json as plain_json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from json import JSONDecoder
from typing import Any

from kombu.utils import json

from habeat.core.entry import Entry, EntryState
from habeat.core.request import Request
from habeat.entries import shapes, storable
from habeat.entries.digest import digest_of as digest_of
from habeat.entries.fields import DEFINITION, FREE, STORED
from habeat.errors import DefinitionError, HabeatError, ValidationError
from habeat.printable import kind_of, place
from habeat.schedules import registry

VERSION = 1

#: Instants have at most 15 digits (the year 9999).
_STATE = re.compile(
    r"(-?[0-9]{1,15})\|(-?[0-9]{1,15}|)\|([^|]*)\|([0-9]{0,15})\|([0-9]{1,15})\Z", re.DOTALL
)

_PLAIN = tuple(field.stored for field in STORED if not field.kind.revive)
_REVIVED = tuple((field.stored, field.kind.revive) for field in STORED if field.kind.revive)
_KNOWN = frozenset((*DEFINITION, "v", "schedule"))

#: `json.dumps` and `json.loads` would create these again at each call.
_ENCODER = json.JSONEncoder(allow_nan=False)
_DECODER = JSONDecoder(object_hook=json.object_hook)

_NOTHING = object()
#: Fields that are left out of a stored definition if they have these values.
_DEFAULTS = tuple(
    (field.stored, _NOTHING if field.always_stored else field.default) for field in STORED
)


def encode(entry: Entry, **instead: int) -> bytes:
    """The entry's stored definition; `instead` replaces some of its fields.

    Raises ValidationError, with the path, if a value cannot be stored (see `storable`).
    """
    for name in FREE:
        if value := getattr(entry, name):
            _check_storable(name, value, entry.name)
    extra = {key: value for key, value in entry.extra.items() if key not in _KNOWN}
    data = {**extra, "v": VERSION, "schedule": dict(sorted(entry.schedule.to_json().items()))}
    for name, plain in _DEFAULTS:
        value = getattr(entry, name)
        if value != plain:
            data[name] = value
    data.update(instead)
    return _written(data, entry.name)


def encode_checked(entry: Entry) -> bytes:
    """The same, checked by reading it back as a leader will; ValidationError if that fails."""
    written = encode(entry)
    try:
        decode(entry.name, written)
    except DefinitionError as error:
        raise ValidationError(
            "definition",
            kind_of(entry),
            f"one that can be read back: {error.why}",
            entry=entry.name,
        ) from error
    return written


def _check_storable(name: str, value: Any, entry: str) -> None:
    if storable.is_plain(value):
        return
    for path, allowed in storable.faults(value):
        raise ValidationError(place(name, path), kind_of(_at(value, path)), allowed, entry=entry)


def _at(value: Any, path: storable.Path) -> Any:
    """The value at the path, or at the longest part of it that exists."""
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            break
    return value


def _written(data: Mapping[str, Any], entry: str) -> bytes:
    """The record as JSON, with sorted fields; keys inside users' values keep their order."""
    try:
        return str(_ENCODER.encode({key: data[key] for key in sorted(data)})).encode()
    except Exception as error:  # a user's subclass of dict or str may raise anything
        allowed = f"what JSON can carry ({type(error).__name__})"
        raise ValidationError("definition", kind_of(data), allowed, entry=entry) from error


def decode(name: str, stored: bytes, state: EntryState | None = None) -> Entry:
    """The entry in a stored definition, with this state; DefinitionError if it is unreadable."""
    try:
        data = _object(stored)
        _check_name(name)
        shapes.check(data, DEFINITION)
        return _entry(name, data, state or EntryState())
    except Exception as why:  # any error concerns this entry only
        raise DefinitionError(name, _in_words(why, stored)) from why


def _object(stored: bytes) -> dict[str, Any]:
    """The JSON object in a stored record of this version."""
    data = _DECODER.decode(stored.decode())
    if not isinstance(data, dict):
        raise ValidationError("definition", kind_of(data), "a JSON object")
    # Unlike an unknown key, another version may change the meaning of the keys that we know.
    if data.get("v") != VERSION:
        raise ValidationError(
            "v", kind_of(data.get("v")), f"version {VERSION}, which this release of habeat reads"
        )
    # With fewer brackets than this it cannot be too deep: skip the search.
    if stored.count(b"[") + stored.count(b"{") > storable.MAX_DEPTH:
        for path, allowed in storable.faults(data):
            raise ValidationError(place("definition", path), kind_of(None), allowed)
    return data


def _check_name(name: str) -> None:
    """Refuse a name that is not UTF-8: it cannot be part of a task id."""
    if not name.isascii() and storable.has_surrogates(name):
        raise ValidationError("name", name, "UTF-8")


def _in_words(why: Exception, stored: bytes) -> str:
    """The error in words, without the values of arguments."""
    if isinstance(why, HabeatError | plain_json.JSONDecodeError | UnicodeDecodeError):
        return str(why)
    if isinstance(why, KeyError):
        return f"{why.args[0]!r} is missing"
    where = _unrevived(stored)
    return f"{where} cannot be read" if where else f"{type(why).__name__}"


def _unrevived(stored: bytes) -> str:
    """The path to the value that kombu's decoder refuses; "" if there is another cause."""
    try:
        data = plain_json.loads(stored)
        return next((place(str(p[0]), p[1:]) for p, _ in storable.faults(data) if p), "")
    except Exception:  # it is not JSON at all; the caller reports the first error
        return ""


def _entry(name: str, data: Mapping[str, Any], state: EntryState) -> Entry:
    fields = {"task": data["task"], **{key: data[key] for key in _PLAIN if key in data}}
    fields |= {key: revive(key, data[key]) for key, revive in _REVIVED if key in data}
    extra = {key: value for key, value in data.items() if key not in _KNOWN}
    schedule = registry.from_json(data["schedule"])
    return Entry(name=name, schedule=schedule, extra=extra, state=state, **fields)


def encode_request(request: Request) -> bytes:
    """The request as stored; ValidationError, with the path, if it could not be read back."""
    for name in ("args", "kwargs"):
        if value := getattr(request, name):
            _check_storable(name, value, request.entry)
    written = _written({"v": VERSION, **asdict(request)}, request.entry)
    try:
        decode_request(written)
    except DefinitionError as error:
        allowed = f"one that can be read back: {error.why}"
        raise ValidationError("request", kind_of(request), allowed, entry=request.entry) from error
    return written


def decode_request(stored: bytes) -> Request:
    """The request in a stored record; DefinitionError if it is unreadable."""
    try:
        data = _object(stored)
        del data["v"]
        shapes.check(data, shapes.REQUEST)
        if data.get("args") is not None:
            data["args"] = tuple(data["args"])
        return Request(**data)
    except Exception as why:  # any error concerns this request only
        raise DefinitionError("?", f"the request is unreadable: {_in_words(why, stored)}") from why


def read_state(raw: str) -> EntryState | None:
    """A record of :state; None if it is unreadable, by the same rules as state_of in common.lua."""
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

    It searches the text: parsing a hundred thousand definitions would take seconds.
    """
    return stored is not None and f'"fingerprint": "{fingerprint}"'.encode() in stored


def with_facts(
    state: EntryState, *, due_ms: int | None, paused: str, quarantined: str, failing: bool
) -> EntryState:
    """The state completed with what other keys say about the entry."""
    if not (paused or quarantined or failing) and due_ms == state.due_ms:
        return state  # avoid a copy: this runs for every entry at a start
    pause = _pause(paused)
    return replace(
        state,
        due_ms=due_ms,
        paused=pause["reason"] if paused else None,
        paused_at_ms=pause["at_ms"],
        paused_until_ms=pause["until_ms"],
        quarantined=quarantined or None,
        failing=failing,
        moving_to=pause["moving_to"],
    )


def _pause(raw: str) -> Mapping[str, Any]:
    """The value of :paused. An unreadable value is still a pause, without reason and end."""
    try:
        data = plain_json.loads(raw) if raw else {}
    except Exception:  # anything stored in :paused is a pause
        data = {}
    pause = data if isinstance(data, dict) else {}
    reason, moving_to = pause.get("reason", ""), pause.get("moving_to", "")
    return {
        "reason": reason if isinstance(reason, str) else "",
        "moving_to": moving_to if isinstance(moving_to, str) else "",
        "at_ms": at_ms if shapes.is_instant(at_ms := pause.get("at_ms")) else None,
        "until_ms": until_ms if shapes.is_instant(until_ms := pause.get("until_ms")) else None,
    }


def paused_json(reason: str, at_ms: int, until_ms: int | None = None) -> str:
    """An entry's value in :paused."""
    return plain_json.dumps({"reason": reason, "at_ms": at_ms, "until_ms": until_ms})
