"""The promise of an entry, `start_by`: each slot is sent within this time of its effective time.

A slot breaks it if its message was sent later, or never will be. A pause, an edit or a removal by a
person breaks no promise. Neither does a firing by hand, which has no time of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from habeat.core.firing import Outcome

#: The reason of a slot that was skipped because its message had expired before it was sent.
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """A slot, or a run of `count` slots, that was not sent in time.

    `outcome` is None while the slot waits. `late_ms` is how late it was sent, or has waited; 0 for
    a slot that never fires.
    """

    entry: str
    slot_ms: int
    last_ms: int
    count: int
    start_by_ms: int
    outcome: Outcome | None
    reason: str
    late_ms: int

    @property
    def sentence(self) -> str:
        """What happened, without the name of the entry."""
        if self.outcome is None:
            return f"has not been sent for {_seconds(self.late_ms)}"
        if self.outcome in (Outcome.SENT, Outcome.LATE):
            return f"was sent {_seconds(self.late_ms)} late"
        why = f" ({self.reason})" if self.reason else ""
        return f"does not fire: {self.outcome}{why}"


def is_broken(outcome: Outcome, reason: str, late_ms: int, start_by_ms: int) -> bool:
    """Whether a slot with this outcome in the ledger breaks the promise."""
    if outcome in (Outcome.SENT, Outcome.LATE):
        return late_ms > start_by_ms
    if outcome is Outcome.SKIPPED:
        return reason == EXPIRED
    return outcome in (Outcome.MISSED, Outcome.FAILED)


def _seconds(ms: int) -> str:
    return f"{ms / 1_000:.1f} s"
