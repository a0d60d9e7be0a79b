"""Turns planned firings into batches of claims, each for one of the two dispatches.

A firing that is rendered to Redis commands goes through the atomic claim, as does one of a shadow,
whose claim only records it. Any other firing goes through the outbox. Batches are sent in the order
in which they were rendered, so the slots of one entry stay in order. In the outbox, an at-most-once
firing is claimed alone, directly before it is published, so that a graceful stop loses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from habeat.core.entry import Delivery
from habeat.engine.atomic import AtomicClaims
from habeat.engine.fenced import Lead
from habeat.engine.outbox import OutboxClaims, Sender
from habeat.engine.planning import PlannedFiring
from habeat.engine.rendering import Renderer
from habeat.ports import Claim

#: Keeps each call under 2 ms of the server's time: a claim takes 50 µs or more on a busy core.
#: Larger batches would save little, and no message of a batch is visible before its last one.
ATOMIC_BATCH = 20
OUTBOX_BATCH = 50
#: After this, the rest waits for the next tick. However long the backlog, a tick must end within
#: about a second, so that the replica can report that it is alive and notice a stop.
TURN_MS = 1_000
#: A batch that takes longer to build is claimed as far as it is built: its first messages are due.
BATCH_US = 100_000


@dataclass(frozen=True, slots=True)
class Dispatched:
    """The result of sending planned firings.

    `count` firings were claimed or refused. If not `complete`, some must be planned again. If
    `unfinished`, some are left for the next tick.
    """

    count: int = 0
    complete: bool = True
    unfinished: bool = False

    def __and__(self, other: Dispatched) -> Dispatched:
        return Dispatched(
            self.count + other.count,
            self.complete and other.complete,
            self.unfinished or other.unfinished,
        )


class Dispatch:
    """Sends planned firings."""

    def __init__(
        self, renderer: Renderer, atomic: AtomicClaims, outbox: OutboxClaims, sender: Sender
    ) -> None:
        self._renderer = renderer
        self._atomic = atomic
        self._outbox = outbox
        self._sender = sender

    def send(self, lead: Lead, *parts: Iterable[PlannedFiring]) -> Dispatched:
        """Send all firings, or as many as fit into one tick. BrokerUnavailable.

        No message of a part is built before the previous part has been sent.
        """
        sent = Dispatched()
        for firings in parts:
            if not sent.unfinished:
                sent &= self._send(lead, firings)
        return sent

    def _send(self, lead: Lead, firings: Iterable[PlannedFiring]) -> Dispatched:
        count, complete, unfinished = 0, True, False
        ends_ms = lead.now_ms() + TURN_MS
        try:
            for batch in batches(self._renderer.claims(lead, firings), lead):
                if not lead.may_go_on():
                    complete = False
                    break
                complete &= self.claim(lead, batch)
                count += len(batch)
                if lead.now_ms() >= ends_ms:
                    unfinished = True
                    break
            complete &= self.finish(lead)
        finally:
            self.drop(lead)
        return Dispatched(count, complete, unfinished)

    def finish(self, lead: Lead) -> bool:
        """Wait for everything under way; False if some firings must be planned again."""
        complete = self._atomic.finish(lead)
        complete &= self._outbox.finish(lead)
        self._sender.settle(lead)
        return complete

    def drop(self, lead: Lead) -> None:
        """Clean up after success or failure: nothing stays under way."""
        self._atomic.drop(lead)
        self._outbox.drop(lead)
        self._sender.settle(lead)

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Claim a batch of one dispatch; False if some firings must be planned again."""
        # What is under way by the other dispatch finishes first: an entry's slots stay in order.
        if batch[0].rendered.ends_with_claim:
            complete = self._outbox.finish(lead)
            return self._atomic.claim(lead, batch) and complete
        complete = self._atomic.finish(lead)
        return self._outbox.claim(lead, batch) and complete


def batches(claims: Iterable[Claim], lead: Lead) -> Iterator[list[Claim]]:
    """Group claims into batches of one dispatch, no longer than that dispatch allows.

    A batch is cut short when the trust in the lease is half over: a batch that took longer to
    render than the lease is trusted could never be sent. It is also cut when rendering was slow, so
    that finished messages do not wait for more slow ones.
    """
    batch: list[Claim] = []
    began_us = lead.monotonic_us()
    for claim in claims:
        if batch and not _goes_with(claim, batch):
            yield batch
            batch = []
        batch.append(claim)
        is_slow = lead.monotonic_us() - began_us > BATCH_US
        if is_slow or lead.trust_left_ms() < lead.ttl_ms // 2:
            yield batch
            batch = []
        if not batch:
            began_us = lead.monotonic_us()
    if batch:
        yield batch


def _goes_with(claim: Claim, batch: list[Claim]) -> bool:
    first = batch[0]
    atomic = claim.rendered.ends_with_claim
    if atomic != first.rendered.ends_with_claim:
        return False
    # Atomic claims have nothing in flight that a stop could lose, so they need no such exception.
    alone = Delivery.AT_MOST_ONCE in (claim.delivery, first.delivery)
    return len(batch) < ATOMIC_BATCH if atomic else not alone and len(batch) < OUTBOX_BATCH
