"""The atomic dispatch: schedule and broker are one Redis, one script claims and enqueues.

The script answers for each firing of a batch. Nothing is in flight between two batches, so
there is nothing to recover, and a leader that lost its lease finds that its whole batch was
refused. The lost reply of a claim needs no care: the next tick reads the cursors, and they have
moved.

A batch is sent before the answer to the one before is read: while Redis works on one, the next
is rendered and packed, and the server waits for us half as often. Two batches at most are under
way, to a far server five (Redis may run them all before it answers the first), and the trust in the
lease is anchored to the moment each was sent. They travel by connections of their own, so a later
one may arrive first; where both have firings of the same entry, those of the later one are then
refused, and planned again.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from habeat.engine.circuits import Circuits
from habeat.engine.claim_results import ClaimResults
from habeat.engine.election import Attempt, HistoryLost
from habeat.engine.fenced import Lead
from habeat.ports import Behind, Claim, DispatchStore, PendingCall, Statuses, Unfenced

MOST_UNDER_WAY, MOST_FAR_UNDER_WAY = 2, 5
#: A batch for which nothing waits and that takes longer than this spends most of it on the way.
FAR_US = 5_000


@dataclass(frozen=True, slots=True)
class _UnderWay:
    batch: Sequence[Claim]
    claiming: PendingCall[Statuses | Unfenced]
    attempt: Attempt
    began_us: int
    alone: bool


class AtomicClaims:
    """Claims batches; the claim carries the message."""

    def __init__(
        self, store: DispatchStore, claim_results: ClaimResults, circuits: Circuits
    ) -> None:
        self._circuits = circuits
        self._store = store
        self._claim_results = claim_results
        self._under_way: deque[_UnderWay] = deque()
        #: How long a batch took that was sent while no other was under way.
        self._took_us = 0

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Send a batch; False if some of the ones *before* must be planned again."""
        complete = True
        while self._under_way and self._under_way[0].claiming.has_come():
            complete &= self._read(lead)  # if the sending fails, all connections are closed
        attempt, began_us, alone = lead.attempt(), lead.monotonic_us(), not self._under_way
        claiming = self._store.send_claim(attempt.fence, batch, atomic=True)
        self._under_way.append(_UnderWay(batch, claiming, attempt, began_us, alone))
        most = MOST_UNDER_WAY if self._took_us < FAR_US else MOST_FAR_UNDER_WAY
        while len(self._under_way) >= most:
            complete &= self._read(lead)
        return complete

    def finish(self, lead: Lead) -> bool:
        """Read the answers that are still out; False if some must be planned again."""
        complete = True
        while self._under_way:
            complete &= self._read(lead)
        return complete

    def _read(self, lead: Lead) -> bool:
        sent = self._under_way.popleft()
        reply = lead.concluded(sent.claiming.result(), sent.attempt)
        if sent.alone:
            self._took_us = lead.monotonic_us() - sent.began_us
        complete = True
        for claim, word in zip(sent.batch, reply.words, strict=True):
            if word == "ok":
                self._circuits.sent(claim.firing.entry)
            if word != "ok" or self._claim_results.any_failed:
                complete &= self._claim_results.judge(lead, claim, word, reply.now_us)
        return complete

    def drop(self, lead: Lead) -> None:
        """Something failed meanwhile: nobody waits for answers; the cursors tell what they were.

        What has come already is heard: it may tell of a loss of data.
        """
        while self._under_way:
            sent = self._under_way.popleft()
            reply = sent.claiming.drop()
            if isinstance(reply, Statuses | Behind):
                with contextlib.suppress(HistoryLost):  # remembered; the turn is over anyway
                    lead.concluded(reply, sent.attempt)
