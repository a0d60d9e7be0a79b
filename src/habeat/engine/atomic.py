"""The atomic dispatch: schedule and broker are one Redis, one script claims and enqueues.

The script answers for each firing of a batch. Nothing is in flight between two batches, so
there is nothing to recover, and a leader that lost its lease finds that its whole batch was
refused. The lost reply of a claim needs no care: the next tick reads the cursors, and they have
moved.

A batch is sent before the answer to the one before has been waited for by anybody: while Redis
works on it the next one is rendered, and its answer is read just before that one is sent. One
batch at most is under way, and the trust in the lease is anchored to the moment it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from habeat.engine.lead import Lead
from habeat.engine.verdicts import Verdicts
from habeat.ports import Claim, DispatchStore, Lost, Sent, Statuses


@dataclass(frozen=True, slots=True)
class _UnderWay:
    batch: Sequence[Claim]
    claiming: Sent[Statuses | Lost]
    attempt_ms: int


class AtomicClaims:
    """Claims batches; the claim carries the message."""

    def __init__(self, store: DispatchStore, verdicts: Verdicts) -> None:
        self._store = store
        self._verdicts = verdicts
        self._under_way: _UnderWay | None = None

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Send a batch; False if some of the one *before* must be planned again."""
        complete = self.finish(lead)
        token, attempt_ms = lead.attempt()
        claiming = self._store.send_claim(token, lead.ttl_ms, batch)
        self._under_way = _UnderWay(batch, claiming, attempt_ms)
        return complete

    def finish(self, lead: Lead) -> bool:
        """Read the answer that is still out; False if some must be planned again."""
        sent, self._under_way = self._under_way, None
        if sent is None:
            return True
        reply = lead.concluded(sent.claiming.result(), sent.attempt_ms, 1)
        complete = True
        for claim, word in zip(sent.batch, reply.words, strict=True):
            if word != "ok":
                complete &= self._verdicts.judge(lead, claim, word, reply.now_us)
        return complete

    def drop(self) -> None:
        """Something failed meanwhile: nobody reads the answer; the cursors tell what it was."""
        sent, self._under_way = self._under_way, None
        if sent is not None:
            sent.claiming.drop()
