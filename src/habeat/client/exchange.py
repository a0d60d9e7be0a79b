"""Export all entries as one JSON document, and load it: `client.export` and `client.load`.

The document holds the entries as stored: schedules keep their zone and offset, so the slots are the
same after a load. Each has its name, its owner and, if it is paused, the reason and the end of the
pause. No other state is exported, so a loaded entry starts at the moment of loading, as any new
entry does. Entries of beat_schedule are included for people to read. Loading does not write them,
as the code does; it only pauses those that were paused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from habeat.client.calls import RetryingCalls, Session
from habeat.client.document import EXPORT_VERSION, Wanted, wanted_of
from habeat.client.guard import Guard
from habeat.client.room import check_room, within_room, without_room
from habeat.client.selection import pages_of, read
from habeat.client.swapping import Plan, swap_or_conflict
from habeat.core.change_record import Way
from habeat.core.entry import Entry
from habeat.entries.affordable import check_affordable
from habeat.entries.changes import Edit, addition, change, check_stays, pause, resume
from habeat.entries.codec import encode
from habeat.entries.readable import shown
from habeat.errors import DefinitionError, EntryMoving, HabeatError, NotAllowed
from habeat.ports.entries import Stored, Write
from habeat.printable import plural
from habeat.schedules.schedule import moment
from habeat.store.pages import WRITTEN, pages

#: For this many entries, the call may take a second longer.
PER_SECOND = 500

_NOT_EXPORTED = ("v", "rev", "created_ms", "generation", "fingerprint")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What `load` did, or would do without `dry_run`, by entry.

    `refused` has each entry that cannot be loaded, with the reason; if there is one, nothing was
    written. `left` has the entries of beat_schedule that were left as they are.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    written: bool = False


def exported(calls: RetryingCalls) -> dict[str, Any]:
    """The document of all entries, of plain JSON values."""
    location = calls.location
    entries: list[dict[str, Any]] = []
    unreadable: list[dict[str, str]] = []
    calls = calls.bounded()
    at_ms = calls.read(lambda session: session.inspection.now_ms())
    for page in pages_of(calls):
        calls.check(plural(len(entries), "entry was", "entries were") + " read")
        for stored in read(calls, page).stored:
            if not stored.exists or not calls.guard.scope.has(shown(stored)):
                continue
            try:
                entries.append(_written(_readable(stored)))
            except HabeatError as error:
                unreadable.append(_unreadable(stored, error))
    return {
        "habeat_export": EXPORT_VERSION,
        "exported_at": moment(at_ms).isoformat(timespec="milliseconds"),
        "prefix": location.prefix,
        "entries": entries,
        **({"unreadable": unreadable} if unreadable else {}),
    }


def _readable(stored: Stored) -> Entry:
    if stored.entry is None:
        raise DefinitionError(stored.name, stored.unreadable)
    return stored.entry


def _unreadable(stored: Stored, error: HabeatError) -> dict[str, str]:
    """An entry that cannot be loaded again, included for people to read."""
    why = error.why if isinstance(error, DefinitionError) else str(error)
    definition = stored.raw.decode("utf-8", "backslashreplace")
    return {"name": stored.name, "why": why, "definition": definition}


def loaded(
    calls: RetryingCalls, data: Any, *, dry_run: bool, progress: Progress | None = None
) -> LoadReport:
    """Load a document; ValidationError if `data` is no such document."""
    calls = calls.by_way(Way.LOAD).bounded(_entries_in(data) / PER_SECOND)
    wanted, refused = wanted_of(data, calls.location, calls.check)
    plan = _planned(calls, wanted, refused)
    if dry_run or plan.refused:
        return plan
    items = [wanted[name] for name in (*plan.added, *plan.changed)]
    done = 0
    added: set[str] = set()
    changed: set[str] = set()
    for batch in pages(items, WRITTEN):
        found = _write(calls, [item for item in batch if item.entry.owner == "api"])
        added.update(stored.name for stored in found if not stored.exists)
        changed.update(stored.name for stored in found if stored.exists)
        done += len(batch)
        if progress:
            progress(done, len(items))
        were = plural(len(items), "entry was", "entries were")
        calls.check(f"{done} of {were} loaded; load again to continue")
    # A pause is planned from the stored definition, so it is a second edit after the change.
    for batch in pages([wanted[name] for name in plan.changed], WRITTEN):
        calls.check(plural(done, "entry was", "entries were") + " loaded, not all of their pauses")
        changed.update(stored.name for stored in _set_pauses(calls, batch))
    return _as_done(plan, added, changed)


def _entries_in(data: Any) -> int:
    entries = data.get("entries") if isinstance(data, Mapping) else None
    return len(entries) if isinstance(entries, list) else 0


def _as_done(plan: LoadReport, added: set[str], changed: set[str]) -> LoadReport:
    """The report of what this call wrote, without what other callers wrote in the meantime."""
    others = [
        name for name in (*plan.added, *plan.changed) if name not in added and name not in changed
    ]
    return replace(
        plan,
        added=tuple(name for name in plan.added if name in added),
        changed=tuple(name for name in (*plan.added, *plan.changed) if name in changed - added),
        unchanged=(*plan.unchanged, *others),
        written=True,
    )


def _written(entry: Entry) -> dict[str, Any]:
    data = json.loads(encode(entry))
    kept = {key: value for key, value in data.items() if key not in _NOT_EXPORTED}
    state = entry.state
    paused = {} if state.paused is None else {"paused": state.paused}
    if state.paused is not None and state.paused_until_ms is not None:
        paused["paused_until"] = moment(state.paused_until_ms).isoformat(timespec="milliseconds")
    return {"name": entry.name, **kept, **paused}


def _planned(
    calls: RetryingCalls, wanted: Mapping[str, Wanted], refused: Mapping[str, str]
) -> LoadReport:
    found: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
    refused, left = dict(refused), {}
    for batch in pages(list(wanted.values()), WRITTEN):
        snapshot = read(calls, [item.entry.name for item in batch])
        for item, stored in zip(batch, snapshot.stored, strict=True):
            verdict, why = _verdict(item, stored, snapshot.now_ms, calls.guard)
            name = item.entry.name
            if verdict == "refused":
                refused[name] = why
            elif verdict == "left":
                left[name] = why
            else:
                found[verdict].append(name)
    refused |= {name: str(why) for name, why in without_room(calls, found["added"]).items()}
    added = tuple(name for name in found["added"] if name not in refused)
    return LoadReport(added, tuple(found["changed"]), tuple(found["unchanged"]), refused, left)


def _verdict(item: Wanted, stored: Stored, now_ms: int, guard: Guard) -> tuple[str, str]:
    try:
        guard.check_change(stored, None, now_ms)
        guard.check(item.entry, now_ms)
        check_stays(stored)
    except (NotAllowed, EntryMoving) as error:
        return "refused", str(error)
    old = shown(stored)
    paused = item.pause_at(now_ms)
    if item.entry.owner == "config":
        if not stored.exists or old.owner != "config":
            return "left", "it is added when a beat that has it in its beat_schedule leads"
        paused_meanwhile = paused[0] is not None and old.state.paused is None
        return ("changed", "") if paused_meanwhile else ("left", "it belongs to beat_schedule")
    if stored.exists and old.owner == "config":
        return "refused", "an entry of beat_schedule has this name: change it there"
    try:
        check_affordable(item.entry, now_ms)
    except HabeatError as error:
        return "refused", str(error)
    if not stored.exists:
        return "added", ""
    same = change(stored, item.entry, stored.state.cursor_ms) is None
    same = same and (old.state.paused, old.state.paused_until_ms) == paused
    return ("unchanged" if same else "changed"), ""


def _write(calls: RetryingCalls, batch: Sequence[Wanted]) -> list[Stored]:
    """Add or change these in one write; pauses of existing entries are set afterwards."""

    def edit(item: Wanted, stored: Stored, now_ms: int) -> Edit | None:
        if stored.exists:
            return change(stored, item.entry, now_ms)
        return addition(stored, item.entry, now_ms, *item.pause_at(now_ms))

    return _edit_all(calls, batch, edit)


def _set_pauses(calls: RetryingCalls, batch: Sequence[Wanted]) -> list[Stored]:
    """Pause or resume existing entries to match the document."""

    def edit(item: Wanted, stored: Stored, now_ms: int) -> Edit | None:
        if not stored.exists:
            return None
        reason, until_ms = item.pause_at(now_ms)
        if reason is None:
            return resume(stored, now_ms)
        return pause(stored, reason, now_ms, until_ms)

    return _edit_all(calls, batch, edit)


def _edit_all(
    calls: RetryingCalls,
    batch: Sequence[Wanted],
    edit: Callable[[Wanted, Stored, int], Edit | None],
) -> list[Stored]:
    """Write all of these edits or none; returns the entries written, as they were before."""

    def plan(session: Session) -> Plan[list[Stored]]:
        snapshot = session.entries.read([item.entry.name for item in batch])
        pairs = zip(batch, snapshot.stored, strict=True)
        edits = [(stored, edit(item, stored, snapshot.now_ms)) for item, stored in pairs]
        for stored, each in edits:
            calls.guard.check_change(stored, each, snapshot.now_ms)
        check_room(calls, session, snapshot.stored)
        writes: list[Write] = [each.write for _, each in edits if each is not None]
        if not writes:
            return Plan([])
        return Plan(
            [stored for stored, each in edits if each is not None], within_room(calls.guard, writes)
        )

    return swap_or_conflict(calls, plan)
