"""A backup: all entries with their states, pauses and the controls, as one document.

`export` is for people and other systems: definitions only. A backup also has the state of each
entry: its position, how often it fired, its pause. It holds definitions as they are stored, so one
that cannot be read is in it, too. It has no passwords, but all arguments of the entries.

It is made in one pass, page by page. Each page is of one moment; entries that change meanwhile are
in it as they were before or after. What is in flight, pending requests, the ledger and the change
log are not in a backup.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from habeat.client.calls import RetryingCalls, Session
from habeat.client.guard import NO_GUARD
from habeat.client.selection import pages_of
from habeat.core.controls import STEP_DOWN
from habeat.core.entry import EntryState
from habeat.entries.codec import digest_of
from habeat.entries.shapes import is_instant, is_whole
from habeat.errors import NotAllowed, ValidationError
from habeat.ports.entries import Stored
from habeat.printable import kind_of, plural
from habeat.schedules.schedule import moment
from habeat.store.pages import PAGE, pages

KEY, VERSION = "habeat_backup", 1

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SavedEntry:
    """One entry of a backup: its stored bytes, its state, and its stored pause ("" if none)."""

    name: str
    definition: bytes
    state: EntryState = field(default_factory=EntryState)
    pause: str = ""

    def to_json(self) -> dict[str, Any]:
        state = self.state
        position = {
            "cursor_ms": state.cursor_ms or None,
            "next_slot_ms": state.next_slot_ms,
            "last_fired_ms": state.last_fired_ms,
            "fired": state.fired,
            "resume_at_ms": state.paused_until_ms,
        }
        found = {key: value for key, value in position.items() if value}
        return {
            "name": self.name,
            **_bytes("definition", self.definition),
            **found,
            **({"pause": self.pause} if self.pause else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> SavedEntry:
        """ValidationError if it is no entry of a backup."""
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            raise ValidationError("entries", kind_of(data), "entries of a backup, with names")
        name, pause = data["name"], data.get("pause", "")
        if not name or not isinstance(pause, str):
            raise ValidationError("pause", kind_of(pause), "a text", entry=name)
        for key in ("cursor_ms", "next_slot_ms", "last_fired_ms", "resume_at_ms"):
            if data.get(key) is not None and not is_instant(data[key]):
                allowed = "an instant, whole milliseconds"
                raise ValidationError(key, kind_of(data[key]), allowed, entry=name)
        if not is_whole(data.get("fired", 0)):
            raise ValidationError("fired", kind_of(data["fired"]), "a whole number", entry=name)
        state = EntryState(
            cursor_ms=data.get("cursor_ms") or 0,
            next_slot_ms=data.get("next_slot_ms"),
            last_fired_ms=data.get("last_fired_ms"),
            fired=data.get("fired", 0),
            paused_until_ms=data.get("resume_at_ms"),
        )
        return cls(name, _from_bytes(name, data), state, pause)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was read.

    `remove` and `remove_controls` are what undoing a restore removes: names with digests, and
    controls with their values.
    """

    prefix: str
    made_at: str
    entries: Sequence[SavedEntry]
    controls: Mapping[str, str] = field(default_factory=dict)
    remove: Mapping[str, str] = field(default_factory=dict)
    remove_controls: Mapping[str, str] = field(default_factory=dict)
    undoes: bool = False

    @classmethod
    def from_json(cls, data: Any) -> Backup:
        """The backup in a document; ValidationError if it is none."""
        if not isinstance(data, Mapping) or data.get(KEY) != VERSION:
            given = data.get(KEY) if isinstance(data, Mapping) else kind_of(data)
            raise ValidationError(KEY, given, f"{VERSION}, in a document made by `habeat backup`")
        entries = data.get("entries")
        if not isinstance(entries, list):
            raise ValidationError("entries", kind_of(entries), "a list of entries")
        found = [SavedEntry.from_json(each) for each in entries]
        if len({each.name for each in found}) < len(found):
            raise ValidationError("entries", kind_of(entries), "each name only once")
        undo = data.get("undo")
        return cls(
            prefix=str(data.get("prefix", "")),
            made_at=str(data.get("made_at", "")),
            entries=found,
            controls=_texts(data, "controls"),
            remove=_texts(undo, "remove") if isinstance(undo, Mapping) else {},
            remove_controls=_texts(undo, "remove_controls") if isinstance(undo, Mapping) else {},
            undoes=isinstance(undo, Mapping),
        )


def backed_up(
    calls: RetryingCalls,
    progress: Progress | None = None,
    only: Sequence[str] | None = None,
    undo: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """The document of all entries, or of `only` these.

    With `undo`, it undoes a restore that adds what is in there. NotAllowed for a client with a
    guard.
    """
    if calls.guard is not NO_GUARD:
        raise NotAllowed("", "backup", "clients without a guard: a backup has all entries")
    calls = calls.bounded()
    at_ms, total, controls = calls.read(_head)
    entries: list[dict[str, Any]] = []
    for page in pages_of(calls) if only is None else pages(only, PAGE):
        calls.check(plural(len(entries), "entry was", "entries were") + " read")
        entries += [each.to_json() for each in saved(calls, page)]
        if progress is not None:
            progress(len(entries), max(total, len(entries)))
    return {
        KEY: VERSION,
        "made_at": moment(at_ms).isoformat(timespec="milliseconds"),
        "prefix": calls.location.prefix,
        "entries": entries,
        "controls": controls if undo is None else {},
        **({} if undo is None else {"undo": undo}),
    }


def saved(calls: RetryingCalls, names: Sequence[str]) -> list[SavedEntry]:
    """Those of these entries that exist, as a backup has them."""

    def read(session: Session) -> list[SavedEntry]:
        stored = [each for each in session.entries.read(names).stored if each.exists]
        found = [each.name for each in stored]
        raws = session.entries.definitions(found) if found else []
        pauses = session.entries.pauses(found) if found else []
        return [
            _saved(each, raw, pause)
            for each, raw, pause in zip(stored, raws, pauses, strict=True)
            if raw is not None
        ]

    return calls.read(read)


def _saved(stored: Stored, raw: bytes, pause: bytes) -> SavedEntry:
    return SavedEntry(stored.name, raw, stored.state, pause.decode("utf-8", "replace"))


def _head(session: Session) -> tuple[int, int, dict[str, str]]:
    controls = session.controls.read().fields
    kept = {name: value for name, value in controls.items() if name != STEP_DOWN}
    return session.inspection.now_ms(), session.inspection.facts().entries, kept


def _bytes(name: str, raw: bytes) -> dict[str, str]:
    """Bytes as a field of JSON: as text if they are text."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(raw).decode()}
    return {name: text}


def _from_bytes(name: str, data: Mapping[str, Any]) -> bytes:
    text, coded = data.get("definition"), data.get("definition_base64")
    try:
        if isinstance(coded, str):
            return base64.b64decode(coded, validate=True)
        if isinstance(text, str):
            return text.encode()
    except (ValueError, UnicodeEncodeError):
        pass
    raise ValidationError("definition", kind_of(text or coded), "a stored definition", entry=name)


def _texts(data: Mapping[str, Any], name: str) -> dict[str, str]:
    found = data.get(name, {})
    if not isinstance(found, Mapping):
        raise ValidationError(name, kind_of(found), "an object")
    return {key: value for key, value in found.items() if isinstance(value, str)}


def digest(entry: SavedEntry) -> str:
    """The digest by which Redis knows the definition."""
    return digest_of(entry.definition)
