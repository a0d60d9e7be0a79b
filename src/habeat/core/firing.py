"""A firing: the dispatch of one (entry, slot), and the ways it can end.

    due ── claim ──► in flight ── publish, settle ──► settled
     │                   │
     │                   └── attempts used up, or may not be repeated ──► abandoned
     └── skip ──► skipped

With the atomic dispatch claim and settle are one step. The task id is a function of
(cluster, entry, slot), so a resend after a crash carries the same id.
"""

from __future__ import annotations

import enum
import re
import uuid
from dataclasses import dataclass

#: A firing whose message left later than this after its effective time is called late.
LATE_AFTER_MS = 1_000

_SEPARATORS = re.compile(r"[%#/:@\x00-\x1f\x7f]")
_NAMESPACE = uuid.UUID("6d3cf8a0-5b0c-5f0e-9d3e-0d7a8c1f4e21")


class Outcome(enum.StrEnum):
    """What a ledger record says became of a slot."""

    SENT = "sent"
    LATE = "late"
    SKIPPED = "skipped"
    MISSED = "missed"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"
    NOTE = "note"


class FiringState(enum.StrEnum):
    """Where a firing stands; the table below names every step there is."""

    DUE = "due"
    IN_FLIGHT = "inflight"
    SETTLED = "settled"
    ABANDONED = "abandoned"
    SKIPPED = "skipped"


TRANSITIONS: dict[FiringState, frozenset[FiringState]] = {
    FiringState.DUE: frozenset({FiringState.IN_FLIGHT, FiringState.SETTLED, FiringState.SKIPPED}),
    FiringState.IN_FLIGHT: frozenset({FiringState.SETTLED, FiringState.ABANDONED}),
    FiringState.SETTLED: frozenset(),
    FiringState.ABANDONED: frozenset(),
    FiringState.SKIPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Firing:
    """One (entry, slot) about to be dispatched. Instants are Unix milliseconds, UTC."""

    entry: str
    slot_ms: int
    effective_ms: int
    #: "" for a slot within its grace; else the catch-up policy that made it fire.
    misfire: str = ""
    #: The id of the request that asked for it by hand; "" for a slot of the schedule.
    request: str = ""
    #: Why it was asked for: "trigger" or "backfill".
    asked: str = ""

    @property
    def identity(self) -> str:
        """What names this firing within its entry: the slot, and the request if there is one.

        It is put behind the entry's name, with a separator, to make keys and task ids. Both are
        texts of the user's: so in the request's id the separators are escaped, and the last one
        in a key is the one that was put there.
        """
        return f"{self.slot_ms}#{escaped(self.request)}" if self.request else str(self.slot_ms)

    @property
    def reason(self) -> str:
        """What the ledger says beside "sent" or "late"."""
        return f"misfire: {self.misfire}" if self.misfire else self.asked

    def task_id(self, cluster_id: str) -> str:
        """The id of this firing's task, the same at every attempt."""
        return str(uuid.uuid5(_NAMESPACE, f"{cluster_id}/{self.entry}/{self.identity}"))


def escaped(request: str) -> str:
    """A request's id without separators; `escaped` of scripts/common.lua is the same."""
    return _SEPARATORS.sub(lambda found: f"%{ord(found[0]):02X}", request)


@dataclass(frozen=True, slots=True)
class SkippedRun:
    """A run of slots that will not fire: one ledger record with count and bounds."""

    first_ms: int
    last_ms: int
    count: int
    outcome: Outcome
    reason: str
