"""Change entries: add, update, pause, resume, rename and remove one.

Each change has a plan here: what it must find, and what it then writes. `swapping` reads, plans and
writes; `entries/changes.py` knows the form of what is written. Calls for many entries have rules of
their own and are in bulk.py and many.py.

**A rename keeps everything known of an entry.** Its cursor, count and pause move with it, so no
slot fires twice or is lost. Pending requests are for the new name from then on. An interval keeps
its offset and a cron its values of `H`, as both are stored. Spread and jitter are hashed from the
name, so the effective times change. The ledger keeps the records under the old name, and a note
there names the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.location import Location
from habeat.client.room import check_room, within_room
from habeat.client.swapping import Plan, swap
from habeat.core.entry import Entry, instant
from habeat.core.limits import Limits, check_reason
from habeat.entries.changes import (
    Edit,
    addition,
    change,
    check_stays,
    pause,
    removal,
    rescheduled,
    resume,
)
from habeat.entries.codec import decode_request, digest_of, encode, encode_request
from habeat.entries.differing import differing
from habeat.entries.draft import changed_entry, check_has_slots, new_entry
from habeat.entries.fields import validated
from habeat.entries.readable import shown
from habeat.errors import (
    DefinitionError,
    EntryExists,
    EntryNotFound,
    OwnedByConfig,
    RevisionConflict,
    ValidationError,
)
from habeat.ports.entries import Renaming, Stored

Result = TypeVar("Result")

#: Plans an edit from the entry as read and Redis' time; None if there is nothing to change.
PlanEdit = Callable[[Stored, int], Edit | None]


class Editing:
    """The changes that a client makes to one entry; each returns the entry as it is then."""

    def __init__(self, calls: RetryingCalls) -> None:
        self._calls = calls

    def add(self, name: str, given: Mapping[str, Any], *, may_replace: bool) -> Entry:
        """Add an entry; with `may_replace`, replace an existing one."""
        location = self._calls.location
        wanted = new_entry(name, given, location.timezone, location.limits)

        def plan(stored: Stored, now_ms: int) -> Edit | None:
            old = shown(stored)
            if stored.exists and (old.owner == "config" or not may_replace):
                raise EntryExists(name, old.owner)
            # An unchanged schedule may be exhausted: that is no reason to refuse other changes.
            if not stored.exists or rescheduled(old, wanted):
                check_has_slots(wanted, now_ms)
            edit = change if stored.exists else addition
            return edit(stored, wanted, now_ms)

        return self._edit(name, plan)

    def update(self, name: str, rev: int | None, changes: Mapping[str, Any]) -> Entry:
        """Change some fields of an entry, if it is at revision `rev` (None: at any)."""
        location = self._calls.location

        def plan(stored: Stored, now_ms: int) -> Edit | None:
            old = _existing(stored)
            if old.owner == "config":
                raise OwnedByConfig(name, "update")
            if rev is not None and old.rev != rev:
                raise RevisionConflict(name, rev, old.rev)
            wanted = changed_entry(stored, changes, location.timezone, location.limits)
            if rescheduled(old, wanted):
                check_has_slots(wanted, now_ms)
            return change(stored, wanted, now_ms)

        return self._edit(name, plan)

    def pause(self, name: str, reason: str, until_ms: int | None) -> Entry:
        """Pause an entry; without a reason or end, an earlier pause keeps its own."""
        return self._edit(name, pausing(reason, until_ms, self._calls.location.limits))

    def resume(self, name: str, *, catch_up: bool) -> Entry:
        """Let an entry continue from now; with `catch_up`, from where it stopped."""
        return self._edit(name, resuming(catch_up=catch_up))

    def rename(self, name: str, new_name: str) -> Entry:
        """Rename an entry."""

        def plan(session: Session) -> Plan[Entry]:
            snapshot = session.entries.read([name, new_name])
            old, new = snapshot.stored
            found = self._existing(old)
            if found.owner == "config":
                raise OwnedByConfig(name, "rename")
            if old.entry is None:
                raise DefinitionError(name, old.unreadable or "there is none")
            if new_name == name:
                return Plan(found)
            check_stays(old)
            self._calls.guard.check_name(new_name)
            if new.exists:
                raise EntryExists(new_name, shown(new).owner, "choose another name")
            renaming, entry = renamed(old, new_name, session.entries.requests())
            self._calls.guard.check(entry, snapshot.now_ms)
            return Plan(entry, lambda store, mark: store.rename(renaming, mark))

        return self._swap(name, plan)

    def remove(self, name: str) -> None:
        """Remove an entry."""

        def plan(session: Session) -> Plan[None]:
            snapshot = session.entries.read([name])
            stored = snapshot.stored[0]
            # An unreadable entry of beat_schedule may be removed: the leader then stores it again.
            if self._existing(stored).owner == "config" and stored.entry is not None:
                raise OwnedByConfig(name, "remove")
            gone = removal(stored, snapshot.now_ms)
            return Plan(None, lambda store, mark: store.remove([gone], None, mark))

        self._swap(name, plan)

    def _existing(self, stored: Stored) -> Entry:
        """The stored entry; EntryNotFound, and NotAllowed if it is outside the guard's scope."""
        self._calls.guard.check_name(stored.name)
        found = _existing(stored)
        self._calls.guard.check_scope(found)
        return found

    def _edit(self, name: str, plan_edit: PlanEdit) -> Entry:
        def plan(session: Session) -> Plan[Entry]:
            snapshot = session.entries.read([name])
            stored = snapshot.stored[0]
            self._calls.guard.check_name(name)
            edit = plan_edit(stored, snapshot.now_ms)
            self._calls.guard.check_change(stored, edit, snapshot.now_ms)
            check_room(self._calls, session, [stored])
            if edit is None:
                return Plan(shown(stored))
            return Plan(edit.entry, within_room(self._calls.guard, [edit.write]))

        return self._swap(name, plan)

    def _swap(self, name: str, plan: Callable[[Session], Plan[Result]]) -> Result:
        try:
            return swap(self._calls, plan)
        except Overtaken:
            raise RevisionConflict(name, None, self._rev_of(name)) from None

    def _rev_of(self, name: str) -> int | None:
        stored = self._calls.once(lambda session: session.entries.read([name])).stored[0]
        return shown(stored).rev if stored.exists else None


