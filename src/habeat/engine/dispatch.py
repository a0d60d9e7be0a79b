"""From planned firings to claims, in batches that leave by one way.

A firing rendered to Redis commands leaves by the atomic claim, any other by the outbox. Within
one entry the order of slots is kept: batches go out in the order in which they were rendered.
A firing that may be sent at most once is claimed alone, directly before its publish, so that a
polite stop loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from habeat.core.entry import Delivery
from habeat.engine.atomic import AtomicClaims
from habeat.engine.lead import Lead
from habeat.engine.outbox import OutboxClaims, Sender
from habeat.engine.planning import PlannedFiring
from habeat.engine.render import Renderer
from habeat.ports import Claim

ATOMIC_BATCH = 100
OUTBOX_BATCH = 50


class Dispatch:
    """Sends planned firings."""

    def __init__(
        self, renderer: Renderer, atomic: AtomicClaims, outbox: OutboxClaims, sender: Sender
    ) -> None:
        self._renderer = renderer
        self._atomic = atomic
        self._outbox = outbox
        self._sender = sender

    def send(self, lead: Lead, firings: Sequence[PlannedFiring]) -> bool:
        """Claim all firings; False if some must be planned again. BrokerUnavailable."""
        complete = True
        try:
            for batch in batches(self._renderer.claims(lead, firings), partial(_is_late, lead)):
                if not lead.may_go_on():
                    return False
                if batch[0].rendered.commands:
                    complete &= self._atomic.claim(lead, batch)
                else:
                    self._sender.ready(lead)
                    complete &= self._outbox.claim(lead, batch)
        finally:
            self._sender.settle(lead)
        return complete


def batches(claims: Iterable[Claim], late: Callable[[], bool]) -> Iterator[list[Claim]]:
    """Runs of claims that leave by the same way, none longer than that way bears.

    What has been rendered is claimed at once when it gets `late`: a batch that takes longer to
    render than the lease is trusted would never leave.
    """
    batch: list[Claim] = []
    for claim in claims:
        if batch and not _goes_with(claim, batch):
            yield batch
            batch = []
        batch.append(claim)
        if late():
            yield batch
            batch = []
    if batch:
        yield batch


def _is_late(lead: Lead) -> bool:
    return lead.trust_left_ms() < lead.ttl_ms // 2


def _goes_with(claim: Claim, batch: Sequence[Claim]) -> bool:
    first = batch[0]
    atomic = bool(claim.rendered.commands)
    if atomic != bool(first.rendered.commands):
        return False
    alone = Delivery.AT_MOST_ONCE in (claim.delivery, first.delivery)
    return len(batch) < ATOMIC_BATCH if atomic else not alone and len(batch) < OUTBOX_BATCH
