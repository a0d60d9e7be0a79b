"""Many new entries in one call: `client.add_many`.

Everything is checked before anything is written: each definition, duplicate names, names that are
taken, the guard's bounds. If anything is wrong, no entry is added, and BulkError says what is wrong
with each.

Then the entries are written in batches, each by one script. Batches are small, because Redis does
nothing else while a script runs, so the leader's claims have to wait. If a name was taken in the
meantime, the entries written so far are removed again. If Redis stops answering, or the time is up,
that is not possible: BulkInterrupted says which were added. See decision 0034.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.location import Location
from habeat.client.room import check_room, within_room
from habeat.client.swapping import Plan, swap
from habeat.core.entry import Entry
from habeat.core.limits import within
from habeat.entries.changes import Edit, addition, removal
from habeat.entries.draft import check_has_slots, new_entry
from habeat.entries.readable import shown
from habeat.errors import (
    BulkError,
    BulkInterrupted,
    CallTimeout,
    EntryExists,
    HabeatError,
    RedisUnavailable,
    RevisionConflict,
    ValidationError,
)
from habeat.ports.entries import Stored
from habeat.store.pages import PAGE, WRITTEN

#: For this many entries, the call may take a second longer.
PER_SECOND = 1_000


def added(calls: RetryingCalls, given: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Add the entries and return them in the order given; BulkError if one cannot be added."""
    items = list(given)
    limits = calls.location.limits
    within("add_many", len(items), "entries", limits.bulk_entries, "bulk_entries")
    wanted, refused = _checked(items, calls.location)
    if not items:
        return []
    calls = calls.bounded(len(wanted) / PER_SECOND)
    calls.write(lambda session: _check(calls, session, wanted, refused))
    return _Adding(calls, wanted).run()


class _Adding:
    """Writes entries batch by batch, and tracks how far it has come."""

    def __init__(self, calls: RetryingCalls, wanted: Sequence[Entry]) -> None:
        self._calls = calls
        self._wanted = wanted
        self._written: list[Edit] = []
        #: The names of a batch while it is unknown whether it was written, or removed.
        self._unknown: Sequence[str] = ()

    def run(self) -> list[Entry]:
        try:
            for start in range(0, len(self._wanted), WRITTEN):
                self._calls.check()
                self._written += self._add(self._wanted[start : start + WRITTEN])
        except (RedisUnavailable, CallTimeout) as error:
            # Redis or time is lacking, so what was written cannot be removed: report it.
            if self._written:
                raise self._interrupted(error) from error
            raise
        except Exception:  # whatever went wrong: add all entries or none
            self._take_back()
            raise
        return [edit.entry for edit in self._written]

    def _add(self, batch: Sequence[Entry]) -> Sequence[Edit]:
        """Add these or none; BulkError or NotAllowed if other callers have interfered."""

        def plan(session: Session) -> Plan[Sequence[Edit]]:
            self._unknown = ()
            edits = self._edits(session, batch)
            send = within_room(self._calls.guard, [edit.write for edit in edits])
            self._unknown = _names_of(edits)
            return Plan(edits, send)

        try:
            edits = swap(self._calls, plan)
        except Overtaken as error:
            raise RevisionConflict(error.entry, None, None) from None
        self._unknown = ()
        return edits

    def _edits(self, session: Session, batch: Sequence[Entry]) -> list[Edit]:
        """The writes that fit what Redis holds now; BulkError if a name is taken."""
        snapshot = session.entries.read([entry.name for entry in batch])
        pairs = list(zip(batch, snapshot.stored, strict=True))
        taken = {stored.name: _taken(stored) for _, stored in pairs if stored.exists}
        if taken:
            raise BulkError(taken, len(self._wanted))
        return [addition(stored, entry, snapshot.now_ms) for entry, stored in pairs]

    def _take_back(self) -> None:
        """Remove the entries written so far, except those that other callers have changed since.

        BulkInterrupted if that fails.
        """
        while self._written:
            batch, self._written = self._written[-WRITTEN:], self._written[:-WRITTEN]
            self._unknown = _names_of(batch)
            try:
                swap(self._calls, partial(_removal_of, batch))
            except (RedisUnavailable, CallTimeout, Overtaken) as error:
                raise self._interrupted(error) from error

    def _interrupted(self, why: HabeatError) -> BulkInterrupted:
        return BulkInterrupted(_names_of(self._written), self._unknown, len(self._wanted), why)


def _names_of(edits: Sequence[Edit]) -> list[str]:
    return [edit.entry.name for edit in edits]


def _removal_of(written: Sequence[Edit], session: Session) -> Plan[None]:
    snapshot = session.entries.read(_names_of(written))
    pairs = zip(written, snapshot.stored, strict=True)
    gone = [
        removal(stored, snapshot.now_ms) for edit, stored in pairs if stored.digest == edit.digest
    ]
    return Plan(None, lambda store, mark: store.remove(gone, None, mark)) if gone else Plan(None)


def _checked(
    items: Sequence[Any], location: Location
) -> tuple[list[Entry], dict[str, HabeatError]]:
    wanted: dict[str, Entry] = {}
    errors: dict[str, HabeatError] = {}
    for at, item in enumerate(items):
        name = item.get("name") if isinstance(item, Mapping) else None
        label = name if isinstance(name, str) and name else f"entries[{at}]"
        try:
            if label in wanted or label in errors:
                label = f"entries[{at}]"
                raise ValidationError("name", name, "each name only once", entry=str(name))
            wanted[label] = _entry(name, item, location)
        except HabeatError as error:
            errors[label] = error
    return list(wanted.values()), errors


def _entry(name: Any, item: Any, location: Location) -> Entry:
    if not isinstance(item, Mapping):
        raise ValidationError("entry", item, "a mapping with the arguments of add")
    given = {key: value for key, value in item.items() if key != "name"}
    for required in ("task", "schedule"):
        if required not in given:
            raise ValidationError(
                required, None, "a value", entry=str(name or ""), problem=f"{required} is missing"
            )
    return new_entry(name, given, location.timezone, location.limits)


def _read(session: Session, names: Sequence[str]) -> tuple[int, list[Stored]]:
    """Redis' time, and what it holds under these names."""
    found: list[Stored] = []
    now_ms = 0
    for start in range(0, len(names), PAGE):
        snapshot = session.entries.read(names[start : start + PAGE])
        found += snapshot.stored
        now_ms = snapshot.now_ms
    return now_ms, found


def _check(
    calls: RetryingCalls,
    session: Session,
    wanted: Sequence[Entry],
    refused: Mapping[str, HabeatError],
) -> None:
    """BulkError if any entry is wrong, also with those `refused` before; NotAllowed."""
    now_ms, found = _read(session, [entry.name for entry in wanted])
    errors = dict(refused)
    for entry, stored in zip(wanted, found, strict=True):
        try:
            if stored.exists:
                raise _taken(stored)
            check_has_slots(entry, now_ms)
            calls.guard.check(entry, now_ms)
        except HabeatError as error:
            errors[entry.name] = error
    if errors:
        raise BulkError(errors, len(wanted) + len(refused))
    check_room(calls, session, found)


def _taken(stored: Stored) -> EntryExists:
    return EntryExists(stored.name, shown(stored).owner)
