"""The outbox dispatch, for every broker that is not the schedule's own Redis.

    render ─ claim (the intent is kept, with its message) ─ publish ─ taken ─ settle

What happens when each step fails:

render       the entry waits or ends as failed (render.py); nothing was claimed.
claim        refused: somebody else's slot, or the plan is stale. Reply lost: the intent is in
             flight, and is recovered with the same task id.
publish      the intent stays in flight. Nothing more is claimed until the broker answers again.
taken        the broker's confirmation, where it sends one. None came, or it was lost: the same.
settle       not fenced, for a publish is a fact. Reply lost or process killed: the intent is
             resent with the same task id by whoever recovers it: this is the duplicate that
             at-least-once allows, and all that a crash can make.

The broker's confirmation of a message is waited for when the next one has been handed over, then
its settling is sent, whose answer is read later still: broker and Redis work while the next message
is made ready. So a crash has at most two messages to repeat, which had been handed over and whose
settling had not been sent, and no message waits for another's settling.

Before each publish the trust window is looked at; the publish must end inside it. Where less is
left than a publish may take, the lease is renewed first. A firing that may be sent at most once
is claimed alone, directly before its publish, and a stop waits for it: none is lost by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from habeat.core.entry import Delivery
from habeat.engine.lead import Lead
from habeat.engine.reporting import Once
from habeat.engine.verdicts import Verdicts
from habeat.ports import (
    Claim,
    Departed,
    DispatchStore,
    Handed,
    Publisher,
    PublishRefused,
    PublishUnknown,
    Sent,
)

#: Below this much trust a message is not begun.
LEAST_TRUST_MS = 50


@dataclass(frozen=True, slots=True)
class _Unconfirmed:
    handed: Handed
    entry: str
    identity: str
    attempt: int


class Sender:
    """Hands messages to the broker inside the trust window, and settles what has left."""

    def __init__(self, store: DispatchStore, publisher: Publisher, timeout_ms: int) -> None:
        self._store = store
        self._publisher = publisher
        self._timeout_ms = timeout_ms
        self._unconfirmed: _Unconfirmed | None = None
        self._departed: list[Departed] = []
        self._settling: Sent[int] | None = None
        #: How many of the departed are in the question that is out.
        self._asked = 0
        self._refused = Once()

    def ready(self, lead: Lead) -> None:
        """Make sure of the broker before anything is claimed; BrokerUnavailable.

        What was handed over last is waited for: building the next messages takes its time, and
        one of them may go its own way, over a connection that it can lose.
        """
        self._confirm_last(lead)
        self._renew_if_short(lead)
        self._publisher.connect(min(self._timeout_ms, lead.spare_ms()))

    def send(self, lead: Lead, entry: str, identity: str, envelope: bytes, attempt: int) -> bool:
        """Publish one message; False if the trust left does not suffice.

        One that the broker refuses stays in flight; recovery tries it again, up to the cap.
        """
        self._renew_if_short(lead)
        spare_ms = lead.spare_ms()
        if spare_ms < LEAST_TRUST_MS:
            return False
        before = self._unconfirmed
        try:
            handed = self._publisher.publish(envelope, attempt, min(self._timeout_ms, spare_ms))
        except PublishRefused as error:
            self._tell(entry, error)
            return True
        self._unconfirmed = (
            None if handed is None else _Unconfirmed(handed, entry, identity, attempt)
        )
        try:
            if before is not None:
                self._await(lead, before)
        finally:
            if handed is None:
                self._left(lead, entry, identity, attempt)
        return True

    def _await(self, lead: Lead, message: _Unconfirmed) -> None:
        """Until the broker has this message; a broker that hangs must not cost the lease."""
        spare_ms = max(LEAST_TRUST_MS, lead.spare_ms())
        try:
            message.handed.taken(min(self._timeout_ms, spare_ms))
        except PublishRefused as error:
            self._tell(message.entry, error)
        else:
            self._left(lead, message.entry, message.identity, message.attempt)

    def _left(self, lead: Lead, entry: str, identity: str, attempt: int) -> None:
        """The broker has it: have it settled."""
        self._refused.over(entry)
        self._departed.append(Departed(entry, identity, lead.now_ms(), attempt))
        self._heard()
        self._settling = self._store.send_settle(lead.last_token, self._departed)
        self._asked = len(self._departed)

    def _tell(self, entry: str, error: PublishRefused) -> None:
        if isinstance(error, PublishUnknown):
            text = "habeat: whether a message of entry %r was taken is not known: %s"
            self._refused.error(entry, text, entry, error)
            return
        self._refused.error(entry, "habeat: the broker refuses entry %r: %s", entry, error)

    def settle(self, lead: Lead) -> None:
        """Record what has left so far; kept for the next try if Redis does not answer.

        BrokerUnavailable if the broker does not confirm the last one: it stays in flight.
        """
        try:
            self._confirm_last(lead)
        finally:
            self._heard()
            if self._departed:
                self._store.settle(lead.last_token, self._departed)
                self._departed = []

    def _confirm_last(self, lead: Lead) -> None:
        last, self._unconfirmed = self._unconfirmed, None
        if last is not None:
            self._await(lead, last)

    def _heard(self) -> None:
        """Read the answer that is out; what it settled is done with, once it has come."""
        settling, self._settling = self._settling, None
        if settling is not None:
            settling.result()
            del self._departed[: self._asked]

    def _renew_if_short(self, lead: Lead) -> None:
        if lead.trust_left_ms() < min(self._timeout_ms, lead.ttl_ms // 2):
            lead.call(lambda fence: self._store.tick(fence, 0))


class OutboxClaims:
    """Claims batches and publishes what was claimed."""

    def __init__(self, store: DispatchStore, sender: Sender, verdicts: Verdicts) -> None:
        self._store = store
        self._sender = sender
        self._verdicts = verdicts

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Claim and publish; False if some must be planned again.

        Raises BrokerUnavailable with nothing claimed that is not kept as an intent.
        """
        reply = lead.call(lambda fence: self._store.claim(fence, batch, atomic=False))
        complete = True
        for claim, word in zip(batch, reply.words, strict=True):
            if word in ("ok", "mine inflight"):
                firing = claim.firing
                once = claim.delivery == Delivery.AT_MOST_ONCE
                complete &= (once or not lead.stopping()) and self._sender.send(
                    lead, firing.entry, firing.identity, claim.rendered.envelope, 1
                )
            else:
                complete &= self._verdicts.judge(lead, claim, word, reply.now_us)
        return complete
