"""From planned firings to claims, in batches that leave by one way.

A firing rendered to Redis commands leaves by the atomic claim, any other by the outbox. Within
one entry the order of slots is kept: batches go out in the order in which they were rendered.
A firing that may be sent at most once is claimed alone, directly before its publish, so that a
polite stop loses none.
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

#: So that no call keeps the server busy for 2 ms: a claim takes a busy core 50 microseconds and
#: more. A larger batch would hardly save anything, and its first message is seen with its last.
ATOMIC_BATCH = 20
OUTBOX_BATCH = 50
#: What a turn has not sent by then is left for the next: a tick shall end within a second or so,
#: that a replica can say that it lives and a stop is heard, however long the backlog is.
TURN_MS = 1_000
#: A batch that takes longer to build is claimed as far as it has come: its first messages are due.
BATCH_US = 100_000


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What became of planned firings: how many were claimed or refused, and what is left to do.

    Not `complete`: some must be planned again. `unfinished`: some are left for the next turn.
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
        self,
        renderer: Renderer,
        atomic: AtomicClaims,
        outbox: OutboxClaims,
        sender: Sender,
    ) -> None:
        self._renderer = renderer
        self._atomic = atomic
        self._outbox = outbox
        self._sender = sender

    def send(self, lead: Lead, *parts: Iterable[PlannedFiring]) -> Dispatched:
        """Claim all firings, or as many as one turn can. BrokerUnavailable.

        Nothing of a part is built before the part before it has left.
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
        """Wait for what is under way; False if some must be planned again."""
        complete = self._atomic.finish(lead)
        complete &= self._outbox.finish(lead)
        self._sender.settle(lead)
        return complete

    def drop(self, lead: Lead) -> None:
        """At the end, however it came: nothing stays under way."""
        self._atomic.drop(lead)
        self._outbox.drop(lead)
        self._sender.settle(lead)

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Claim a batch that leaves by one way; False if some must be planned again."""
        if batch[0].rendered.commands:
            complete = self._outbox.finish(lead)
            return self._atomic.claim(lead, batch) and complete
        complete = self._atomic.finish(lead)
        return self._outbox.claim(lead, batch) and complete


def batches(claims: Iterable[Claim], lead: Lead) -> Iterator[list[Claim]]:
    """Runs of claims that leave together, none longer than their way of leaving bears.

    What has been rendered is claimed at once when trust gets short: a batch that takes longer
    to render than the lease is trusted would never leave. The same when one message took long, so
    that the others do not wait for more of its kind.
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
    atomic = bool(claim.rendered.commands)
    if atomic != bool(first.rendered.commands):
        return False
    alone = Delivery.AT_MOST_ONCE in (claim.delivery, first.delivery)
    return len(batch) < ATOMIC_BATCH if atomic else not alone and len(batch) < OUTBOX_BATCH
