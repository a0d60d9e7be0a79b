"""Read, plan, write if nothing has changed since: the one loop that every change goes through.

**Of several callers one succeeds.** A write compares with what was read. If another caller was
faster, nothing is written, and the change is planned again from what that caller left.

**A lost reply.** When Redis was away, the caller cannot know whether its write was done. Each
attempt at a write carries a mark of its own, which the script keeps for a while once the write is
done. Before the next attempt reads anything, it asks for the mark of the last one. If that write
was done, its result is the call's result. If not, the mark is closed in the same step, so a
request that is still on its way is refused when it arrives. Texts are never compared: another
caller may have written the same.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.ports import Unfenced
from habeat.ports.entries import Conflict, Mark
from habeat.store.entries import EntryStore

Result = TypeVar("Result")

#: A mark is kept for so many times the call's timeout, and never for less than KEEP_MS.
KEEP_TIMEOUTS = 4
KEEP_MS = 60_000

Send = Callable[[EntryStore, Mark], Conflict | Unfenced | None]


@dataclass(frozen=True)
class Plan(Generic[Result]):
    """What the call returns once `send` has written; None: there is nothing to write."""

    result: Result
    send: Send | None = None


def swap(calls: RetryingCalls, plan: Callable[[Session], Plan[Result]]) -> Result:
    """Read and plan by `plan`, write, return its result; Overtaken if others kept being faster."""
    marks = _marks(calls)
    unanswered: tuple[Mark, Result] | None = None

    def attempt(session: Session) -> Result:
        nonlocal unanswered
        if unanswered is not None:
            mark, result = unanswered
            if session.entries.recall(mark):
                return result
            unanswered = None
        planned = plan(session)
        if planned.send is None:
            return planned.result
        mark = next(marks)
        unanswered = mark, planned.result
        outcome = planned.send(session.entries, mark)
        unanswered = None
        if isinstance(outcome, Conflict):
            raise Overtaken(outcome.name)
        return planned.result

    return calls.write(attempt)


def _marks(calls: RetryingCalls) -> itertools.chain[Mark]:
    keep_ms = max(KEEP_MS, int(calls.timeout_s * KEEP_TIMEOUTS * 1_000))
    call = secrets.token_hex(8)
    return itertools.chain(Mark(f"{call}:{number}", keep_ms) for number in itertools.count(1))
