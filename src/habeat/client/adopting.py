"""Take along the entries made through the API from another prefix: `client.adopt`.

An app that was renamed, or whose `habeat_key_prefix` was changed, starts with an empty schedule.
Its code declares the entries of beat_schedule again; those of the API are moved by this call.

On a Cluster, the two prefixes are on different nodes, so no script can move an entry in one step.
Each entry takes three, and at most one of the prefixes can fire it at any moment:

1. It is paused under the old prefix, if nothing has changed since it was read. Its cursor stays,
   and the pause remembers where it goes and how it was paused before.
2. It is added here with that cursor, its count and its former pause. So its catch-up policy decides
   about the slots in between, as after any downtime, and no slot fires twice.
3. It is removed under the old prefix.

If the call is interrupted, run it again: a pause of step 1 shows what was begun, and an entry here
with the same moment of creation shows that step 2 was done. Until then, the old prefix takes no
change and no request for that entry: EntryMoving. See decision 0049.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.guard import NO_GUARD
from habeat.client.location import checked_prefix
from habeat.client.purging import check_stopped
from habeat.client.selection import pages_of, read
from habeat.client.status import read_status
from habeat.client.swapping import Plan, swap_or_conflict
from habeat.core.change_record import Way
from habeat.core.entry import Entry
from habeat.core.firing import Outcome, SkippedRun
from habeat.core.shadow import is_shadow
from habeat.entries.codec import decode_request, digest_of, encode, paused_json
from habeat.entries.differing import differing
from habeat.entries.draft import storable
from habeat.entries.readable import shown
from habeat.entries.shapes import is_instant
from habeat.errors import (
    DefinitionError,
    HabeatError,
    NotAllowed,
    ValidationError,
)
from habeat.ports.entries import Arrival, Position, Removal, Stored, Write
from habeat.store.pages import WRITTEN, pages

IS_CODE = "declared in beat_schedule; the code declares it here"
IS_PAUSED_CODE = f"{IS_CODE}, but it is paused there: pause it here too"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What `adopt` moved here from the other prefix, or would move with `dry_run`, by entry.

    `refused` has each entry of the API that stays there, with the reason. `left` has the entries of
    beat_schedule, which are never moved.
    """

    prefix: str
    adopted: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    written: bool = False


@dataclass(frozen=True, slots=True)
class Moving:
    """An entry that is paused under the old prefix for the move, and how it was before.

    `is_copied` says that an earlier call has added it here.
    """

    entry: Entry
    digest: str
    #: The JSON of its pause before the move; "" if it was not paused.
    paused: str
    resume_at_ms: int | None
    due_ms: int | None
    is_copied: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """An entry under the old prefix, and what decides whether it can be moved.

    `marker` is its pause if a move was begun. `here` is what has its name here, and `busy` says
    what a beat of the old prefix still has to send for it, or "".
    """

    stored: Stored
    marker: Mapping[str, Any] | None
    here: Stored
    busy: str


@dataclass(frozen=True, slots=True)
class Step:
    """What the first step found in a batch, and what it writes."""

    moving: dict[str, Moving] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)


def adopt_from(calls: RetryingCalls, prefix: str, *, dry_run: bool, force: bool) -> Adoption:
    """Move the API's entries here from `prefix`; BeatsAlive, unless `force` is true."""
    if calls.guard != NO_GUARD:
        raise NotAllowed("", "adopt", "a client without a guard")
    if checked_prefix(prefix) == calls.location.prefix:
        raise ValidationError("prefix", prefix, "another prefix than the app's own")
    _check_not_shadow(calls)
    calls = calls.by_way(Way.ADOPT).bounded()
    source = calls.under(prefix)
    try:
        grace_ms = calls.location.policies.misfire_grace_ms
        status = source.read(lambda session: read_status(session.inspection, grace_ms))
        app, _ = source.read(lambda session: session.inspection.belongs_to())
        if not app and not status.entries.total:
            raise ValidationError("prefix", prefix, "a prefix under which a beat has led")
        if is_shadow(app):
            allowed = "the prefix of beats that send: what a shadow decided was never sent"
            raise ValidationError("prefix", prefix, allowed)
        if not (dry_run or force):
            check_stopped(prefix, status)
        return _Adopting(calls, source, dry_run=dry_run).run()
    finally:
        source.close()


def _check_not_shadow(calls: RetryingCalls) -> None:
    """ValidationError if this is a shadow: the moved entries would no longer be sent."""
    owner, _ = calls.read(lambda session: session.inspection.belongs_to())
    if is_shadow(calls.location.app_name) or is_shadow(owner):
        allowed = "False: a shadow would take the entries from the beats that send them"
        raise ValidationError("habeat_shadow", True, allowed)


