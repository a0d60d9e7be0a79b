"""Changing one entry: read it, plan the change, write it if it is still as it was read.

**A lost reply.** When Redis was away, nobody knows whether the write was done, and the attempt
is made again from its start. It reads the entry first; if that is, digest for digest, what an
earlier attempt wrote, the change is done and is not made twice (its slots are in the ledger
once). A removal that finds nothing after it has tried is done in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from habeat.client.calls import Calls, Desk, Overtaken
from habeat.client.definition import changed_entry, check_has_slots, new_entry
from habeat.client.edits import (
    Edit,
    addition,
    change,
    pause,
    removal,
    rescheduled,
    resume,
)
from habeat.client.renaming import renamed
from habeat.client.salvage import shown
from habeat.core.entry import Entry, instant
from habeat.core.limits import check_reason
from habeat.errors import (
    DefinitionError,
    EntryExists,
    EntryNotFound,
    OwnedByConfig,
    RevisionConflict,
    ValidationError,
)
from habeat.store.codec import digest_of
from habeat.store.entries import Conflict, Stored

Result = TypeVar("Result")

#: From the entry as read and Redis' time: the edit, or None if there is nothing to change.
Plan = Callable[[Stored, int], Edit | None]


class Editing:
    """The changes that a client makes to one entry at a time."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def add(self, name: str, given: Mapping[str, Any], *, may_replace: bool) -> Entry:
        """A new entry; with `may_replace` an existing one becomes what was given."""
        place = self._calls.place
        wanted = new_entry(name, given, place.timezone, place.limits)

        def plan(stored: Stored, now_ms: int) -> Edit | None:
            old = shown(stored)
            if stored.exists and (old.owner == "config" or not may_replace):
                raise EntryExists(name, old.owner)
            if not stored.exists or rescheduled(old, wanted):
                check_has_slots(wanted, now_ms)
            edit = change if stored.exists else addition
            return edit(stored, wanted, now_ms)

        return self._edit(name, plan)

    def update(self, name: str, rev: int | None, changes: Mapping[str, Any]) -> Entry:
        """The entry with some fields changed, if it is at `rev`."""
        place = self._calls.place

        def plan(stored: Stored, now_ms: int) -> Edit | None:
            old = _existing(stored)
            if old.owner == "config":
                raise OwnedByConfig(name, "update")
            if rev is not None and old.rev != rev:
                raise RevisionConflict(name, rev, old.rev)
            wanted = changed_entry(stored, changes, place.timezone, place.limits)
            if rescheduled(old, wanted):
                check_has_slots(wanted, now_ms)
            return change(stored, wanted, now_ms)

        return self._edit(name, plan)

    def pause(self, name: str, reason: str, until_ms: int | None) -> Entry:
        """The entry paused; what is not said of a pause stays as it is."""
        check_reason(reason, self._calls.place.limits, name)

        def plan(stored: Stored, now_ms: int) -> Edit | None:
            state = _existing(stored).state
            if until_ms is not None and until_ms <= now_ms:
                now = instant(now_ms)
                raise ValidationError(
                    "until", instant(until_ms), f"later than now ({now})", entry=name
                )
            keeps_until = until_ms is None and state.paused is not None
            return pause(
                stored,
                reason or state.paused or "",
                now_ms,
                state.paused_until_ms if keeps_until else until_ms,
            )

        return self._edit(name, plan)

    def resume(self, name: str, *, catch_up: bool) -> Entry:
        """The entry going on from now, or from where it stopped."""

        def plan(stored: Stored, now_ms: int) -> Edit | None:
            _existing(stored)
            return resume(stored, now_ms, catch_up=catch_up)

        return self._edit(name, plan)

    def rename(self, name: str, new_name: str) -> Entry:
        """The entry under another name."""
        written: set[str] = set()

        def attempt(desk: Desk) -> Entry:
            old, new = desk.entries.read([name, new_name]).stored
            if not old.exists and new.exists and new.digest in written:
                return shown(new)
            found = _existing(old)
            if found.owner == "config":
                raise OwnedByConfig(name, "rename")
            if old.entry is None:
                raise DefinitionError(name, old.unreadable or "there is none")
            if new_name == name:
                return found
            if new.exists:
                raise EntryExists(new_name, shown(new).owner)
            renaming, entry = renamed(old, new_name, desk.entries.orders())
            written.add(digest_of(renaming.definition))
            if desk.entries.rename(renaming) is not None:
                raise Overtaken(name)
            return entry

        return self._write(name, attempt)

    def remove(self, name: str) -> None:
        """The entry gone."""
        tried = False

        def attempt(desk: Desk) -> None:
            nonlocal tried
            snapshot = desk.entries.read([name])
            stored = snapshot.stored[0]
            if tried and not stored.exists:
                return
            # One that cannot be read is made anew by the leader, once it is gone.
            if _existing(stored).owner == "config" and stored.entry is not None:
                raise OwnedByConfig(name, "remove")
            tried = True
            if isinstance(desk.entries.remove([removal(stored, snapshot.now_ms)]), Conflict):
                raise Overtaken(name)

        self._write(name, attempt)

    def _edit(self, name: str, plan: Plan) -> Entry:
        written: set[str] = set()

        def attempt(desk: Desk) -> Entry:
            snapshot = desk.entries.read([name])
            stored = snapshot.stored[0]
            if stored.exists and stored.digest in written:
                return shown(stored)
            edit = plan(stored, snapshot.now_ms)
            if edit is None:
                return shown(stored)
            if edit.digest:
                written.add(edit.digest)
            if isinstance(desk.entries.write([edit.write]), Conflict):
                raise Overtaken(name)
            return edit.entry

        return self._write(name, attempt)

    def _write(self, name: str, attempt: Callable[[Desk], Result]) -> Result:
        try:
            return self._calls.write(attempt)
        except Overtaken:
            raise RevisionConflict(name, None, self._rev_of(name)) from None

    def _rev_of(self, name: str) -> int | None:
        stored = self._calls.read(lambda desk: desk.entries.read([name])).stored[0]
        return shown(stored).rev if stored.exists else None


def _existing(stored: Stored) -> Entry:
    """What is stored, quarantined or not; EntryNotFound if there is nothing at all."""
    if not stored.exists and stored.state.quarantined is None:
        raise EntryNotFound(stored.name)
    return shown(stored)
