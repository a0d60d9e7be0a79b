"""An entry's own failures: tried a few times with growing pauses, then recorded as failed.

Whether its message could not be built or Redis would not take it: it is the entry's own trouble,
and no other waits for it. The tries are remembered by this process only; another leader tries
from the start. One log line tells that the trouble began and one that it is over, however many
slots it lasts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.engine.fenced import Lead
from habeat.engine.planning import PlannedFiring
from habeat.ports import Claim, DueEntry, Expected, Next, Skip, StoredRequest

log = logging.getLogger("habeat")

ATTEMPTS = 3
WAIT_MS = (1_000, 4_000)
#: So many entries are remembered to have failed.
TOLD_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Tries:
    slot_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A firing that cannot be sent, and where its entry goes on; `head` if it is the next due."""

    firing: Firing
    expected: Expected
    next: Next
    head: bool = True

    @classmethod
    def of_plan(cls, planned: PlannedFiring) -> Failed:
        """One that was planned."""
        head = planned.expected.due_ms == planned.due.due_ms
        return cls(planned.firing, planned.expected, planned.next, head)

    @classmethod
    def of_claim(cls, claim: Claim) -> Failed:
        """One that was not taken."""
        return cls(claim.firing, claim.expected, claim.next)


class Failures:
    """Sets entries aside whose firings cannot be sent, and ends those firings."""

    def __init__(self) -> None:
        self._tries: dict[str, _Tries] = {}
        self._told: set[str] = set()

    @property
    def any(self) -> bool:
        """Whether some entry has failed of late."""
        return bool(self._told)

    def waits(self, name: str) -> bool:
        """Whether this entry has failed and is to be tried again."""
        return name in self._tries

    def over(self, name: str) -> None:
        """A message of this entry has been made, or taken."""
        self._tries.pop(name, None)
        if name in self._told:
            self._told.discard(name)
            log.warning("habeat: entry %r can be sent again", name)

    def set_aside(self, lead: Lead, failed: Failed, why: str) -> None:
        """Try it later, or end it; a request is ended at once."""
        name, slot_ms = failed.firing.entry, failed.firing.slot_ms
        if failed.firing.request:
            log.error("habeat: a request for %r cannot be sent: %s", name, why)
            self.end(lead, failed, Outcome.FAILED, why)
            return
        before = self._tries.get(name)
        count = before.count + 1 if before and before.slot_ms == slot_ms else 1
        self._tries[name] = _Tries(slot_ms, count)
        if name not in self._told:
            if len(self._told) >= TOLD_AT_MOST:
                self._told.clear()
            self._told.add(name)
            log.error("habeat: entry %r cannot be sent: %s", name, why)
        if count >= ATTEMPTS:
            self._tries.pop(name, None)
            self.end(lead, failed, Outcome.FAILED, why)
        elif failed.head:
            until_ms = lead.now_ms() + WAIT_MS[count - 1]
            at = failed.expected
            lead.store.defer(DueEntry(name, at.due_ms, at.digest, at.cursor_ms), until_ms)

    def end(self, lead: Lead, failed: Failed, outcome: Outcome, why: str) -> None:
        """Record what became of the firing, and go on with the entry."""
        if failed.firing.request:
            self._drop(lead, failed, why)
            return
        slot_ms = failed.firing.slot_ms
        run = SkippedRun(slot_ms, slot_ms, 1, outcome, why)
        skip = Skip(failed.firing.entry, failed.expected, failed.next, run, slot_ms)
        lead.store.skip([skip])

    def _drop(self, lead: Lead, failed: Failed, why: str) -> None:
        firing = failed.firing
        request = StoredRequest(firing.request, failed.expected.digest, b"")
        lead.store.drop(request, firing.entry, firing.slot_ms, why)