class _Adopting:
    """Moves the entries in batches, and tracks what became of each."""

    def __init__(self, here: RetryingCalls, source: RetryingCalls, *, dry_run: bool) -> None:
        self._here, self._source, self._dry_run = here, source, dry_run
        self._from, self._to = source.location.prefix, here.location.prefix
        self._adopted: list[str] = []
        self._refused: dict[str, str] = {}
        self._left: dict[str, str] = {}

    def run(self) -> Adoption:
        for page in pages_of(self._source):
            for batch in pages(page, WRITTEN):
                self._here.check(f"{len(self._adopted)} entries were moved; call again to go on")
                self._move(batch)
        adopted = tuple(self._adopted)
        return Adoption(self._from, adopted, self._refused, self._left, not self._dry_run)

    def _move(self, names: Sequence[str]) -> None:
        step = swap_or_conflict(self._source, lambda session: self._paused(session, names))
        self._refused |= step.refused
        self._left |= step.left
        moving = dict(step.moving)
        if moving and not self._dry_run:
            late = self._late(moving)
            swap_or_conflict(self._source, lambda session: self._restored(session, moving, late))
            moving = {name: each for name, each in moving.items() if name not in late}
        if moving and not self._dry_run:
            taken = swap_or_conflict(self._here, lambda session: self._added(session, moving))
            for name in taken:
                self._refused[name] = _taken_by(taken[name])
            swap_or_conflict(self._source, lambda session: self._restored(session, moving, taken))
            moving = {name: each for name, each in moving.items() if name not in taken}
            changed = swap_or_conflict(self._source, lambda session: self._gone(session, moving))
            for name in changed:
                self._refused[name] = f"it was changed under {self._from} meanwhile: remove one"
            moving = {name: each for name, each in moving.items() if name not in changed}
        self._adopted += moving

    def _late(self, moving: Mapping[str, Moving]) -> list[str]:
        """Those that were triggered after the first look and before they were paused.

        From then on, no request for them is taken (scripts/request.lua).
        """
        busy = self._source.read(unsettled)
        late = [name for name in moving if name in busy and not moving[name].is_copied]
        self._refused |= {name: self._of_busy(busy[name]) for name in late}
        return late

    def _of_busy(self, busy: str) -> str:
        return f"{busy}; start a beat under {self._from} to have that done, then adopt again"

    # -- 1: paused under the old prefix -----------------------------------------------------

    def _paused(self, session: Session, names: Sequence[str]) -> Plan[Step]:
        """Pause those that can be moved, and end the pauses of those that no longer can."""
        here = read(self._here, names).stored
        snapshot, busy = session.entries.read(names), unsettled(session)
        step = Step()
        for stored, pause, other in zip(
            snapshot.stored, session.entries.pauses(names), here, strict=True
        ):
            if (digest_of(pause) if pause else "-") != stored.pause_digest:
                raise Overtaken(stored.name)  # it was paused or resumed between the two reads
            if shown(stored).owner == "config":
                step.left[stored.name] = IS_PAUSED_CODE if pause else IS_CODE
            elif stored.exists:
                found = Found(stored, self._marker(pause), other, busy.get(stored.name, ""))
                self._begin(step, found, snapshot.now_ms)
        if self._dry_run or not step.writes:
            return Plan(step)
        return Plan(step, lambda store, mark: store.write(step.writes, None, mark))

    def _begin(self, step: Step, found: Found, now_ms: int) -> None:
        stored, marker = found.stored, found.marker
        why = self._why_not(found)
        if why:
            step.refused[stored.name] = why
            if marker is not None and stored.entry is not None:
                step.writes.append(self._back(stored, _moving_of(stored, marker)))
            return
        if marker is None:
            marker = self._new_marker(stored, now_ms)
            step.writes.append(self._pause(stored, marker))
        step.moving[stored.name] = replace(_moving_of(stored, marker), is_copied=found.here.exists)

    def _marker(self, pause: bytes) -> dict[str, Any] | None:
        """The pause of a move that was begun; None for any other."""
        try:
            found = json.loads(pause) if pause else None
        except ValueError:  # an unreadable pause is still a pause
            return None
        if isinstance(found, dict) and found.get("moving_to") == self._to:
            return found
        return None

    def _new_marker(self, stored: Stored, now_ms: int) -> dict[str, Any]:
        state = stored.state
        before = None
        if state.paused is not None:
            before = [state.paused, state.paused_at_ms, state.paused_until_ms]
        reason = f"being moved to {self._to}"
        pause = json.loads(paused_json(reason, now_ms))
        return {**pause, "moving_to": self._to, "before": before, "due_ms": state.due_ms}

    def _why_not(self, found: Found) -> str:
        """Why this entry cannot be moved; "" if it can."""
        stored, here, marker = found.stored, found.here, found.marker
        entry, state = stored.entry, stored.state
        if entry is None or state.quarantined is not None or not state.cursor_ms:
            why = stored.unreadable or state.quarantined or "its state is missing"
            return f"it is quarantined ({why}): replace or remove it there first"
        if here.exists:
            is_copy = marker is not None and shown(here).created_ms == entry.created_ms
            return "" if is_copy else _taken_by(here)
        if here.state.cursor_ms:
            return "a state of that name is left here without its definition: `remove` it first"
        if marker is None and found.busy:
            return self._of_busy(found.busy)
        try:
            storable(replace(entry, generation=0), self._here.location.limits)
        except HabeatError as error:
            return str(error)
        return ""

    def _pause(self, stored: Stored, marker: Mapping[str, Any]) -> Write:
        cursor_ms = stored.state.cursor_ms
        return Write(
            stored.name,
            stored.digest,
            cursor_ms=cursor_ms,
            paused=json.dumps(marker),
            pause_digest=stored.pause_digest,
            lost=SkippedRun(cursor_ms, cursor_ms, 0, Outcome.NOTE, f"moved to {self._to}"),
        )

    def _back(self, stored: Stored, moving: Moving) -> Write:
        """The write that ends the pause of a move."""
        state = stored.state
        return Write(
            stored.name,
            stored.digest,
            cursor_ms=state.cursor_ms,
            paused=moving.paused,
            resume_at_ms=moving.resume_at_ms,
            position=Position(state.cursor_ms, state.next_slot_ms, moving.due_ms),
            pause_digest=stored.pause_digest,
        )

    # -- 2: added here ----------------------------------------------------------------------

    def _added(self, session: Session, moving: Mapping[str, Moving]) -> Plan[dict[str, Stored]]:
        """Add them; the plan's result are those whose names have been taken meanwhile."""
        taken: dict[str, Stored] = {}
        arrivals: list[Arrival] = []
        for stored in session.entries.read(list(moving)).stored:
            given = moving[stored.name]
            if not stored.exists:
                arrivals.append(self._arrival(given))
            elif shown(stored).created_ms != given.entry.created_ms:
                taken[stored.name] = stored
        if not arrivals:
            return Plan(taken)
        return Plan(taken, lambda store, mark: store.adopt(arrivals, mark))

    def _arrival(self, moving: Moving) -> Arrival:
        entry, state = moving.entry, moving.entry.state
        definition = encode(replace(entry, generation=0))
        return Arrival(
            name=entry.name,
            definition=definition,
            paused=moving.paused,
            resume_at_ms=moving.resume_at_ms,
            position=Position(state.cursor_ms, state.next_slot_ms, moving.due_ms),
            last_fired_ms=state.last_fired_ms,
            fired=state.fired,
            note=f"adopted from {self._from}",
            differing=differing(b"", definition),
        )

    def _restored(
        self, session: Session, moving: Mapping[str, Moving], names: Collection[str]
    ) -> Plan[None]:
        """End the pauses of those of these names that are not moved."""
        names = list(names)
        if not names:
            return Plan(None)
        pairs = zip(session.entries.read(names).stored, session.entries.pauses(names), strict=True)
        writes = [
            self._back(stored, moving[stored.name])
            for stored, pause in pairs
            if stored.exists and self._marker(pause) is not None
        ]
        if not writes:
            return Plan(None)
        return Plan(None, lambda store, mark: store.write(writes, None, mark))

    # -- 3: removed under the old prefix ----------------------------------------------------

    def _gone(self, session: Session, moving: Mapping[str, Moving]) -> Plan[list[str]]:
        """Remove them there; the plan's result are those that were changed there meanwhile."""
        removals: list[Removal] = []
        changed: list[str] = []
        for stored in session.entries.read(list(moving)).stored if moving else ():
            given = moving[stored.name]
            cursor_ms = given.entry.state.cursor_ms
            if not stored.exists:
                continue
            if stored.digest != given.digest or stored.state.cursor_ms != cursor_ms:
                changed.append(stored.name)
                continue
            removals.append(Removal(stored.name, stored.digest, cursor_ms, None, "moved"))
        if not removals:
            return Plan(changed)
        return Plan(changed, lambda store, mark: store.remove(removals, None, mark))


def _moving_of(stored: Stored, marker: Mapping[str, Any]) -> Moving:
    assert stored.entry is not None
    before, due_ms = marker.get("before"), marker.get("due_ms")
    paused, resume_at_ms = "", None
    if isinstance(before, list) and len(before) == 3:
        reason, at_ms, until_ms = before
        resume_at_ms = until_ms if is_instant(until_ms) else None
        paused = paused_json(str(reason), at_ms if is_instant(at_ms) else 0, resume_at_ms)
    return Moving(
        stored.entry,
        stored.digest,
        paused,
        resume_at_ms,
        due_ms if is_instant(due_ms) and not paused else None,
    )


def unsettled(session: Session) -> dict[str, str]:
    """The entries that have firings in flight or requests, and which."""
    found = dict.fromkeys(session.entries.unsettled(), "a firing is in flight")
    for raw in session.entries.requests().values():
        try:
            found[decode_request(raw).entry] = "a trigger or backfill is pending"
        except DefinitionError:
            continue  # unreadable: the leader sets it aside
    return found


def _taken_by(here: Stored) -> str:
    whose = "beat_schedule declares" if shown(here).owner == "config" else "the API has"
    return f"{whose} an entry of this name here: rename or remove one of them"
