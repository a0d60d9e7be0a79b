"""What each change writes: from an entry as read, and Redis' time, to one Write or Removal.

Pure: nothing here reads a clock or sends anything. The rules:

- Only a change of *schedule* re-anchors an entry. Other changes keep its cursor and the instant
  at which it is due, so saving an hourly entry again does not put it off.
- Slots that are due and not yet claimed, and will not fire because of the change, go to the
  ledger in the same write: one run, with count, bounds and the reason. An entry that was not
  scheduled anyway (paused, disabled, quarantined) has that as the reason; the slots of a pause
  are counted when it ends, or left to the catch-up policy if it is taken up where it began.
- From then on the cursor stands at the present, and the next slot is strictly later. A cursor
  never goes back, whatever the clock of Redis does.
- An entry that has run as often as it may has no slots any more, and none that could be lost.

The writes compare: with the definition that was read, and with the cursor where slots are at
stake, so that a leader that claims meanwhile makes the write fail, and it is planned again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from habeat.core.entry import Entry, EntryState
from habeat.core.firing import Outcome, SkippedRun
from habeat.entries.codec import digest_of, encode, paused_json
from habeat.entries.readable import shown
from habeat.errors import DefinitionError
from habeat.ports.entries import Position, Removal, Stored, Write
from habeat.schedules.custom import Code

#: Kinds that have to enumerate are counted up to here; the record then says "at least".
COUNTED_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Edit:
    """One write; the entry as it is written, and its state once that is done."""

    write: Write
    written: Entry
    state: EntryState

    @property
    def entry(self) -> Entry:
        """The entry as it stands then."""
        return replace(self.written, state=self.state)

    @property
    def digest(self) -> str:
        """By which the written definition is known; "" where that is not touched."""
        return digest_of(self.write.definition) if self.write.definition else ""


def addition(
    stored: Stored,
    wanted: Entry,
    now_ms: int,
    paused: str | None = None,
    until_ms: int | None = None,
) -> Edit:
    """A new entry, whose first slot is strictly after `now_ms`; paused from the start if said."""
    entry = replace(wanted, rev=1, created_ms=now_ms, state=EntryState(), generation=0)
    write = _added(stored, entry, encode(entry), now_ms)
    state = _placed(EntryState(), _from(entry, now_ms), paused is not None)
    if paused is not None:
        state = replace(state, paused=paused, paused_at_ms=now_ms, paused_until_ms=until_ms)
        told = paused_json(paused, now_ms, until_ms)
        write = replace(write, paused=told, resume_at_ms=until_ms)
    return Edit(write, entry, state)


def seeded(stored: Stored, declared: Entry, now_ms: int, generation: int) -> Write:
    """The write of a new entry that code declares, which has no state yet.

    `generation` is that of its configuration. Nobody asks for the entry as written, and a hundred
    thousand copies of it would take a second.
    """
    definition = encode(declared, rev=1, created_ms=now_ms, generation=generation)
    return _added(stored, declared, definition, now_ms)


def _added(stored: Stored, entry: Entry, definition: bytes, now_ms: int) -> Write:
    return Write(
        entry.name,
        stored.digest,
        definition,
        owned=entry.owner == "config",
        cursor_ms=None if stored.exists else stored.state.cursor_ms or None,
        position=_from(entry, now_ms),
        lost=_left_behind(stored, entry, now_ms),
    )


def change(stored: Stored, wanted: Entry, now_ms: int) -> Edit | None:
    """The stored entry turned into `wanted`; None if it is that already."""
    old = shown(stored)
    wanted = replace(wanted, owner=old.owner, created_ms=old.created_ms or now_ms)
    if old.owner == "api":  # a definition of the code is the code's alone
        wanted = replace(wanted, extra={**old.extra, **wanted.extra})
    if old.condition != "quarantined" and encode(replace(wanted, rev=old.rev)) == encode(old):
        return None
    entry = replace(wanted, rev=old.rev + 1, state=old.state)
    reason = _reason_of_change(old, entry)
    write = Write(stored.name, stored.digest, encode(entry), owned=entry.owner == "config")
    state = replace(old.state, quarantined=None)
    position = None
    if reason:
        position = _from(entry, now_ms)
        write = replace(write, lost=_lost(stored, now_ms, reason))
    elif old.state.cursor_ms and any(_differ(old, entry, name) for name in _DUE):
        position = _from(entry, old.state.cursor_ms)
    if position is not None:
        # Its slots are recorded as those of a pause, so the pause must still be there.
        write = replace(
            write,
            cursor_ms=old.state.cursor_ms or None,
            position=position,
            pause_digest=stored.pause_digest,
        )
        state = _placed(state, position, old.state.paused is not None)
    return Edit(write, entry, state)


def pause(stored: Stored, reason: str, now_ms: int, until_ms: int | None = None) -> Edit | None:
    """The entry paused until then, or until it is resumed; None if it is, for the same reason."""
    old = shown(stored)
    state = old.state
    if (state.paused, state.paused_until_ms) == (reason, until_ms):
        return None
    # Another reason does not make it another pause.
    at_ms = state.paused_at_ms if state.paused is not None else now_ms
    told = paused_json(reason, at_ms or now_ms, until_ms)
    write = Write(
        stored.name,
        stored.digest,
        paused=told,
        resume_at_ms=until_ms,
        pause_digest=stored.pause_digest,
    )
    if old.condition in ("active", "exhausted"):
        position = _stop(old, now_ms)
        write = replace(
            write,
            cursor_ms=state.cursor_ms or None,
            position=position,
            # What only code can count, its leader accounts for when the pause is over.
            lost=None if isinstance(old.schedule, Code) else _lost(stored, now_ms, "paused"),
        )
        state = _placed(state, position, True)
    state = replace(state, paused=reason, paused_at_ms=at_ms, paused_until_ms=until_ms, due_ms=None)
    return Edit(write, old, state)


def resume(stored: Stored, now_ms: int, *, catch_up: bool = False) -> Edit | None:
    """The entry going on from now, out of a pause or out of quarantine; None if it goes on.

    With `catch_up` it goes on where it stopped, and its policy decides about the slots since.
    DefinitionError if it still cannot be read.
    """
    old = shown(stored)
    if old.state.paused is None and old.state.quarantined is None:
        return None
    if stored.entry is None:
        raise DefinitionError(stored.name, stored.unreadable or "there is none")
    write = Write(
        stored.name,
        stored.digest,
        owned=old.owner == "config",
        paused="",
        pause_digest=stored.pause_digest,
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
        position = _from(entry, old.state.cursor_ms if catch_up else now_ms)
        write = replace(
            write,
            cursor_ms=old.state.cursor_ms or None,
            position=position,
            lost=None if catch_up else _lost(stored, now_ms, "paused"),
        )
        state = _placed(state, position, False)
    return Edit(write, entry, state)


def indexed(stored: Stored) -> Write | None:
    """The place of an entry in the index, which was lost; None if it has none, or has it.

    Its cursor stays. One of the code is noted as such again.
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
        position=_from(entry, state.cursor_ms),
    )


