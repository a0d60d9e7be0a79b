"""Atomic dispatch: schedule and broker are the same Redis, and one script claims and enqueues.

The script returns a status for each firing of a batch. No firing is ever in flight, so there is
nothing to recover. If the leader has lost its lease, the script refuses the whole batch. If the
reply to a claim is lost, nothing has to be done: the next tick reads the cursors, which show
whether the claim ran.

Each batch is sent before the reply to the previous one is read. While Redis runs one batch, the
next is rendered and packed, so Redis waits for us half as often. At most two batches are under
way, or five if the server is far away; Redis may run all of them before its first reply arrives.
Each reply extends the trust in the lease from the moment its own batch was sent.

Each batch uses its own connection, so a later batch may reach Redis before an earlier one. If both
contain firings of the same entry, the script refuses those in the later batch, and they are
planned again.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from habeat.engine.circuits import Circuits
from habeat.engine.claim_results import ClaimResults
from habeat.engine.election import Attempt, DataLost
from habeat.engine.fenced import Lead
from habeat.ports import Behind, Claim, DispatchStore, PendingCall, Statuses, Unfenced

MOST_UNDER_WAY, MOST_FAR_UNDER_WAY = 2, 5
#: If a batch that is alone under way takes longer than this, most of the time is spent on the
#: network: the server is far away.
FAR_US = 5_000


@dataclass(frozen=True, slots=True)
class _UnderWay:
    batch: Sequence[Claim]
    claiming: PendingCall[Statuses | Unfenced]
    attempt: Attempt
    began_us: int
    alone: bool


class AtomicClaims:
    """Claims batches of firings; each claim carries its message."""

    def __init__(
        self, store: DispatchStore, claim_results: ClaimResults, circuits: Circuits
    ) -> None:
        self._circuits = circuits
        self._store = store
        self._claim_results = claim_results
        self._under_way: deque[_UnderWay] = deque()
        #: Round trip of the last batch that was alone under way.
        self._took_us = 0

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Send a batch; False if firings of *earlier* batches must be planned again."""
        complete = True
        while self._under_way and self._under_way[0].claiming.has_come():
            # Read first: if sending fails, all connections are closed, this one too.
            complete &= self._read(lead)
        attempt, began_us, alone = lead.attempt(), lead.monotonic_us(), not self._under_way
        claiming = self._store.send_claim(attempt.fence, batch, atomic=True)
        self._under_way.append(_UnderWay(batch, claiming, attempt, began_us, alone))
        most = MOST_UNDER_WAY if self._took_us < FAR_US else MOST_FAR_UNDER_WAY
        while len(self._under_way) >= most:
            complete &= self._read(lead)
        return complete

    def finish(self, lead: Lead) -> bool:
        """Read all outstanding replies; False if some firings must be planned again."""
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
                self._claim_results.due_task_log.sent(claim, reply.now_us)
            # An accepted claim is judged only if it may end the failure of its entry.
            if word != "ok" or self._claim_results.any_failed:
                complete &= self._claim_results.judge(lead, claim, word, reply.now_us)
        return complete

    def drop(self, lead: Lead) -> None:
        """After a failure: stop waiting for replies. The cursors will show which claims ran.

        Replies that have already arrived are still read, because they may report a loss of data.
        """
        self._claim_results.due_task_log.sum_up()
        while self._under_way:
            sent = self._under_way.popleft()
            reply = sent.claiming.drop()
            if isinstance(reply, Statuses | Behind):
                # The election remembers the loss, and this tick is ending anyway.
                with contextlib.suppress(DataLost):
                    lead.concluded(reply, sent.attempt)
