"""Many new entries in one call, all or none: `client.add_many`.

Everything is checked before anything is sent: each definition, names that come twice, names that
are taken. What is wrong is told of each entry (BulkError). Then one script writes them all, so a
reader sees none of them or all, and so does a leader. Decision 0010 has the measurements
that made it one script and not many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.guard import Guard
from habeat.client.location import Location
from habeat.client.selection import check_room
from habeat.client.swapping import Plan, swap
from habeat.core.entry import Entry
from habeat.core.limits import within
from habeat.entries.changes import Edit, addition
from habeat.entries.draft import check_has_slots, new_entry
from habeat.entries.readable import shown
from habeat.errors import (
    BulkError,
    EntryExists,
    HabeatError,
    RevisionConflict,
    ValidationError,
)
from habeat.ports.entries import Stored
from habeat.store.entries import PAGE

#: So many entries may keep Redis and us busy for a second (it is less: see the measurements).
PER_SECOND = 5_000


def added(calls: RetryingCalls, given: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """The new entries, in the order given; BulkError if one of them cannot be."""
    items = list(given)
    limits = calls.place.limits
    within("add_many", len(items), "entries", limits.bulk_entries, "bulk_entries")
    wanted, refused = _checked(items, calls.place)
    if not items:
        return []

    def plan(desk: Session) -> Plan[list[Entry]]:
        now_ms, found = _read(desk, [entry.name for entry in wanted])
        edits = _planned(wanted, found, now_ms, refused, calls.guard)
        check_room(calls, desk, found)
        writes = [edit.write for edit in edits]
        return Plan(
            [edit.entry for edit in edits], lambda store, mark: store.write(writes, None, mark)
        )

    patient = calls.patient(len(wanted) / PER_SECOND)
    try:
        return swap(patient, plan)
    except Overtaken as error:
        raise RevisionConflict(error.entry, None, None) from None
    finally:
        patient.close()


def _checked(items: Sequence[Any], place: Location) -> tuple[list[Entry], dict[str, HabeatError]]:
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


def _entry(name: Any, item: Any, place: Location) -> Entry:
    if not isinstance(item, Mapping):
        raise ValidationError("entry", item, "a mapping with the arguments of add")
    given = {key: value for key, value in item.items() if key != "name"}
    for required in ("task", "schedule"):
        if required not in given:
            raise ValidationError(required, None, "must be given", entry=str(name or ""))
    return new_entry(name, given, place.timezone, place.limits)


def _read(desk: Session, names: Sequence[str]) -> tuple[int, list[Stored]]:
    """What there is under these names, and Redis' time after that."""
    found: list[Stored] = []
    now_ms = 0
    for start in range(0, len(names), PAGE):
        snapshot = desk.entries.read(names[start : start + PAGE])
        found += snapshot.stored
        now_ms = snapshot.now_ms
    return now_ms, found


def _planned(
    wanted: Sequence[Entry],
    found: Sequence[Stored],
    now_ms: int,
    refused: Mapping[str, HabeatError],
    guard: Guard,
) -> list[Edit]:
    """What to write; BulkError with what is wrong with any, those `refused` before included."""
    edits: list[Edit] = []
    errors = dict(refused)
    for entry, stored in zip(wanted, found, strict=True):
        try:
            if stored.exists:
                raise EntryExists(entry.name, shown(stored).owner)
            check_has_slots(entry, now_ms)
            guard.check(entry, now_ms)
            edits.append(addition(stored, entry, now_ms))
        except HabeatError as error:
            errors[entry.name] = error
    if errors:
        raise BulkError(errors, len(wanted) + len(refused))
    return edits
