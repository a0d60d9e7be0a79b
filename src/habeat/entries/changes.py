"""Plan what a change writes: from an entry as read, and Redis' time, to one Write or Removal.

Pure: nothing here reads a clock or sends anything. The rules:

- Only a change of the *schedule* resets an entry's position. Other changes keep its cursor and its
  due time, so saving an hourly entry again does not delay it.
- Due slots that are not claimed yet, and that will not fire because of the change, are recorded in
  the ledger by the same write: one run with count, bounds and reason. If the entry was not
  scheduled anyway (paused, disabled, quarantined), that is the reason. The slots of a pause are
  recorded when it ends, or left to the catch-up policy if the entry resumes from its old cursor.
- After that the cursor is at the present, and the next slot is strictly later. A cursor never
  moves back, whatever Redis' clock does.
- An exhausted entry (`max_runs` used up) has no more slots, so none can be lost.

Each write compares: the definition with the one that was read, and, where slots may be lost, the
cursor too. If a leader claims in between, the write fails and is planned again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from habeat.core.entry import Entry, EntryState
from habeat.core.firing import Outcome, SkippedRun
from habeat.entries.codec import digest_of, encode, paused_json
from habeat.entries.differing import both, differing, pause_of
from habeat.entries.readable import shown
from habeat.errors import DefinitionError, EntryMoving
from habeat.ports.entries import Position, Removal, Stored, Write
from habeat.schedules.custom import Code

#: Slots of kinds that must enumerate are counted up to here; the record then says "at least".
COUNTED_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Edit:
    """One write, the entry that it writes, and the entry's state after it."""

    write: Write
    written: Entry
    state: EntryState

    @property
    def entry(self) -> Entry:
        """The entry with its state after the write, which closes a circuit (write.lua)."""
        state = self.state
        if state.failing and (self.write.definition or self.write.paused is not None):
            state = replace(state, failing=False)
        return replace(self.written, state=state)

    @property
    def digest(self) -> str:
        """The digest of the written definition; "" if the definition does not change."""
        return digest_of(self.write.definition) if self.write.definition else ""


#: Why the planner quarantines an entry whose position is gone.
POSITION_GONE = "its state (cursor) is gone or garbled"
#: What the ledger notes about an entry that was given a new one.
POSITION_LOST = "its position was lost"


def addition(
    stored: Stored,
    wanted: Entry,
    now_ms: int,
    paused: str | None = None,
    until_ms: int | None = None,
) -> Edit:
    """A new entry whose first slot is strictly after `now_ms`.

    With a reason in `paused`, which may be "", it starts paused, at most until `until_ms`.
    """
    entry = replace(wanted, rev=1, created_ms=now_ms, state=EntryState(), generation=0)
    write = _added(stored, entry, encode(entry), now_ms)
    state = _placed(EntryState(), position_after(entry, now_ms), paused is not None)
    if paused is not None:
        state = replace(state, paused=paused, paused_at_ms=now_ms, paused_until_ms=until_ms)
        pause_json = paused_json(paused, now_ms, until_ms)
        also = both(_NOT_PAUSED, pause_of(paused, until_ms))
        write = replace(
            write,
            paused=pause_json,
            resume_at_ms=until_ms,
            differing=differing(b"", write.definition, **also),
        )
    return Edit(write, entry, state)


def seeded(stored: Stored, declared: Entry, now_ms: int, generation: int) -> Write:
    """The write for a new entry declared in code, which has no state yet.

    `generation` is its configuration's. It returns only the write: no caller needs the entry, and
    copying a hundred thousand of them would take a second.
    """
    definition = encode(declared, rev=1, created_ms=now_ms, generation=generation)
    return _added(stored, declared, definition, now_ms)


