"""What becomes of each entry of a source: decided here, purely; `now` is an argument.

**Where an entry starts.** Its cursor is put at the source's last run, never at a time that the
source computed for the next one, which may be stale. So what was sent is not repeated, and slots
after it that were not sent are caught up by the entry's misfire policy. With `sent_until_ms`, slots
up to that instant count as sent, whatever the source's last runs say.

**Periods.** Another beat counts a period from the last run. So a period that is carried gets that
rhythm. Where the rhythm differs, as for an entry of beat_schedule, whose rhythm follows from its
name, the first slot is the one nearest to a whole period after the last run: at least half a period
after it.

**What is here stays.** The definition of an entry that exists in habeat is never written, so a
migration can be run again. If the source has run such an entry since, because the team went back to
it for a while, its cursor moves on to that last run. See decision 0059.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from habeat.core.entry import Entry, EntryState, instant
from habeat.core.firing import Outcome, SkippedRun
from habeat.core.limits import DEFAULT_LIMITS, Limits
from habeat.entries.affordable import check_affordable
from habeat.entries.changes import change, position_after
from habeat.entries.codec import encode, paused_json
from habeat.entries.differing import differing
from habeat.entries.draft import new_entry
from habeat.entries.readable import shown
from habeat.entries.schedules import schedule_of
from habeat.errors import HabeatError, ValidationError
from habeat.migrate.found import SourceEntry, Uncarried
from habeat.ports.entries import Arrival, Position, Stored, Write
from habeat.schedules import Interval, Schedule, Solar
from habeat.schedules.custom import Code
from habeat.schedules.schedule import to_ms

#: An instant further ahead than this is not a clock that is a little off.
AHEAD_MS = 3_600_000
#: A stored count has 15 digits at most, and each firing adds one.
COUNT_MOST = 10**12
#: Stored instants are positive. A last run before 1970 stands for "never" in some schedulers.
FIRST_MS = 1
#: Solar slots are rounded to seconds: the source may run one a little before ours.
SOLAR_MARGIN_MS = 1_000


class Action(enum.StrEnum):
    """What becomes of an entry."""

    CARRY = "carry"  # it is added, with its position and count
    DECLARE = "declare"  # beat_schedule has it: its position and count are carried
    CONTINUE = "continue"  # it is here, and its position moves on to the source's last run
    PRESENT = "present"  # an earlier migration carried it, or a beat declared it
    KEEP = "keep"  # habeat has another entry of that name, which stays
    SPENT = "spent"  # it has no more slots
    DROP = "drop"  # the source itself would drop it
    REFUSE = "refuse"  # it cannot be carried


#: Actions that add an entry.
ADDS = (Action.CARRY, Action.DECLARE)
#: Actions after which a person has something to do.
UNFINISHED = (Action.KEEP, Action.REFUSE)
#: Two definitions with the same next slots are taken for the same schedule.
SLOTS_COMPARED = 20
_WHAT = ("task", "args", "kwargs", "options", "enabled")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the source: what becomes of it, its first slot, and why.

    `first_slot` is the first slot after what the source has sent; if it is past, it is caught up.
    None if the entry is not carried or is disabled, or if only the leader's code knows the slot.
    `arrival` is what is added, `write` what moves the position of an entry that is here.
    """

    name: str
    action: Action
    first_slot: datetime | None = None
    why: str = ""
    notes: tuple[str, ...] = ()
    arrival: Arrival | None = None
    write: Write | None = None


@dataclass(frozen=True, slots=True)
class Here:
    """What the plan knows of habeat's side.

    `declared` has the entries of this code's beat_schedule, and `broken` those that cannot be used,
    with the reasons.
    """

    timezone: str = "UTC"
    limits: Limits = DEFAULT_LIMITS
    declared: Mapping[str, Entry] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Instant:
    """The instant of a switch: Redis' time, and until when all slots count as sent, if given."""

    now_ms: int
    sent_until_ms: int | None = None


def not_carried(uncarried: Uncarried) -> Row:
    """The row of an entry that its source did not hand over."""
    action = Action.DROP if uncarried.dropped else Action.REFUSE
    notes = (uncarried.advice,) if uncarried.advice else ()
    return Row(uncarried.name, action, why=uncarried.why, notes=notes)


def planned(found: SourceEntry, stored: Stored, here: Here, at: Instant, source: str) -> Row:
    """The row of one entry; `stored` is what habeat has under its name."""
    found = replace(found, total_run_count=min(found.total_run_count, COUNT_MOST))
    try:
        wanted = _declared(found, here) if found.declared else _carried(found, here, at)
    except HabeatError as error:
        return _refused(found, error)
    if stored.exists or stored.state.cursor_ms:
        return _present(found, stored, wanted, at, source)
    try:
        check_affordable(wanted, at.now_ms)
    except HabeatError as error:
        return _refused(found, error)
    return _written(found, wanted, at, source)


