"""Restore a backup: `client.restore`.

A restore fires no slot a second time. It never moves a cursor back, and an entry that is not here
starts now, as any new entry does: what it has sent since the backup was made is not in the backup.
With `resume_positions`, for a Redis on which no beat has run since, it continues where the backup
left it, and its catch-up policy decides about the slots since then. Where a state was left behind
without a definition, the entry takes it over.

Counts of runs and pauses come back with the entry. Entries that are here are left as they are,
except for two: with `replace`, those of the API get the definition and the pause of the backup; and
an entry of beat_schedule that was paused in the backup is paused again.

Before anything is written, the caller gets a document that undoes the restore: what will be
changed, as it is now, and the names that will be added. Restoring that document puts the changed
entries back and removes the added ones, unless someone has changed them since.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from habeat.client.backup import Backup, Progress, SavedEntry, backed_up
from habeat.client.calls import RetryingCalls, Session
from habeat.client.guard import NO_GUARD
from habeat.client.swapping import Plan, swap_or_conflict
from habeat.core.change_record import Way
from habeat.core.controls import CONTROLS_MAX, HOLD, HOLDS_MAX, STEP_DOWN
from habeat.core.entry import Entry, EntryState
from habeat.entries.changes import (
    Edit,
    change,
    check_stays,
    pause,
    position_after,
    removal,
    resume,
)
from habeat.entries.codec import decode, digest_of, encode, paused_json, with_facts
from habeat.entries.differing import differing
from habeat.entries.draft import storable
from habeat.entries.readable import shown
from habeat.errors import DefinitionError, HabeatError, NotAllowed, ValidationError
from habeat.ports.entries import Arrival, Removal, Stored, Write
from habeat.store.pages import WRITTEN, pages

#: For this many entries, the call may take a second longer.
PER_SECOND = 250

#: Is given the document that undoes the restore, before anything is written.
KeepUndo = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did, or would do, by entry.

    `left` has the entries that stay as they are, and `refused` those that cannot be restored, each
    with the reason. `continued` has those of `added` that do not start now, but continue from a
    position. `controls` are the holds and pauses of the whole schedule that were added or removed.
    """

    added: tuple[str, ...] = ()
    continued: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    written: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """How to restore."""

    replace: bool = False
    resume_positions: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What is written for one entry; `what` is a field of the report."""

    name: str
    what: str
    why: str = ""
    arrival: Arrival | None = None
    write: Write | None = None
    removal: Removal | None = None
    continues: bool = False

    @property
    def digest(self) -> str:
        """The digest of the definition that it adds."""
        definition = self.arrival.definition if self.arrival else b""
        return digest_of(definition or (self.write.definition if self.write else b""))


def restored(
    calls: RetryingCalls,
    backup: Backup,
    terms: Terms,
    keep_undo: KeepUndo | None,
    progress: Progress | None = None,
) -> RestoreReport:
    """Restore a backup; without `keep_undo`, only say what would be done.

    If there is nothing to restore, `keep_undo` is not called, and nothing is written.

    Raises NotAllowed for a client with a guard, RedisUnavailable, CallTimeout, RevisionConflict.
    What was written before an error stays: restore again to continue, or restore the undo document.
    """
    if calls.guard is not NO_GUARD:
        raise NotAllowed("", "restore", "clients without a guard")
    total = len(backup.entries) + len(backup.remove)
    calls = calls.by_way(Way.RESTORE).bounded(total / PER_SECOND)
    if backup.undoes:
        terms = replace(terms, replace=True)
    restoring = _Restoring(calls, backup, terms)
    steps, controls = restoring.planned(), calls.read(restoring.controls)
    nothing = not controls and all(step.what in ("left", "refused") for step in steps)
    if keep_undo is None or nothing:
        return _report(steps, sorted(controls), written=False)
    keep_undo(_undo(calls, steps, controls))
    done: list[Step] = []
    for batch in restoring.batches():
        calls.check(f"{len(done)} of {total} entries were restored; restore again to continue")
        done += restoring.write(batch)
        if progress is not None:
            progress(len(done), total)
    calls.write(restoring.write_controls)
    return _report(done, sorted(controls), written=True)


def _undo(
    calls: RetryingCalls, steps: Sequence[Step], controls: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    touched = [step.name for step in steps if step.what in ("changed", "paused", "removed")]
    added = {step.name: step.digest for step in steps if step.what == "added"}
    new = {name: after for name, (_, after) in controls.items() if after}
    return backed_up(calls, only=touched, undo={"remove": added, "remove_controls": new})


def _report(steps: Sequence[Step], controls: Sequence[str], *, written: bool) -> RestoreReport:
    def of(what: str) -> tuple[str, ...]:
        return tuple(step.name for step in steps if step.what == what)

    return RestoreReport(
        added=of("added"),
        continued=tuple(step.name for step in steps if step.continues),
        changed=of("changed"),
        paused=of("paused"),
        removed=of("removed"),
        left={step.name: step.why for step in steps if step.what == "left"},
        refused={step.name: step.why for step in steps if step.what == "refused"},
        controls=tuple(controls),
        written=written,
    )


class _Restoring:
    def __init__(self, calls: RetryingCalls, backup: Backup, terms: Terms) -> None:
        self._calls = calls
        self._backup = backup
        self._terms = terms
        self._saved = {each.name: each for each in backup.entries}

    def batches(self) -> Iterator[Sequence[str]]:
        """The names, as many at a time as one script may write."""
        names = [*self._saved, *(name for name in self._backup.remove if name not in self._saved)]
        return iter(list(pages(names, WRITTEN)))

    def planned(self) -> list[Step]:
        """What would be done, without a write."""
        return [
            step
            for batch in self.batches()
            for step in self._calls.read(partial(self._steps, batch))
        ]

    def write(self, names: Sequence[str]) -> list[Step]:
        """Restore these entries. A pause is planned from a stored definition, so it comes last."""
        steps = swap_or_conflict(self._calls, partial(self._adding, names))
        edited = [step.name for step in steps if step.write is not None]
        if edited:
            swap_or_conflict(self._calls, partial(self._editing, edited))
            swap_or_conflict(self._calls, partial(self._pausing, edited))
        removed = [step.name for step in steps if step.removal is not None]
        if removed:
            swap_or_conflict(self._calls, partial(self._removing, removed))
        return steps

    def controls(self, session: Session) -> dict[str, tuple[str, str]]:
        """The controls to add and, to undo a restore, to remove: before and after."""
        here, wanted = session.controls.read().fields, self._backup.controls
        # A backup never has a request to hand over. A document that has one must not depose a
        # leader.
        known = here.keys() | {STEP_DOWN}
        added = {name: ("", value) for name, value in wanted.items() if name not in known}
        gone = self._backup.remove_controls.items()
        return {
            **added,
            **{name: (value, "") for name, value in gone if here.get(name) == value},
        }

    def write_controls(self, session: Session) -> None:
        """Add and remove controls. What someone else writes meanwhile stays. ValidationError."""
        without_room = [
            name
            for name, (before, after) in self.controls(session).items()
            if session.controls.write(
                secrets.token_hex(8), name, before, after, most=_room_for(name)
            )
            == "full"
        ]
        if without_room:
            allowed = f"at most {HOLDS_MAX} holds: remove some, and restore again to continue"
            raise ValidationError("controls", without_room, allowed)

    # -- the writes of a batch, each all or nothing --------------------------------------------

    def _steps(self, names: Sequence[str], session: Session) -> list[Step]:
        snapshot = session.entries.read(names)
        return [self._step(stored, snapshot.now_ms) for stored in snapshot.stored]

    def _adding(self, names: Sequence[str], session: Session) -> Plan[list[Step]]:
        steps = self._steps(names, session)
        arrivals = [step.arrival for step in steps if step.arrival is not None]
        if not arrivals:
            return Plan(steps)
        if any(each.owned for each in arrivals):
            session.entries.look_for_orphans()
        return Plan(steps, lambda store, mark: store.adopt(arrivals, mark))

    def _editing(self, names: Sequence[str], session: Session) -> Plan[None]:
        writes = [step.write for step in self._steps(names, session) if step.write is not None]
        return Plan(None, lambda store, mark: store.write(writes, None, mark) if writes else None)

    def _pausing(self, names: Sequence[str], session: Session) -> Plan[None]:
        snapshot = session.entries.read(names)
        edits = [self._pause_edit(stored, snapshot.now_ms) for stored in snapshot.stored]
        writes = [edit.write for edit in edits if edit is not None]
        return Plan(None, lambda store, mark: store.write(writes, None, mark) if writes else None)

    def _removing(self, names: Sequence[str], session: Session) -> Plan[None]:
        gone = [step.removal for step in self._steps(names, session) if step.removal is not None]
        return Plan(None, lambda store, mark: store.remove(gone, None, mark) if gone else None)

    # -- one entry -----------------------------------------------------------------------------

    def _step(self, stored: Stored, now_ms: int) -> Step:
        saved = self._saved.get(stored.name)
        try:
            if saved is None:
                return self._removal(stored, now_ms)
            wanted = decode(saved.name, saved.definition)
            if not stored.exists:
                return self._addition(stored, saved, wanted, now_ms)
            return self._change(stored, wanted, now_ms)
        except HabeatError as error:
            why = error.why if isinstance(error, DefinitionError) else str(error)
            return Step(stored.name, "refused", why)

    def _removal(self, stored: Stored, now_ms: int) -> Step:
        if not stored.exists:
            return Step(stored.name, "left", "it is not here")
        if stored.digest != self._backup.remove[stored.name]:
            return Step(stored.name, "left", "it was changed since it was restored")
        return Step(stored.name, "removed", removal=removal(stored, now_ms, "restored"))

    def _addition(self, stored: Stored, saved: SavedEntry, wanted: Entry, now_ms: int) -> Step:
        if wanted.owner == "api":
            storable(replace(wanted, generation=0), self._calls.location.limits)
        here_ms = stored.state.cursor_ms
        fired = stored.state.fired if here_ms else saved.state.fired
        # A generation counts the deploys of another timeline: beat_schedule has to win over it.
        entry = replace(wanted, generation=0, state=EntryState(fired=fired))
        definition, pause_json = encode(entry), self._pause_json(saved, now_ms)
        until_ms = _pause_of(saved, now_ms).paused_until_ms if pause_json else None
        fields = differing(b"", definition)
        if here_ms:
            # A state that was left behind records what was sent: nothing up to it fires again.
            entry = replace(entry, state=replace(entry.state, cursor_ms=here_ms))
            write = Write(
                stored.name,
                "",
                definition,
                owned=entry.owner == "config",
                cursor_ms=here_ms,
                paused=pause_json or None,
                resume_at_ms=until_ms,
                position=position_after(entry, here_ms),
                differing=fields,
            )
            return Step(stored.name, "added", write=write, continues=True)
        continues = self._terms.resume_positions and 0 < saved.state.cursor_ms <= now_ms
        position = position_after(entry, saved.state.cursor_ms if continues else now_ms)
        arrival = Arrival(
            name=stored.name,
            definition=definition,
            paused=pause_json,
            resume_at_ms=until_ms,
            position=replace(position, due_ms=None) if pause_json else position,
            last_fired_ms=saved.state.last_fired_ms,
            fired=saved.state.fired,
            note=f"restored from a backup of {self._backup.made_at[:40]}",
            owned=entry.owner == "config",
            differing=fields,
        )
        return Step(stored.name, "added", arrival=arrival, continues=continues)

    def _change(self, stored: Stored, wanted: Entry, now_ms: int) -> Step:
        """What becomes of an entry that is here."""
        here = shown(stored)
        check_stays(stored)
        if here.owner != wanted.owner:
            whose = "beat_schedule declares" if here.owner == "config" else "the API has"
            return Step(stored.name, "refused", f"{whose} an entry of this name here")
        if here.owner == "api" and self._terms.replace:
            edit = change(stored, replace(wanted, generation=0), now_ms)
            if edit is not None:
                return Step(stored.name, "changed", write=edit.write)
        edit = self._pause_edit(stored, now_ms)
        if edit is not None:
            what = "changed" if edit.state.paused is None else "paused"
            return Step(stored.name, what, write=edit.write)
        why = "it is as in the backup" if self._terms.replace else "it is here already"
        return Step(stored.name, "left", why)

    def _pause_edit(self, stored: Stored, now_ms: int) -> Edit | None:
        """The edit after which the entry is paused, or not, as in the backup.

        Without `replace`, it only pauses, and only an entry of beat_schedule.
        """
        saved = self._saved.get(stored.name)
        if saved is None or not stored.exists:
            return None
        wanted = _pause_of(saved, now_ms)
        may_pause = shown(stored).owner == "config" and stored.state.paused is None
        if not (self._terms.replace or may_pause):
            return None
        if wanted.paused is not None:
            return pause(stored, wanted.paused, now_ms, wanted.paused_until_ms)
        if not self._terms.replace or stored.state.paused is None or stored.entry is None:
            return None
        return resume(stored, now_ms)

    def _pause_json(self, saved: SavedEntry, now_ms: int) -> str:
        found = _pause_of(saved, now_ms)
        if found.paused is None:
            return ""
        return paused_json(found.paused, found.paused_at_ms or now_ms, found.paused_until_ms)


def _room_for(control: str) -> int:
    """The most controls that there may be with this one: a hold leaves room for the others."""
    return HOLDS_MAX if control.startswith(HOLD) else CONTROLS_MAX


def _pause_of(saved: SavedEntry, now_ms: int) -> EntryState:
    """The pause of the backup as a state; none if it is over by now."""
    state = with_facts(EntryState(), due_ms=None, paused=saved.pause, quarantined="", failing=False)
    over = state.paused_until_ms is not None and state.paused_until_ms <= now_ms
    return EntryState() if over else state