def position_after(entry: Entry, after_ms: int) -> Position:
    """The position with the cursor at `after_ms`, or at the entry's cursor if that is later."""
    cursor_ms = max(after_ms, entry.state.cursor_ms)
    if _is_spent(entry):
        return Position(cursor_ms, None, None)
    if isinstance(entry.schedule, Code):
        # Only a leader that has the code knows the slots; it corrects the position.
        return Position(cursor_ms, None, cursor_ms if entry.enabled else None)
    try:
        slot_ms = entry.next_slot_ms(cursor_ms)
        due_ms = None if slot_ms is None else entry.effective_ms(slot_ms)
    except Exception:
        # A failing schedule is no reason to refuse the edit. The entry is due at once, so the
        # leader plans it, logs the error and retries later.
        slot_ms, due_ms = None, cursor_ms
    return Position(cursor_ms, slot_ms, due_ms if entry.enabled else None)


def _added(stored: Stored, entry: Entry, definition: bytes, now_ms: int) -> Write:
    return Write(
        entry.name,
        stored.digest,
        definition,
        owned=entry.owner == "config",
        cursor_ms=None if stored.exists else stored.state.cursor_ms or None,
        position=position_after(entry, now_ms),
        lost=_left_behind(stored, entry, now_ms),
        differing=differing(b"", definition),
    )


def check_stays(stored: Stored) -> None:
    """EntryMoving if `adopt` has begun to move this entry to another prefix."""
    if stored.state.moving_to:
        raise EntryMoving(stored.name, stored.state.moving_to)


def change(stored: Stored, wanted: Entry, now_ms: int) -> Edit | None:
    """The edit that turns the stored entry into `wanted`; None if they are equal. EntryMoving."""
    check_stays(stored)
    old = shown(stored)
    wanted = replace(wanted, owner=old.owner, created_ms=old.created_ms or now_ms)
    if old.owner == "api":  # unknown keys survive; a declared entry is what the code declares
        wanted = replace(wanted, extra={**old.extra, **wanted.extra})
    if old.condition != "quarantined" and encode(replace(wanted, rev=old.rev)) == encode(old):
        return None
    entry = replace(wanted, rev=old.rev + 1, state=old.state)
    reason = _reason_of_change(old, entry)
    definition = encode(entry)
    write = Write(
        stored.name,
        stored.digest,
        definition,
        owned=entry.owner == "config",
        differing=differing(_definition_of(stored), definition),
    )
    state = replace(old.state, quarantined=None)
    position = None
    if reason:
        position = position_after(entry, now_ms)
        write = replace(write, lost=_lost(stored, now_ms, reason))
    elif old.state.cursor_ms and any(_differ(old, entry, name) for name in _DUE):
        # Same slots with other due times: keep the cursor, compute the due time again.
        position = position_after(entry, old.state.cursor_ms)
    if position is not None:
        # If its slots are recorded as those of a pause, that pause must still exist.
        write = replace(
            write,
            cursor_ms=old.state.cursor_ms or None,
            position=position,
            pause_digest=stored.pause_digest,
        )
        state = _placed(state, position, old.state.paused is not None)
    return Edit(write, entry, state)


def pause(stored: Stored, reason: str, now_ms: int, until_ms: int | None = None) -> Edit | None:
    """The edit that pauses the entry, until `until_ms` if given.

    None if it is already paused with the same reason and end. Raises EntryMoving.
    """
    check_stays(stored)
    old = shown(stored)
    state = old.state
    if (state.paused, state.paused_until_ms) == (reason, until_ms):
        return None
    # A new reason does not restart the pause.
    at_ms = state.paused_at_ms if state.paused is not None else now_ms
    pause_json = paused_json(reason, at_ms or now_ms, until_ms)
    write = Write(
        stored.name,
        stored.digest,
        paused=pause_json,
        resume_at_ms=until_ms,
        pause_digest=stored.pause_digest,
        differing=differing(b"", b"", **both(_pause_of(state), pause_of(reason, until_ms))),
    )
    if old.condition in ("active", "failing", "exhausted"):
        position = _stop(old, now_ms)
        write = replace(
            write,
            cursor_ms=state.cursor_ms or None,
            position=position,
            # Only the leader's code can count these slots; it records them when the pause ends.
            lost=None if isinstance(old.schedule, Code) else _lost(stored, now_ms, "paused"),
        )
        state = _placed(state, position, True)
    state = replace(state, paused=reason, paused_at_ms=at_ms, paused_until_ms=until_ms, due_ms=None)
    return Edit(write, old, state)


