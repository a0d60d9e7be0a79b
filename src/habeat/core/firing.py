"""A firing: the dispatch of one (entry, slot), and its possible outcomes.

    due ── claim ──► in flight ── publish, settle ──► settled
     │                   │
     │                   └── attempts used up, or may not be repeated ──► given up
     └── skip ──► skipped

With atomic dispatch, claim and settle are one step. The task id is a function of
(cluster, entry, slot), so a resend after a crash has the same id.
"""

from __future__ import annotations

import enum
import re
import uuid
from dataclasses import dataclass

#: A firing is late if its message was sent more than this after its effective time.
LATE_AFTER_MS = 1_000
#: The reason of a slot that the task's own class did not want to send; with the exception that it
#: raised, the reason begins with the second. The third begins that of a slot that the class failed
#: to send. In each case, nothing was published.
DECLINED, DECLINED_BY, NOT_SENT = "declined", "declined: ", "not sent: "

_SEPARATORS = re.compile(r"[%#/:@\x00-\x1f\x7f]")
_NAMESPACE = uuid.UUID("6d3cf8a0-5b0c-5f0e-9d3e-0d7a8c1f4e21")


class Outcome(enum.StrEnum):
    """The outcome in a ledger record; NOTE marks a remark that is not an outcome.

    SHADOW is a firing that a shadow would have sent: nothing was.
    """

    SENT = "sent"
    LATE = "late"
    SKIPPED = "skipped"
    MISSED = "missed"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"
    SHADOW = "shadow"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Firing:
    """One (entry, slot) about to be dispatched. Instants are Unix milliseconds, UTC."""

    entry: str
    slot_ms: int
    effective_ms: int
    #: "" for a slot within its grace; otherwise the catch-up policy that made it fire.
    misfire: str = ""
    #: The id of the request for this firing; "" for a slot of the schedule.
    request: str = ""
    #: The kind of request: "trigger" or "backfill".
    asked: str = ""

    @property
    def identity(self) -> str:
        """The firing's unique name within its entry: the slot, and the request if there is one.

        Keys and task ids are the entry's name, a separator and this. Users choose both names, so
        separators in the request's id are escaped: the last separator in a key is always the one
        that habeat added.
        """
        return f"{self.slot_ms}#{escaped(self.request)}" if self.request else str(self.slot_ms)

    @property
    def reason(self) -> str:
        """The reason in the ledger, next to "sent" or "late"."""
        return f"misfire: {self.misfire}" if self.misfire else self.asked

    def task_id(self, cluster_id: str) -> str:
        """The task id of this firing, the same for every attempt."""
        return str(uuid.uuid5(_NAMESPACE, f"{cluster_id}/{self.entry}/{self.identity}"))


def escaped(request: str) -> str:
    """A request's id with its separators escaped, as `escaped` in scripts/common.lua does."""
    return _SEPARATORS.sub(lambda found: f"%{ord(found[0]):02X}", request)


@dataclass(frozen=True, slots=True)
class SkippedRun:
    """A run of slots that will not fire: one ledger record with count and bounds."""

    first_ms: int
    last_ms: int
    count: int
    outcome: Outcome
    reason: str
