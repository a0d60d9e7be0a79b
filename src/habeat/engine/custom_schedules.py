"""Schedules implemented by the user's code: what their answer means for the entry.

Like Celery's `is_due`, such a schedule returns whether it is due now and when to ask again. "Due"
means one firing, however long ago the schedule was last asked. Its slot is the instant in Redis'
time that the question was about. Grace, jitter and spread do not apply.

`ports.ScheduleAsker` calls the schedule in another thread, so a schedule that hangs or queries a
slow database delays only its own entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.ports import DueEntry, ScheduleAnswer
from habeat.schedules.custom import LEAST_GAP_MS

#: While the answer is pending, the entry is checked again after as long as it has waited so far,
#: but not sooner than this.
SOON_MS = 5
#: After this wait the entry is deferred instead, so that it does not take up room among due ones.
PATIENT_MS = 300
PUT_OFF_MS = 1_000
#: A schedule that is asked no later than this after its due time is asked as of the due time.
#: Otherwise, a schedule that computes its slots would drift by a few milliseconds each time.
AS_OF_DUE_MS = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the entry: it fires, is due at another time, waits, or has failed."""

    firing: Firing | None = None
    #: When it is due again; None: never.
    due_ms: int | None = None
    #: When to look again, without changing when it is due.
    look_ms: int | None = None
    #: The answer is still pending, so the call may yet fail.
    waits: bool = False
    failed: str = ""


def out_of_bounds(entry: Entry, due: DueEntry, now_ms: int) -> Verdict | None:
    """The verdict for an entry that must not be asked now; None if it may be.

    It has not started yet, has ended, has no runs left, or its cursor is not in the past.
    """
    if entry.start_ms is not None and now_ms < entry.start_ms:
        return Verdict(due_ms=entry.start_ms)
    if now_ms <= (due.cursor_ms or 0):  # just created, or Redis' clock was set back
        return Verdict(due_ms=(due.cursor_ms or 0) + LEAST_GAP_MS)
    over = entry.end_ms is not None and now_ms > entry.end_ms
    return Verdict() if over or entry.runs_left(due.fired) == 0 else None


def as_of_ms(due: DueEntry, now_ms: int) -> int:
    """The instant the question is about. It may become the slot, so it is after the cursor."""
    in_time = 0 <= now_ms - due.due_ms <= AS_OF_DUE_MS and due.due_ms > (due.cursor_ms or 0)
    return due.due_ms if in_time else now_ms


def verdict(entry: Entry, due: DueEntry, answer: ScheduleAnswer, now_ms: int) -> Verdict:
    """What the answer means for the entry, including an answer that is still pending."""
    if answer.failed:
        return Verdict(failed=answer.failed)
    if answer.state is None:
        waited_ms = max(0, now_ms - answer.at_ms)
        if waited_ms < PATIENT_MS:
            return Verdict(look_ms=now_ms + max(SOON_MS, waited_ms), waits=True)
        return Verdict(due_ms=now_ms + PUT_OFF_MS, waits=True)
    again_ms = answer.at_ms + max(LEAST_GAP_MS, answer.state.again_ms)
    if not answer.state.due:
        return Verdict(due_ms=max(again_ms, now_ms))
    return Verdict(Firing(entry.name, answer.at_ms, answer.at_ms), again_ms)
