"""Read the entries under another key prefix of habeat, for an app that was renamed.

Those made through the API are moved by `adopt`, exactly and one by one (client/adopting.py). Those
of beat_schedule are declared here again by the code; their positions are read, so that no slot
between the last beat there and the first one here is lost.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from habeat.client.adopting import unsettled
from habeat.client.calls import RetryingCalls
from habeat.client.location import checked_prefix
from habeat.client.selection import pages_of, read
from habeat.client.status import read_status
from habeat.core.entry import instant
from habeat.entries.readable import shown
from habeat.errors import ValidationError
from habeat.migrate.found import Living, Reading, SourceEntry, SourceUnreadable, Uncarried
from habeat.migrate.plan import Action, Row
from habeat.ports.entries import Stored

NOT_DECLARED = "this code's beat_schedule does not have it"


@dataclass
class OldPrefix:
    """What is under the old prefix: entries of code to read, and rows of those that `adopt` moves.

    The rows say what becomes of an entry if `adopt` does not refuse it.
    """

    reading: Reading
    moving: dict[str, Row] = field(default_factory=dict)


def read_prefix(calls: RetryingCalls, prefix: str, declared: Container[str]) -> OldPrefix:
    """The entries under `prefix`; SourceUnreadable if no beat has led there, ValidationError."""
    if checked_prefix(prefix) == calls.location.prefix:
        raise ValidationError("prefix", prefix, "another prefix than the app's own")
    source = calls.under(prefix)
    try:
        return _read(source, prefix, declared)
    finally:
        source.close()


def _read(source: RetryingCalls, prefix: str, declared: Container[str]) -> OldPrefix:
    app, _ = source.read(lambda session: session.inspection.belongs_to())
    entries: list[SourceEntry] = []
    uncarried: list[Uncarried] = []
    moving: dict[str, Row] = {}
    busy = source.read(unsettled)
    for page in pages_of(source):
        source.check(f"{len(entries) + len(moving)} entries were read; nothing was written")
        for stored in read(source, page).stored:
            if shown(stored).owner == "api":
                moving[stored.name] = _moved(stored)
            elif stored.name in declared and stored.name in busy:
                advice = f"start a beat under {prefix} to have that done, then run this again"
                uncarried.append(Uncarried(stored.name, busy[stored.name], advice))
            elif stored.name in declared:
                entries.append(_declared(stored))
            else:
                uncarried.append(Uncarried(stored.name, NOT_DECLARED, dropped=True))
    if not (app or entries or moving or uncarried):
        raise SourceUnreadable(f"there is nothing under the prefix {prefix}")
    reading = Reading(f"the prefix {prefix}", entries, uncarried, living(source))
    return OldPrefix(reading, moving)


def _moved(stored: Stored) -> Row:
    entry = shown(stored)
    is_due = entry.condition == "active"
    why = "" if is_due else entry.condition
    return Row(stored.name, Action.CARRY, entry.state.next_slot if is_due else None, why)


def _declared(stored: Stored) -> SourceEntry:
    state = stored.state
    return SourceEntry(
        stored.name,
        last_run_at=state.last_fired,
        handled_until=instant(state.cursor_ms or None),
        total_run_count=state.fired,
        enabled=state.paused is None,
        declared=True,
        notes=(f"it is paused there: {state.paused}",) if state.paused else (),
    )


def living(source: RetryingCalls) -> Living:
    """Whether a beat of this prefix runs."""
    grace_ms = source.location.policies.misfire_grace_ms
    status = source.read(lambda session: read_status(session.inspection, grace_ms))
    alive = [replica.where for replica in status.replicas]
    if status.leader is not None and status.leader.replica is None:
        alive.append(status.leader.id)
    return Living(bool(alive), f"beats of it run: {', '.join(alive[:5])}" if alive else "")