def removal(stored: Stored, now_ms: int, act: str = "removed") -> Removal:
    """The entry gone, its due slots accounted for."""
    lost = _lost(stored, now_ms, act)
    cursor_ms = stored.state.cursor_ms or None
    return Removal(stored.name, stored.digest, cursor_ms, lost, lost.reason if lost else act)


def rescheduled(old: Entry, new: Entry) -> bool:
    """Whether its slots are others: another schedule, start or end."""
    # What only code can express is equal where it is stored as the same.
    other = old.schedule.to_json() != new.schedule.to_json()
    return other or any(_differ(old, new, name) for name in _WHEN)


def _reason_of_change(old: Entry, new: Entry) -> str:
    """Why slots may be lost by this change; "" if none are and the cursor stays."""
    if old.state.quarantined is not None:
        return "quarantined"
    if rescheduled(old, new) or _is_spent(old) != _is_spent(new):
        return "edited"
    return "" if old.enabled == new.enabled else "disabled"


#: What an entry's slots depend on beside its schedule, and what says only when they are due.
_WHEN = ("start_ms", "end_ms")
_DUE = ("jitter_ms", "spread_ms")


def _differ(old: Entry, new: Entry, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))


def _is_spent(entry: Entry) -> bool:
    """Whether it has run as often as it may."""
    return entry.runs_left(entry.state.fired) == 0


