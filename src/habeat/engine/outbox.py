"""The outbox dispatch, for every broker that is not the schedule's own Redis.

    render ─ claim (the intent is kept, with its message) ─ publish ─ settle

What happens when each step fails:

render       the entry waits or ends as failed (render.py); nothing was claimed.
claim        refused: somebody else's slot, or the plan is stale. Reply lost: the intent is in
             flight, and is recovered with the same task id.
publish      the intent stays in flight. Nothing more is claimed until the broker answers again.
settle       not fenced, for a publish is a fact. Reply lost or process killed: the intent is
             resent with the same task id by whoever recovers it: this is the duplicate that
             at-least-once allows, and all that a crash can make.

Before each publish the trust window is looked at; the publish must end inside it. Where less is
left than a publish may take, the lease is renewed first. A firing that may be sent at most once
is claimed alone, directly before its publish, so that a polite stop loses none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from habeat.core.entry import Delivery
from habeat.core.lease import Token
from habeat.engine.lead import Lead
from habeat.engine.planning import PlannedFiring
from habeat.engine.render import Renderer
from habeat.engine.reporting import Once
from habeat.ports import (
    Claim,
    Departed,
    DispatchStore,
    DueEntry,
    Intent,
    Publisher,
    PublishRefused,
    StoreUnavailable,
)

log = logging.getLogger("habeat")

CLAIM_BATCH = 50
SETTLE_BATCH = 10
RECOVER_BATCH = 100
RECOVER_PAUSE_MS = 1_000
ATTEMPTS_CAP = 10
#: Below this much trust a message is not begun.
LEAST_TRUST_MS = 50


class Sender:
    """Hands messages to the broker inside the trust window, and settles what has left."""

    def __init__(self, store: DispatchStore, publisher: Publisher, timeout_ms: int) -> None:
        self._store = store
        self._publisher = publisher
        self._timeout_ms = timeout_ms
        self._departed: list[Departed] = []
        self._refused = Once()

    def ready(self, lead: Lead) -> None:
        """Make sure of the broker before anything is claimed; BrokerUnavailable."""
        self._renew_if_short(lead)
        self._publisher.connect(min(self._timeout_ms, lead.trust_left_ms()))

    def send(self, lead: Lead, entry: str, slot_ms: int, envelope: bytes, attempt: int) -> bool:
        """Publish one message; False if the trust left does not suffice.

        One that the broker refuses stays in flight; recovery tries it again, up to the cap.
        """
        self._renew_if_short(lead)
        left_ms = lead.trust_left_ms()
        if left_ms < LEAST_TRUST_MS:
            return False
        try:
            self._publisher.publish(envelope, attempt, min(self._timeout_ms, left_ms))
        except PublishRefused as error:
            self._refused.error(entry, "habeat: the broker refuses entry %r: %s", entry, error)
            return True
        self._refused.over(entry)
        self._departed.append(Departed(entry, slot_ms, lead.now_ms(), attempt))
        if len(self._departed) >= SETTLE_BATCH:
            self.settle(lead)
        return True

    def settle(self, lead: Lead) -> None:
        """Record what has left so far; kept for the next try if Redis does not answer."""
        if self._departed:
            self._store.settle(lead.last_token, self._departed)
            self._departed = []

    def _renew_if_short(self, lead: Lead) -> None:
        if lead.trust_left_ms() < min(self._timeout_ms, lead.ttl_ms // 2):
            lead.call(lambda token, ttl: self._store.tick(token, ttl, 0, 0))


class OutboxDispatch:
    """Sends planned firings by claim, publish, settle."""

    def __init__(self, store: DispatchStore, renderer: Renderer, sender: Sender) -> None:
        self._store = store
        self._renderer = renderer
        self._sender = sender
        self._refused = Once()

    def send(self, lead: Lead, firings: Sequence[PlannedFiring]) -> bool:
        """Claim and publish all firings; False if some must be planned again.

        Raises BrokerUnavailable with nothing claimed that is not kept as an intent.
        """
        if not firings:
            return True
        self._sender.ready(lead)
        complete = True
        try:
            for batch in _batches(self._renderer.claims(lead, firings)):
                if not lead.may_go_on():
                    return False
                complete &= self._send_batch(lead, batch)
        finally:
            self._sender.settle(lead)
        return complete

    def _send_batch(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        reply = lead.call(
            lambda token, ttl: self._store.claim(token, ttl, batch, atomic=False)
        )
        complete = True
        for claim, word in zip(batch, reply.words, strict=True):
            if word == "ok" or word == "mine inflight":
                firing = claim.firing
                complete &= not lead.stopping() and self._sender.send(
                    lead, firing.entry, firing.slot_ms, claim.rendered.envelope, 1
                )
            else:
                complete &= self._judge(lead, claim, word, reply.now_us)
        return complete

    def _judge(self, lead: Lead, claim: Claim, word: str, now_us: int) -> bool:
        if "OOM" in word:
            raise StoreUnavailable("out_of_memory", word)
        if word.startswith("error "):
            name = claim.firing.entry
            self._refused.error(name, "habeat: entry %r was refused by Redis: %s", name, word)
            due = DueEntry(name, claim.planned_due_ms, claim.digest, claim.cursor_ms)
            until_ms = lead.now_ms() + 1_000
            lead.call(lambda token, ttl: self._store.defer(token, ttl, due, until_ms))
        if word == "early":
            lead.anchor(now_us)
        return word in ("duplicate", "mine settled")


class Recovery:
    """Resends intents whose messages may not have left, our own stale ones included.

    At once under a new lease, then at most once a second: an intent that the broker refuses
    must not use up its attempts within a few busy ticks.
    """

    def __init__(self, store: DispatchStore, sender: Sender) -> None:
        self._store = store
        self._sender = sender
        self._under: Token | None = None
        self._again_ms = 0

    def run(self, lead: Lead) -> int:
        """Resend a batch if it is time; returns the instant (Redis, ms) of the next try.

        What has left and could not be settled is settled first, or it would be resent.
        """
        self._sender.settle(lead)
        now_ms = lead.now_ms()
        if lead.token == self._under and now_ms < self._again_ms:
            return self._again_ms
        self._under, self._again_ms = lead.token, now_ms + RECOVER_PAUSE_MS
        found = lead.call(
            lambda token, ttl: self._store.recover(token, ttl, RECOVER_BATCH)
        )
        if found.intents:
            self._resend_all(lead, found.intents)
        if len(found.intents) == RECOVER_BATCH:
            self._again_ms = now_ms
        elif found.wait_until_ms is not None:
            self._again_ms = min(self._again_ms, found.wait_until_ms)
        return self._again_ms

    def _resend_all(self, lead: Lead, intents: Sequence[Intent]) -> None:
        self._sender.ready(lead)
        try:
            for intent in intents:
                if not lead.may_go_on():
                    break
                self._resend(lead, intent)
        finally:
            self._sender.settle(lead)

    def _resend(self, lead: Lead, intent: Intent) -> None:
        bury = "at most once" if intent.delivery == Delivery.AT_MOST_ONCE else ""
        attempt = lead.call(
            lambda token, ttl: self._store.mark(token, ttl, intent, ATTEMPTS_CAP, bury)
        )
        if attempt is None:
            log.error(
                "habeat: the firing %s of %r was given up and is kept in :dead%s",
                intent.slot_ms,
                intent.entry,
                ": it may not be repeated" if bury else "",
            )
            return
        self._sender.send(lead, intent.entry, intent.slot_ms, intent.envelope, attempt)


def _batches(claims: Iterator[Claim]) -> Iterator[list[Claim]]:
    """Batches of claims; one that may be sent at most once stands alone."""
    batch: list[Claim] = []
    for claim in claims:
        alone = claim.delivery == Delivery.AT_MOST_ONCE
        if batch and (alone or len(batch) >= CLAIM_BATCH):
            yield batch
            batch = []
        batch.append(claim)
        if alone:
            yield batch
            batch = []
    if batch:
        yield batch