def _refused(found: SourceEntry, error: HabeatError) -> Row:
    why = error.of_entry("") if isinstance(error, ValidationError) else error
    return Row(found.name, Action.REFUSE, why=str(why), notes=found.notes)


def _declared(found: SourceEntry, here: Here) -> Entry:
    if why := here.broken.get(found.name):
        raise HabeatError(f"beat_schedule has it, but habeat cannot use it: {why}")
    return here.declared[found.name]


def _carried(found: SourceEntry, here: Here, at: Instant) -> Entry:
    given = {**found.arguments, "enabled": found.enabled}
    if "schedule" in given:
        given["schedule"] = _in_rhythm(schedule_of(given["schedule"]), _anchor_ms(found, at))
    return new_entry(found.name, given, here.timezone, here.limits)


def _present(found: SourceEntry, stored: Stored, wanted: Entry, at: Instant, source: str) -> Row:
    """The row of an entry that habeat has in some form; its definition is not written."""
    if not stored.exists:
        why = "a state of this name is left here without its definition: remove it first"
        return Row(found.name, Action.KEEP, why=why)
    old = shown(stored)
    if not _is_same(found, stored, wanted):
        whose = "of beat_schedule" if old.owner == "config" else "made through the API"
        why = f"habeat has another entry of this name, {whose}, which stays: remove or rename one"
        return Row(found.name, Action.KEEP, _next_slot(old), why)
    cursor_ms = _sent_since_ms(found, old, at)
    if cursor_ms <= old.state.cursor_ms or old.state.quarantined is not None:
        why = "beat_schedule's entry is here" if found.declared else "carried before"
        notes = _lost(found, old, at)
        return Row(found.name, Action.PRESENT, _next_slot(old), why, notes)
    return _continued(stored, old, cursor_ms, source)


def _sent_since_ms(found: SourceEntry, old: Entry, at: Instant) -> int:
    """The instant up to which the source has sent an entry that is here; 0 if that is unknown."""
    if found.handled_until is None and _last_run_ms(found, at) is None:
        return at.sent_until_ms or 0
    return _cursor_ms(found, old, at)


def _is_same(found: SourceEntry, stored: Stored, wanted: Entry) -> bool:
    """Whether what is stored is this entry, whatever the rhythm of its period."""
    old = shown(stored)
    if found.declared or old.owner == "config":
        return found.declared and old.owner == "config"
    if isinstance(old.schedule, Interval) and isinstance(wanted.schedule, Interval):
        rhythm = replace(wanted.schedule, offset_ms=old.schedule.offset_ms)
        wanted = replace(wanted, schedule=rhythm)
    if change(stored, wanted, stored.state.cursor_ms) is None:
        return True
    return stored.entry is not None and _sends_the_same(old, wanted)


def _sends_the_same(old: Entry, wanted: Entry) -> bool:
    """Whether both send the same at the same times, as far as the next slots show.

    For an entry that went to the other beat and comes back: that beat has no tags, and writes a
    cron expression as a crontab.
    """
    if any(getattr(old, name) != getattr(wanted, name) for name in _WHAT):
        return False
    if isinstance(old.schedule, Code) or isinstance(wanted.schedule, Code):
        return False
    at_ms: int | None = old.state.cursor_ms
    for _ in range(SLOTS_COMPARED):
        if at_ms is None:
            break
        if (slot_ms := old.next_slot_ms(at_ms)) != wanted.next_slot_ms(at_ms):
            return False
        at_ms = slot_ms
    return True


def _lost(found: SourceEntry, old: Entry, at: Instant) -> tuple[str, ...]:
    """A note if habeat was started before the last run was carried, and has skipped slots."""
    last_ms = _last_run_ms(found, at)
    if last_ms is None or old.state.last_fired_ms is not None or isinstance(old.schedule, Code):
        return ()
    slot_ms = old.next_slot_ms(last_ms)
    if slot_ms is None or slot_ms > old.state.cursor_ms:
        return ()
    return (f"habeat was started first: no beat has sent its slots from {instant(slot_ms)} on",)


def _is_off(entry: Entry) -> bool:
    return entry.condition in ("disabled", "paused")


def _next_slot(entry: Entry) -> datetime | None:
    """The next slot of an entry that is here; None if it will not fire."""
    return None if _is_off(entry) else entry.state.next_slot


