"""A slot that did not fire has a record; and what the record says must have had a cause.

`missed`, `failed` and `ambiguous` need a fault that can cause them (explanations.py), before the
record and not long before the slot, unless the slot was found within what an undisturbed leader
may take; `suppressed` (the (entry, slot) key was there before the
cursor had come so far) needs a loss of data or a step of the server's clock. Slots from before
anybody ever led need nothing.
"""

from __future__ import annotations

from tests.verification.history.case import Case
from tests.verification.history.cursors import Cursors
from tests.verification.history.events import Kind
from tests.verification.history.explanations import EXPLANATIONS
from tests.verification.history.leases import Leases

_UNDISTURBED_US = 1_000_000
_NEEDS_CAUSE = frozenset({"missed", "failed", "ambiguous", "suppressed"})


class Misses:
    """Looks for the causes, when the walk is over."""

    def __init__(self, case: Case, leases: Leases, cursors: Cursors) -> None:
        self._case = case
        self._leases = leases
        self._cursors = cursors
        self._found: set[tuple[str, str]] = set()
        #: How long it may take until a lease expires and the successor has caught up.
        self._lingers_us = 2 * case.expectation.ttl_us + 2_000_000

    def close(self) -> set[tuple[str, str]]:
        """Look at every record that says that a slot did not fire; those without a cause."""
        if not self._case.expectation.misses:
            return set()
        for life in self._cursors.lives:
            for record in life.records:
                if record.outcome in _NEEDS_CAUSE:
                    since_us = record.since_us
                    if record.circuit_us:  # what opened it, not what is going on now
                        since_us = min(since_us, record.circuit_us)
                    self._check(
                        life.entry, str(record.first_ms), record.outcome, since_us, record.at_us
                    )
        for (entry, identity), firing in self._case.firings.items():
            for claim in firing.claims:
                for outcome in claim.outcomes:
                    if outcome in _NEEDS_CAUSE:
                        ended_us = claim.ended_us or claim.at_us
                        self._check(entry, identity, outcome, claim.at_us, ended_us)
        return self._found

    def _check(self, entry: str, identity: str, outcome: str, since_us: int, at_us: int) -> None:
        case = self._case
        if outcome == "missed" and at_us - since_us <= _UNDISTURBED_US:
            return
        since_us -= self._lingers_us
        if not self._leases.first_us or since_us <= self._leases.first_us:
            return
        if case.lost_or_unseen(since_us, at_us) or self._has_cause(outcome, since_us, at_us):
            return
        case.at_us = at_us
        self._found.add((entry, identity))
        case.wrong("ledger", f"recorded as {outcome}, and no fault explains it", entry, identity)

    def _has_cause(self, outcome: str, since_us: int, at_us: int) -> bool:
        return any(
            fault.start_us <= at_us
            and fault.end_us >= since_us
            and (
                fault.kind is Kind.REDIS_CLOCK
                if outcome == "suppressed"
                else EXPLANATIONS[fault.kind].miss
            )
            for fault in self._case.faults
        )