def resume(stored: Stored, now_ms: int, *, catch_up: bool = False) -> Edit | None:
    """The edit that resumes a paused or quarantined entry from now; None if it is neither.

    With `catch_up` it resumes from where it stopped, and its policy decides about the slots since.
    Raises EntryMoving, and DefinitionError if the definition is still unreadable.
    """
    check_stays(stored)
    old = shown(stored)
    if old.state.paused is None and old.state.quarantined is None:
        return None
    if stored.entry is None:
        raise DefinitionError(stored.name, stored.unreadable or "it is missing")
    write = Write(
        stored.name,
        stored.digest,
        owned=old.owner == "config",
        paused="",
        pause_digest=stored.pause_digest,
        differing=differing(b"", b"", **both(_pause_of(old.state), _NOT_PAUSED)),
    )
    entry = old
    state = replace(
        old.state, paused=None, paused_at_ms=None, paused_until_ms=None, quarantined=None
    )
    if old.state.quarantined is not None:
        entry = replace(old, rev=old.rev + 1)
        write = replace(write, definition=encode(entry))
    if entry.enabled:
        catch_up = catch_up and bool(old.state.cursor_ms)
        position = position_after(entry, old.state.cursor_ms if catch_up else now_ms)
        write = replace(
            write,
            cursor_ms=old.state.cursor_ms or None,
            position=position,
            lost=None if catch_up else _lost(stored, now_ms, "paused"),
        )
        state = _placed(state, position, False)
    return Edit(write, entry, state)


def indexed(stored: Stored) -> Write | None:
    """The write that restores an entry's lost place in the indexes; None if it needs none.

    Its cursor stays. A declared entry is marked as such again.
    """
    entry, state = stored.entry, stored.state
    if entry is None or not state.cursor_ms or state.quarantined is not None:
        return None
    config = entry.owner == "config"
    scheduled = entry.condition == "exhausted" and entry.enabled
    if not scheduled and not config:
        return None
    return Write(
        stored.name,
        stored.digest,
        encode(entry) if config else b"",
        owned=config,
        cursor_ms=state.cursor_ms,
        position=position_after(entry, state.cursor_ms),
    )


def put_back(stored: Stored) -> Write | None:
    """The write that makes an entry due again; None if it is due when it should be.

    Another program removed it from the index, or set it to a later time. Its cursor stays.
    """
    entry, state = stored.entry, stored.state
    if entry is None or not state.cursor_ms or entry.condition not in ("active", "exhausted"):
        return None
    position = position_after(entry, state.cursor_ms)
    if position.due_ms is None or (entry.end_ms or position.due_ms) < position.due_ms:
        return None
    if state.due_ms is not None and state.due_ms <= position.due_ms:
        return None
    owned = entry.owner == "config"
    return Write(
        stored.name, stored.digest, owned=owned, cursor_ms=state.cursor_ms, position=position
    )


def placed_anew(stored: Stored, now_ms: int) -> Write | None:
    """The write that lets an entry continue from now, if its position was lost; None if it has one.

    What became of the slots before is unknown, which the ledger notes.
    """
    entry, state = stored.entry, stored.state
    if entry is None or state.cursor_ms or state.quarantined not in (None, POSITION_GONE):
        return None
    note = SkippedRun(now_ms, now_ms, 1, Outcome.NOTE, POSITION_LOST)
    return Write(
        stored.name,
        stored.digest,
        encode(entry),
        owned=entry.owner == "config",
        position=position_after(entry, now_ms),
        lost=note,
    )


def removal(stored: Stored, now_ms: int, act: str = "removed") -> Removal:
    """The removal of the entry, with its due slots recorded."""
    lost = _lost(stored, now_ms, act)
    cursor_ms = stored.state.cursor_ms or None
    reason = lost.reason if lost else act
    fields = differing(_definition_of(stored), b"", **both(_pause_of(stored.state), _NOT_PAUSED))
    return Removal(stored.name, stored.digest, cursor_ms, lost, reason, differing=fields)


