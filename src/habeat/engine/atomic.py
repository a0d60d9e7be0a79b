"""The atomic dispatch: schedule and broker are one Redis, one script claims and enqueues.

The script answers for each firing of a batch. Nothing is in flight between two batches, so
there is nothing to recover, and a leader that lost its lease finds that its whole batch was
refused. The lost reply of a claim needs no care: the next tick reads the cursors, and they have
moved.
"""

from __future__ import annotations

from collections.abc import Sequence

from habeat.engine.lead import Lead
from habeat.engine.verdicts import Verdicts
from habeat.ports import Claim, DispatchStore


class AtomicClaims:
    """Claims batches; the claim carries the message."""

    def __init__(self, store: DispatchStore, verdicts: Verdicts) -> None:
        self._store = store
        self._verdicts = verdicts

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Claim and enqueue; False if some must be planned again."""
        reply = lead.call(lambda token, ttl: self._store.claim(token, ttl, batch, atomic=True))
        complete = True
        for claim, word in zip(batch, reply.words, strict=True):
            complete &= word == "ok" or self._verdicts.judge(lead, claim, word, reply.now_us)
        return complete
