"""Read, plan, and write if nothing has changed since: the loop that every change goes through.

**Only one of several callers succeeds.** A write compares with what was read. If another caller was
faster, nothing is written, and the change is planned again from what that caller wrote.

**A lost reply.** If Redis was away, the caller cannot know whether its write was executed. So each
attempt at a write carries its own mark, which the script stores for a while when it has written.
Before the next attempt reads anything, it looks up the mark of the last one. If that write was
executed, its result is the call's result. If not, the mark is closed in the same step, so that a
request still on its way is refused when it arrives. Comparing the stored text instead would not do:
another caller may have written the same text.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.errors import RevisionConflict
from habeat.ports import Unfenced
from habeat.ports.entries import Conflict, Mark
from habeat.store.entries import EntryStore

Result = TypeVar("Result")

#: A mark is kept for this many times the call's timeout, and for KEEP_MS at least.
KEEP_TIMEOUTS = 4
KEEP_MS = 60_000

Send = Callable[[EntryStore, Mark], Conflict | Unfenced | None]


@dataclass(frozen=True)
class Plan(Generic[Result]):
    """What the call returns once `send` has written; without `send`, there is nothing to write."""

    result: Result
    send: Send | None = None


def swap(calls: RetryingCalls, plan: Callable[[Session], Plan[Result]]) -> Result:
    """Read and plan with `plan`, write, and return the plan's result.

    Overtaken if other callers were faster until the time was up.
    """
    marks = _marks(calls)
    unanswered: tuple[Mark, Result] | None = None

    def attempt(session: Session) -> Result:
        nonlocal unanswered
        if unanswered is not None:
            mark, result = unanswered
            # Also closes the mark: a request of that attempt still on its way is refused.
            if session.entries.recall(mark):
                return result
            unanswered = None
        planned = plan(session)
        if planned.send is None or calls.plans_only:
            return planned.result
        mark = next(marks)
        # If `send` raises, this stays set, and the next attempt asks what became of the write.
        unanswered = mark, planned.result
        outcome = planned.send(session.entries, mark)
        unanswered = None
        if isinstance(outcome, Conflict):
            raise Overtaken(outcome.name)
        return planned.result

    return calls.write(attempt)


def swap_or_conflict(calls: RetryingCalls, plan: Callable[[Session], Plan[Result]]) -> Result:
    """The same; RevisionConflict instead of Overtaken."""
    try:
        return swap(calls, plan)
    except Overtaken as error:
        raise RevisionConflict(error.entry, None, None) from None


def _marks(calls: RetryingCalls) -> itertools.chain[Mark]:
    keep_ms = max(KEEP_MS, int(calls.timeout_s * KEEP_TIMEOUTS * 1_000))
    call = secrets.token_hex(8)
    return itertools.chain(Mark(f"{call}:{number}", keep_ms) for number in itertools.count(1))
