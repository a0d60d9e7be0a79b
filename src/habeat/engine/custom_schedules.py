"""Schedules of the user's code: what an answer means for their entry.

Such a schedule says whether it is due now and when it wants to be asked again, as Celery's
`is_due`. Due means one firing, whose slot is the instant of the question in Redis' time. However
long nobody asked, it is one firing. Grace, jitter and spread do not apply.

The questions are asked by `ports.ScheduleAsker`, in another thread: one that hangs or queries a
slow database delays only its own entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.ports import DueEntry, ScheduleAnswer
from habeat.schedules.custom import LEAST_GAP_MS, Asked

#: While an answer is awaited, the entry is looked at again after the time it has waited so far.
SOON_MS = 5
#: From here on it is put off instead, so that it takes no place among what is due.
PATIENT_MS = 300
PUT_OFF_MS = 1_000
#: So little later than it wanted to be asked, a schedule is asked as of that instant: else one that
#: computes its slots would slip by a few milliseconds each time.
AS_OF_DUE_MS = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the entry now: it fires, is due at another time, waits or fails."""

    firing: Firing | None = None
    #: When it is due again; None where it never is.
    due_ms: int | None = None
    #: Look again then, and leave it where it is.
    look_ms: int | None = None
    #: The answer is not there yet, so nobody knows whether it goes well.
    waits: bool = False
    failed: str = ""


class AskedHere:
    """Asks in this very thread: for tests, where nothing hangs."""

    def ask(self, due: DueEntry, schedule: Asked, now_ms: int) -> ScheduleAnswer:
        try:
            return ScheduleAnswer(now_ms, schedule.ask(due.cursor_ms or 0, now_ms))
        except Exception as error:
            return ScheduleAnswer(now_ms, failed=f"its schedule fails: {error!r}")


def out_of_bounds(entry: Entry, due: DueEntry, now_ms: int) -> Verdict | None:
    """For an entry that is not to be asked now: it has not begun, or is over."""
    if entry.start_ms is not None and now_ms < entry.start_ms:
        return Verdict(due_ms=entry.start_ms)
    if now_ms <= (due.cursor_ms or 0):  # just made, or Redis' clock was set back
        return Verdict(due_ms=(due.cursor_ms or 0) + LEAST_GAP_MS)
    over = entry.end_ms is not None and now_ms > entry.end_ms
    return Verdict() if over or entry.runs_left(due.fired) == 0 else None


def as_of_ms(due: DueEntry, now_ms: int) -> int:
    """The instant that a question is about: after the cursor, for it may become the slot."""
    in_time = 0 <= now_ms - due.due_ms <= AS_OF_DUE_MS and due.due_ms > (due.cursor_ms or 0)
    return due.due_ms if in_time else now_ms


def verdict(entry: Entry, due: DueEntry, answer: ScheduleAnswer, now_ms: int) -> Verdict:
    """What an answer, or that there is none yet, means for the entry."""
    if answer.failed:
        return Verdict(failed=answer.failed)
    if answer.told is None:
        waited_ms = max(0, now_ms - answer.at_ms)
        if waited_ms < PATIENT_MS:
            return Verdict(look_ms=now_ms + max(SOON_MS, waited_ms), waits=True)
        return Verdict(due_ms=now_ms + PUT_OFF_MS, waits=True)
    again_ms = answer.at_ms + max(LEAST_GAP_MS, answer.told.again_ms)
    if not answer.told.due:
        return Verdict(due_ms=max(again_ms, now_ms))
    return Verdict(Firing(entry.name, answer.at_ms, answer.at_ms), again_ms)
