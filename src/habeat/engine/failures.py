"""Failures of a single entry: retried a few times after growing pauses, then recorded as failed.

The message could not be built, or Redis refused it. Either way, no other entry waits. Attempts are
counted in this process only; another leader starts from zero. One log line reports the first
failure and one the recovery, however many slots fail in between.
"""

from __future__ import annotations

from dataclasses import dataclass

from habeat.core.events import EventCode
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.engine.fenced import Lead
from habeat.engine.planning import PlannedFiring
from habeat.engine.report import Waits
from habeat.log import log_event
from habeat.ports import Claim, DueEntry, Expected, Next, Skip, StoredRequest

ATTEMPTS = 3
WAIT_MS = (1_000, 4_000)
#: How many failing entries are remembered as logged.
LOGGED_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Tries:
    slot_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A firing that cannot be sent, and where its entry continues.

    `head` means that it is the first of its entry's planned firings, so the entry can be deferred.
    """

    firing: Firing
    expected: Expected
    next: Next
    head: bool = True

    @classmethod
    def of_plan(cls, planned: PlannedFiring) -> Failed:
        """From a planned firing whose message could not be built."""
        head = planned.expected.due_ms == planned.due.due_ms
        return cls(planned.firing, planned.expected, planned.next, head)

    @classmethod
    def of_claim(cls, claim: Claim) -> Failed:
        """From a claim that Redis refused."""
        return cls(claim.firing, claim.expected, claim.next)


class Failures:
    """Defers entries whose firings cannot be sent, and ends those firings after some attempts."""

    def __init__(self) -> None:
        self._tries: dict[str, _Tries] = {}
        self._logged: set[str] = set()
        self._waits = Waits()

    @property
    def any(self) -> bool:
        """Whether any entry has failed and not recovered since."""
        return bool(self._logged)

    def waits(self, name: str) -> bool:
        """Whether this entry has failed and will be retried."""
        return name in self._tries

    def over(self, name: str) -> None:
        """Note that a message of this entry was built, or accepted; log it if it had failed."""
        self._tries.pop(name, None)
        if name in self._logged:
            self._logged.discard(name)
            self._waits.over(name)
            log_event(
                EventCode.ENTRY_UNSENDABLE,
                "habeat: entry %r can be sent again",
                name,
                ended=True,
                entry=name,
            )

    def set_aside(self, lead: Lead, failed: Failed, why: str) -> None:
        """Retry the firing later, or end it after the last attempt; end a request at once."""
        name, slot_ms = failed.firing.entry, failed.firing.slot_ms
        if failed.firing.request:
            log_event(
                EventCode.REQUEST_FAILED,
                "habeat: a request for %r cannot be sent: %s",
                name,
                why,
                entry=name,
                cause=why,
            )
            self.end(lead, failed, Outcome.FAILED, why)
            return
        before = self._tries.get(name)
        count = before.count + 1 if before and before.slot_ms == slot_ms else 1
        self._tries[name] = _Tries(slot_ms, count)
        if name not in self._logged:
            if len(self._logged) >= LOGGED_AT_MOST:
                self._logged.clear()
            self._logged.add(name)
            log_event(
                EventCode.ENTRY_UNSENDABLE,
                "habeat: entry %r cannot be sent: %s",
                name,
                why,
                entry=name,
                cause=why,
            )
        self._waits, now_ms = lead.waits, lead.now_ms()
        if count >= ATTEMPTS:
            self._tries.pop(name, None)
            lead.waits.failed(name, why, now_ms)
            self.end(lead, failed, Outcome.FAILED, why)
        elif failed.head:  # a later firing waits anyway, until the ones before it are dealt with
            until_ms = now_ms + WAIT_MS[count - 1]
            lead.waits.note(name, why, now_ms, until_ms)
            at = failed.expected
            lead.store.defer(DueEntry(name, at.due_ms, at.digest, at.cursor_ms), until_ms)

    def end(self, lead: Lead, failed: Failed, outcome: Outcome, why: str) -> None:
        """Record the outcome of the firing, and move its entry on."""
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