#: The change log's word for an entry that is not paused.
_NOT_PAUSED = pause_of(None, None)


def _pause_of(state: EntryState) -> dict[str, str | None]:
    return pause_of(state.paused, state.paused_until_ms)


def _definition_of(stored: Stored) -> bytes:
    """The definition as it is stored, or b"" if it cannot be written again."""
    if stored.entry is None:
        return stored.raw
    try:
        return encode(stored.entry)
    except Exception:  # removing and replacing an entry never depend on what it holds
        return b""


def rescheduled(old: Entry, new: Entry) -> bool:
    """Whether the slots differ: another schedule, start or end."""
    # Compare the stored forms: two objects of a custom schedule need not compare equal.
    other = old.schedule.to_json() != new.schedule.to_json()
    return other or any(_differ(old, new, name) for name in _WHEN)


def _reason_of_change(old: Entry, new: Entry) -> str:
    """Why this change may lose slots; "" if it loses none and the cursor stays."""
    if old.state.quarantined is not None:
        return "quarantined"
    if rescheduled(old, new) or _is_spent(old) != _is_spent(new):
        return "edited"
    return "" if old.enabled == new.enabled else "disabled"


#: What the slots depend on beside the schedule; and what affects only when they are due.
_WHEN = ("start_ms", "end_ms")
_DUE = ("jitter_ms", "spread_ms")


def _differ(old: Entry, new: Entry, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))


def _is_spent(entry: Entry) -> bool:
    """Whether `max_runs` is used up."""
    return entry.runs_left(entry.state.fired) == 0


def _stop(entry: Entry, now_ms: int) -> Position:
    """The position with nothing due; the cursor is at `now_ms`: earlier slots are recorded."""
    if isinstance(entry.schedule, Code):
        return Position(entry.state.cursor_ms or now_ms, None, None)
    return replace(position_after(entry, now_ms), due_ms=None)


def _placed(state: EntryState, position: Position, paused: bool) -> EntryState:
    return replace(
        state,
        cursor_ms=position.cursor_ms,
        next_slot_ms=position.next_slot_ms,
        due_ms=None if paused else position.due_ms,
    )


def _lost(stored: Stored, now_ms: int, act: str) -> SkippedRun | None:
    """The unclaimed slots up to `now_ms` as one run; None if there are none."""
    entry, cursor_ms = shown(stored), stored.state.cursor_ms
    # Without a readable cursor it is unknown which slots are unaccounted for.
    if not cursor_ms or cursor_ms >= now_ms or _is_spent(entry):
        return None
    reason = entry.condition if entry.condition in _UNSCHEDULED else act
    if stored.entry is None or isinstance(entry.schedule, Code):
        return _run(now_ms, now_ms, 1, f"{reason}; slots not counted")
    return _counted(entry, cursor_ms, now_ms, reason)


def _left_behind(stored: Stored, entry: Entry, now_ms: int) -> SkippedRun | None:
    """The slots since the cursor, if the definition was deleted while its state remained."""
    cursor_ms = stored.state.cursor_ms
    if stored.exists or not cursor_ms or cursor_ms >= now_ms or isinstance(entry.schedule, Code):
        return None
    return _counted(entry, cursor_ms, now_ms, "its definition was missing")


def _counted(entry: Entry, cursor_ms: int, now_ms: int, reason: str) -> SkippedRun | None:
    limit = None if entry.schedule.arithmetic else COUNTED_AT_MOST
    try:
        run = entry.count_between(cursor_ms, now_ms, limit)
    except Exception:  # a failing schedule must not prevent an edit or a removal
        return _run(now_ms, now_ms, 1, f"{reason}; slots not counted")
    if run is None:
        return None
    if limit is not None and run.count >= limit:
        return _run(run.first_ms, now_ms, run.count, f"{reason}; at least this many")
    return _run(run.first_ms, run.last_ms, run.count, reason)


_UNSCHEDULED = ("paused", "disabled", "quarantined")


def _run(first_ms: int, last_ms: int, count: int, reason: str) -> SkippedRun:
    return SkippedRun(first_ms, last_ms, count, Outcome.SKIPPED, reason)