def _continued(stored: Stored, old: Entry, cursor_ms: int, source: str) -> Row:
    """The row of an entry that the source has run after habeat did."""
    position = position_after(old, cursor_ms)
    write = Write(
        stored.name,
        stored.digest,
        cursor_ms=old.state.cursor_ms or None,
        position=position,
        lost=SkippedRun(cursor_ms, cursor_ms, 0, Outcome.NOTE, f"until here sent by {source}"),
    )
    why = "it is here, and the other beat has run it since"
    first_slot = None if _is_off(old) else instant(position.next_slot_ms)
    return Row(old.name, Action.CONTINUE, first_slot, why, write=write)


def _written(found: SourceEntry, wanted: Entry, at: Instant, source: str) -> Row:
    entry = replace(wanted, state=EntryState(fired=found.total_run_count))
    position = position_after(entry, _cursor_ms(found, entry, at))
    is_code = isinstance(entry.schedule, Code)
    if position.next_slot_ms is None and not is_code:
        return Row(found.name, Action.SPENT, why="it has no more slots", notes=found.notes)
    last_ms = _last_run_ms(found, at)
    paused = _pause(found, at, source)
    arrival = Arrival(
        name=found.name,
        definition=encode(entry, rev=1, created_ms=at.now_ms),
        paused=paused,
        resume_at_ms=None,
        position=replace(position, due_ms=None) if paused else position,
        last_fired_ms=last_ms if found.total_run_count else None,
        fired=found.total_run_count,
        note=f"migrated from {source}",
        owned=entry.owner == "config",
    )
    arrival = replace(arrival, differing=differing(b"", arrival.definition))
    return Row(
        name=found.name,
        action=Action.DECLARE if found.declared else Action.CARRY,
        first_slot=instant(position.next_slot_ms) if entry.enabled and not paused else None,
        why="paused, because it is disabled there" if paused else _why(entry, position, at),
        notes=(*found.notes, *_remarks(found, at)),
        arrival=arrival,
    )


def _pause(found: SourceEntry, at: Instant, source: str) -> str:
    """The JSON of a pause, for an entry of code that was disabled in the source; "" for others."""
    if not found.declared or found.enabled:
        return ""
    return paused_json(f"disabled in {source}", at.now_ms)


def _why(entry: Entry, position: Position, at: Instant) -> str:
    if not entry.enabled:
        return "disabled"
    is_due = position.next_slot_ms is not None and position.next_slot_ms <= at.now_ms
    return "slots since its last run are due" if is_due else ""


def _remarks(found: SourceEntry, at: Instant) -> tuple[str, ...]:
    if found.last_run_at is None or _last_run_ms(found, at) is not None:
        return ()
    return (f"its last run, {found.last_run_at.isoformat()}, is in the future: it counts as now",)


# -- the position -----------------------------------------------------------------------------


def _last_run_ms(found: SourceEntry, at: Instant) -> int | None:
    """The last run; None if there was none, or if it is impossibly far ahead."""
    if found.last_run_at is None:
        return None
    last_ms = max(to_ms("last_run_at", found.last_run_at), FIRST_MS)
    return last_ms if last_ms <= at.now_ms + AHEAD_MS else None


def _anchor_ms(found: SourceEntry, at: Instant) -> int | None:
    """What the slots of a period are counted from; None to leave it to the entry's name."""
    if (last_ms := _last_run_ms(found, at)) is not None:
        return last_ms
    return None if found.first_run_at is None else to_ms("first_run_at", found.first_run_at)


def _in_rhythm(schedule: Schedule, anchor_ms: int | None) -> Schedule:
    """A period without an offset of its own, counted from the anchor."""
    if anchor_ms is None or not isinstance(schedule, Interval):
        return schedule
    if schedule.offset_ms is not None or schedule.align != "own":
        return schedule
    return replace(schedule, offset_ms=anchor_ms % schedule.every_ms)


def _is_slot(period: Interval, at_ms: int) -> bool:
    """Whether the period has the rhythm of this run."""
    return (at_ms - (period.offset_ms or 0)) % period.every_ms == 0


def _cursor_ms(found: SourceEntry, entry: Entry, at: Instant) -> int:
    """The instant after which the entry's slots are habeat's."""
    last_ms = _last_run_ms(found, at)
    if found.handled_until is not None:
        cursor_ms = to_ms("handled_until", found.handled_until)
    elif last_ms is not None:
        cursor_ms = last_ms
        if isinstance(entry.schedule, Interval) and not _is_slot(entry.schedule, last_ms):
            cursor_ms += (entry.schedule.every_ms + 1) // 2 - 1
        if isinstance(entry.schedule, Solar):
            cursor_ms += SOLAR_MARGIN_MS
    elif found.last_run_at is None and found.first_run_at is not None:
        cursor_ms = max(to_ms("first_run_at", found.first_run_at) - 1, FIRST_MS)
    else:
        cursor_ms = at.now_ms
    return cursor_ms if at.sent_until_ms is None else max(cursor_ms, at.sent_until_ms)