def _existing(stored: Stored) -> Entry:
    """The stored entry, also if it is quarantined; EntryNotFound."""
    if not stored.exists and stored.state.quarantined is None:
        raise EntryNotFound(stored.name)
    return shown(stored)


def pausing(reason: str, until_ms: int | None, limits: Limits) -> PlanEdit:
    """The plan that pauses an entry; without a reason or end, an earlier pause keeps its own."""

    def plan(stored: Stored, now_ms: int) -> Edit | None:
        check_reason(reason, limits, stored.name)
        state = _existing(stored).state
        if until_ms is not None and until_ms <= now_ms:
            allowed = f"later than now ({instant(now_ms)})"
            raise ValidationError("until", instant(until_ms), allowed, entry=stored.name)
        keeps_until = until_ms is None and state.paused is not None
        return pause(
            stored,
            reason or state.paused or "",
            now_ms,
            state.paused_until_ms if keeps_until else until_ms,
        )

    return plan


def switching(enabled: bool, location: Location) -> PlanEdit:
    """The plan that enables or disables an entry."""

    def plan(stored: Stored, now_ms: int) -> Edit | None:
        old = _existing(stored)
        if old.enabled is enabled:
            return None
        if old.owner == "config":
            raise OwnedByConfig(stored.name, "update")
        wanted = changed_entry(stored, {"enabled": enabled}, location.timezone, location.limits)
        return change(stored, wanted, now_ms)

    return plan


def resuming(*, catch_up: bool) -> PlanEdit:
    """The plan that lets an entry continue from now; with `catch_up`, from where it stopped."""

    def plan(stored: Stored, now_ms: int) -> Edit | None:
        _existing(stored)
        return resume(stored, now_ms, catch_up=catch_up)

    return plan


# -- renaming -------------------------------------------------------------------------------


def renamed(old: Stored, new_name: str, requests: Mapping[str, bytes]) -> tuple[Renaming, Entry]:
    """The write that renames an entry, and the renamed entry; ValidationError for a bad name."""
    found = shown(old)
    entry = validated(replace(found, name=new_name, rev=found.rev + 1))
    state = found.state
    if state.due_ms is not None and state.next_slot_ms is not None:
        state = replace(state, due_ms=entry.effective_ms(state.next_slot_ms))
    entry = replace(entry, state=state)
    renaming = Renaming(
        name=found.name,
        digest=old.digest,
        cursor_ms=state.cursor_ms or None,
        new_name=new_name,
        definition=encode(entry),
        due_ms=state.due_ms,
        requests=list(_moved(found.name, new_name, requests)),
        request_count=len(requests),
        differing=differing(b"", b"", name=(found.name, new_name)),
    )
    return renaming, entry


def _moved(
    name: str, new_name: str, requests: Mapping[str, bytes]
) -> Iterator[tuple[str, str, bytes]]:
    for identity, raw in requests.items():
        try:
            request = decode_request(raw)
        except DefinitionError:
            continue  # unreadable: the leader sets it aside
        if request.entry == name:
            yield identity, digest_of(raw), encode_request(replace(request, entry=new_name))
