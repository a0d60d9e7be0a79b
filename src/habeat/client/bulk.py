"""Many new entries in one call: `client.add_many`.

Everything is checked before anything is written: each definition, names that come twice, names that
are taken, the guard's bound. BulkError says what is wrong with each entry, and none is added.

Then the entries are written a batch at a time, each batch by one script: Redis does nothing else
while a script runs, and the leader's claims have to wait for it. If one of the entries turns out to
be taken meanwhile, those that were written are removed again. If Redis stops answering, or the time
is up, that cannot be done: BulkInterrupted says which were added. See
docs/decisions/0034-scripts-are-short.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from habeat.client.calls import Calls, Desk, Overtaken
from habeat.client.definition import check_has_slots, new_entry
from habeat.client.edits import Edit, addition, removal
from habeat.client.place import Place
from habeat.client.room import check_room, within_room
from habeat.client.salvage import shown
from habeat.client.swapping import Plan, swap
from habeat.core.entry import Entry
from habeat.core.limits import within
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
from habeat.store.entries import Stored
from habeat.store.pages import PAGE, WRITTEN

#: A call is given a second more for so many entries.
PER_SECOND = 1_000


def added(calls: Calls, given: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """The new entries, in the order given; BulkError if one of them cannot be."""
    items = list(given)
    limits = calls.place.limits
    within("add_many", len(items), "entries", limits.bulk_entries, "bulk_entries")
    wanted, refused = _checked(items, calls.place)
    if not items:
        return []
    calls = calls.bounded(len(wanted) / PER_SECOND)
    calls.write(lambda desk: _check(calls, desk, wanted, refused))
    return _Adding(calls, wanted).run()


class _Adding:
    """Writes entries batch by batch, and knows how far it has come."""

    def __init__(self, calls: Calls, wanted: Sequence[Entry]) -> None:
        self._calls = calls
        self._wanted = wanted
        self._written: list[Edit] = []
        #: The names of a batch of which it is not known whether it was written, or removed.
        self._unknown: Sequence[str] = ()

    def run(self) -> list[Entry]:
        try:
            for start in range(0, len(self._wanted), WRITTEN):
                self._calls.check()
                self._written += self._add(self._wanted[start : start + WRITTEN])
        except (RedisUnavailable, CallTimeout) as error:
            if self._written:
                raise self._interrupted(error) from error
            raise
        except Exception:  # whatever it is: all of them or none
            self._take_back()
            raise
        return [edit.entry for edit in self._written]

    def _add(self, batch: Sequence[Entry]) -> Sequence[Edit]:
        """Add these or none; BulkError and NotAllowed by what others have done meanwhile."""

        def plan(desk: Desk) -> Plan[Sequence[Edit]]:
            self._unknown = ()
            edits = self._edits(desk, batch)
            send = within_room(self._calls.guard, [edit.write for edit in edits])
            self._unknown = _names_of(edits)
            return Plan(edits, send)

        try:
            edits = swap(self._calls, plan)
        except Overtaken as error:
            raise RevisionConflict(error.entry, None, None) from None
        self._unknown = ()
        return edits

    def _edits(self, desk: Desk, batch: Sequence[Entry]) -> list[Edit]:
        """What to write as Redis is now."""
        snapshot = desk.entries.read([entry.name for entry in batch])
        pairs = list(zip(batch, snapshot.stored, strict=True))
        taken = {stored.name: _taken(stored) for _, stored in pairs if stored.exists}
        if taken:
            raise BulkError(taken, len(self._wanted))
        return [addition(stored, entry, snapshot.now_ms) for entry, stored in pairs]

    def _take_back(self) -> None:
        """Remove what was written, unless it was changed since; BulkInterrupted if that fails."""
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


def _removal_of(written: Sequence[Edit], desk: Desk) -> Plan[None]:
    snapshot = desk.entries.read(_names_of(written))
    pairs = zip(written, snapshot.stored, strict=True)
    gone = [
        removal(stored, snapshot.now_ms) for edit, stored in pairs if stored.digest == edit.digest
    ]
    return Plan(None, lambda store, mark: store.remove(gone, None, mark)) if gone else Plan(None)


def _checked(items: Sequence[Any], place: Place) -> tuple[list[Entry], dict[str, HabeatError]]:
    wanted: dict[str, Entry] = {}
    errors: dict[str, HabeatError] = {}
    for at, item in enumerate(items):
        name = item.get("name") if isinstance(item, Mapping) else None
        label = name if isinstance(name, str) and name else f"entries[{at}]"
        try:
            if label in wanted or label in errors:
                label = f"entries[{at}]"
                raise ValidationError("name", name, "each name once", entry=str(name))
            wanted[label] = _entry(name, item, place)
        except HabeatError as error:
            errors[label] = error
    return list(wanted.values()), errors


def _entry(name: Any, item: Any, place: Place) -> Entry:
    if not isinstance(item, Mapping):
        raise ValidationError("entry", item, "a mapping with the arguments of add")
    given = {key: value for key, value in item.items() if key != "name"}
    for required in ("task", "schedule"):
        if required not in given:
            raise ValidationError(required, None, "must be given", entry=str(name or ""))
    return new_entry(name, given, place.timezone, place.limits)


def _read(desk: Desk, names: Sequence[str]) -> tuple[int, list[Stored]]:
    """What there is under these names, and Redis' time after that."""
    found: list[Stored] = []
    now_ms = 0
    for start in range(0, len(names), PAGE):
        snapshot = desk.entries.read(names[start : start + PAGE])
        found += snapshot.stored
        now_ms = snapshot.now_ms
    return now_ms, found


def _check(
    calls: Calls, desk: Desk, wanted: Sequence[Entry], refused: Mapping[str, HabeatError]
) -> None:
    """BulkError with what is wrong with any, those `refused` before included; NotAllowed."""
    now_ms, found = _read(desk, [entry.name for entry in wanted])
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
    check_room(calls, desk, found)


def _taken(stored: Stored) -> EntryExists:
    return EntryExists(stored.name, shown(stored).owner)