def _from(entry: Entry, after_ms: int) -> Position:
    """The cursor at `after_ms`, and the first slot after it if the entry is to have one."""
    cursor_ms = max(after_ms, entry.state.cursor_ms)
    if _is_spent(entry):
        return Position(cursor_ms, None, None)
    if isinstance(entry.schedule, Code):
        # Its slots are known to a leader that has the code: that one puts it right.
        return Position(cursor_ms, None, cursor_ms if entry.enabled else None)
    try:
        slot_ms = entry.next_slot_ms(cursor_ms)
        due_ms = None if slot_ms is None else entry.effective_ms(slot_ms)
    except Exception:
        # Its schedule fails, which is this entry's fault and no reason to refuse the edit. The
        # leader looks at it at once, logs the error and tries again later.
        slot_ms, due_ms = None, cursor_ms
    return Position(cursor_ms, slot_ms, due_ms if entry.enabled else None)


def _stop(entry: Entry, now_ms: int) -> Position:
    """Nothing due any more; the cursor at `now_ms`, up to where slots are accounted for."""
    if isinstance(entry.schedule, Code):
        return Position(entry.state.cursor_ms or now_ms, None, None)
    return replace(_from(entry, now_ms), due_ms=None)


def _placed(state: EntryState, position: Position, paused: bool) -> EntryState:
    return replace(
        state,
        cursor_ms=position.cursor_ms,
        next_slot_ms=position.next_slot_ms,
        due_ms=None if paused else position.due_ms,
    )


def _lost(stored: Stored, now_ms: int, act: str) -> SkippedRun | None:
    """The slots up to `now_ms` that nobody claimed, as one run; None if there are none."""
    entry, cursor_ms = shown(stored), stored.state.cursor_ms
    # Without a readable cursor nobody can tell which slots are unaccounted for.
    if not cursor_ms or cursor_ms >= now_ms or _is_spent(entry):
        return None
    reason = entry.condition if entry.condition in _UNSCHEDULED else act
    if stored.entry is None or isinstance(entry.schedule, Code):
        return _run(now_ms, now_ms, 1, f"{reason}; slots not counted")
    return _counted(entry, cursor_ms, now_ms, reason)


def _left_behind(stored: Stored, entry: Entry, now_ms: int) -> SkippedRun | None:
    """The slots since the cursor of a definition that somebody deleted under its state."""
    cursor_ms = stored.state.cursor_ms
    if stored.exists or not cursor_ms or cursor_ms >= now_ms or isinstance(entry.schedule, Code):
        return None
    return _counted(entry, cursor_ms, now_ms, "its definition was gone")


def _counted(entry: Entry, cursor_ms: int, now_ms: int, reason: str) -> SkippedRun | None:
    limit = None if entry.schedule.arithmetic else COUNTED_AT_MOST
    try:
        found = entry.count_between(cursor_ms, now_ms, limit)
    except Exception:  # its schedule fails: that must not keep it from being edited or removed
        return _run(now_ms, now_ms, 1, f"{reason}; slots not counted")
    if found is None:
        return None
    if limit is not None and found.count >= limit:
        return _run(found.first_ms, now_ms, found.count, f"{reason}; at least so many")
    return _run(found.first_ms, found.last_ms, found.count, reason)


_UNSCHEDULED = ("paused", "disabled", "quarantined")


def _run(first_ms: int, last_ms: int, count: int, reason: str) -> SkippedRun:
    return SkippedRun(first_ms, last_ms, count, Outcome.SKIPPED, reason)
