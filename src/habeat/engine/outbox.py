"""The outbox dispatch, for every broker that is not the schedule's own Redis.

    render ─ claim (the intent is kept, with its message) ─ publish ─ taken ─ settle

What happens when each step fails:

render       the entry waits or ends as failed (render.py); nothing was claimed.
claim        refused: somebody else's slot, or the plan is stale. Reply lost: the intent is in
             flight, and is recovered with the same task id.
publish      each message has an answer of its own. One that is refused stays in flight by itself,
             and the rest of its packet goes on. If the connection fails, what was answered
             before is settled, and all else stays in flight. Nothing more is claimed until the
             broker answers again.
taken        the broker's word that it has a message. None came, or it was lost: the same.
settle       not fenced, for a publish is a fact. Reply lost or process killed: the intent is
             resent with the same task id by whoever recovers it: this is the duplicate that
             at-least-once allows, and all that a crash can make.

**The window.** Messages that were handed to the broker and whose settling has not been sent are
in the window, and they are what a crash may repeat. It follows the backlog:

- While little is due (`LITTLE` messages or fewer wait) a packet is one message, and its settling
  is sent before the next one leaves. Where the broker confirms later (RabbitMQ) two packets are
  under way: the next message leaves while the one before awaits its confirmation.
- In a burst a packet is half of what waits, up to `habeat_outbox_window` messages (half of that
  where two packets are under way) and `PACKET_BYTES`. Its answers are read together, and what the
  broker has taken is settled with one call.

So a crash repeats at most `habeat_outbox_window` messages (50), and one (RabbitMQ: two) while
little is due; each keeps its task id. The repeats that a crash makes possible at each point:

after a claim, before its packet     none: those messages have not left, and leave late
while a packet is being written      the part of the packet that reached the broker
before a packet's settling is sent   all of the packet; where two are under way, of both
after that                           none, unless Redis never gets the call

The claims of the next batch are sent before the present one is published, so Redis works while
the broker does. A claimed message whose process dies before its packet leaves is sent late, by the
heir, and once. When the broker fails, at most one further batch is claimed already.

Before each packet the trust window is looked at; the packet must end inside it. Where less is
left than a packet may take, the lease is renewed first. A stop lets the packets under way finish,
has them settled, and leaves what was claimed to the heir. A firing that may be sent at most once
is claimed alone, with nothing else under way, directly before its publish, and a stop waits for
it: none is lost by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from habeat.core.entry import Delivery
from habeat.engine.building import Building
from habeat.engine.circuits import Circuits
from habeat.engine.claim_results import ClaimResults
from habeat.engine.election import Attempt
from habeat.engine.fenced import Lead
from habeat.engine.trouble_log import TroubleLog
from habeat.ports import (
    Answered,
    BrokerUnavailable,
    Claim,
    Departed,
    DispatchStore,
    Handed,
    Parcel,
    PendingCall,
    Publisher,
    PublishRefused,
    PublishUnknown,
    Statuses,
    Unfenced,
)

#: Below this much trust a packet is not begun.
LEAST_TRUST_MS = 50
#: As long as no more messages than this wait, each leaves by itself.
LITTLE = 10
#: A packet is cut at this size: writing it must not take long.
PACKET_BYTES = 256 * 1024
#: So that no settling keeps the server busy for 2 ms.
SETTLE_BATCH = 50


@dataclass(frozen=True, slots=True)
class _Packet:
    parcels: Sequence[Parcel]
    handed: Handed


class Sender:
    """Hands messages to the broker inside the trust window, and settles what has left."""

    def __init__(
        self,
        store: DispatchStore,
        publisher: Publisher,
        timeout_ms: int,
        window: int,
        circuits: Circuits,
        building: Building,
    ) -> None:
        self._circuits = circuits
        self._building = building
        self._store = store
        self._publisher = publisher
        self._timeout_ms = timeout_ms
        self._window = window
        self._departed: list[Departed] = []
        self._settling: PendingCall[int] | None = None
        #: How many of the departed are in the question that is out.
        self._asked = 0
        self._refused = TroubleLog()

    def ready(self, lead: Lead) -> None:
        """Make sure of the broker before anything is claimed; BrokerUnavailable."""
        self._renew_if_short(lead)
        self._publisher.connect(min(self._timeout_ms, lead.spare_ms()))

    def send(self, lead: Lead, parcels: Sequence[Parcel], behind: int = 0) -> int:
        """Publish these messages; how many of them were begun, before a stop or for want of trust.

        `behind` is how many more wait after them. Of what was begun, what the broker has taken is
        settled or about to be; the rest stays in flight. A stop does not hold up the first packet.
        BrokerUnavailable, when all that is known has been noted.
        """
        most = min(self._publisher.packets, self._window)
        size = self._size(len(parcels) + behind, most)
        under_way: deque[_Packet] = deque()
        trouble: BrokerUnavailable | None = None
        begun = 0
        try:
            while begun < len(parcels) and trouble is None and not (begun and lead.stopping()):
                packet = _packet(parcels[begun : begun + size])
                handed = self._hand_over(lead, packet)
                if handed is None:
                    break
                begun += len(packet)
                under_way.append(_Packet(packet, handed))
                if len(under_way) == most:
                    trouble = self._take(lead, under_way.popleft())
                    self._settle_soon(lead)
        finally:
            while under_way:
                trouble = self._take(lead, under_way.popleft()) or trouble
        self._settle_soon(lead)
        if trouble is not None:
            raise trouble
        return begun

    def _size(self, waiting: int, most: int) -> int:
        """How many messages may leave together, where so many packets are under way at most."""
        if waiting <= LITTLE:
            return 1
        return max(1, min(self._window // most, waiting // 2))

    def _hand_over(self, lead: Lead, packet: Sequence[Parcel]) -> Handed | None:
        """Give a packet to the broker; None if the trust left does not suffice."""
        self._renew_if_short(lead)
        spare_ms = lead.spare_ms()
        if spare_ms < LEAST_TRUST_MS:
            return None
        return self._publisher.publish(packet, min(self._timeout_ms, spare_ms))

    def _take(self, lead: Lead, packet: _Packet) -> BrokerUnavailable | None:
        """Wait for the broker's answers, within the trust, and note each by itself."""
        spare_ms = max(LEAST_TRUST_MS, lead.spare_ms())
        answers = packet.handed.answers(min(self._timeout_ms, spare_ms))
        now_ms = lead.now_ms()
        self._measure(lead, packet, answers)
        trouble = None
        for parcel, answer in zip(packet.parcels, answers, strict=True):
            if answer is None:
                self._refused.over(parcel.entry)
                self._circuits.sent(parcel.entry)
                self._departed.append(
                    Departed(parcel.entry, parcel.identity, now_ms, parcel.attempt)
                )
            elif isinstance(answer, BrokerUnavailable):
                trouble = trouble or answer
            else:
                self._tell(parcel.entry, parcel.identity, answer)
        return trouble

    def _measure(self, lead: Lead, packet: _Packet, answers: Sequence[Answered]) -> None:
        """What a task sends by itself is built only now; it leaves alone."""
        code_us = packet.handed.code_us
        if code_us is None or isinstance(answers[0], BrokerUnavailable):
            return
        parcel = packet.parcels[0]
        self._building.built(parcel.entry, parcel.identity, code_us, lead.monotonic_us())

    def _tell(self, entry: str, identity: str, error: PublishRefused) -> None:
        if isinstance(error, PublishUnknown):
            text = "habeat: whether a message of entry %r was taken is not known: %s"
            self._refused.error(entry, text, entry, error)
            return
        self._circuits.refused(entry, identity, str(error))
        self._refused.error(entry, "habeat: the broker refuses entry %r: %s", entry, error)

    def _settle_soon(self, lead: Lead) -> None:
        """Have settled what the broker has; the answer is read later."""
        self._heard()
        if self._departed:
            asked = self._departed[:SETTLE_BATCH]
            self._settling = self._store.send_settle(lead.last_token, asked)
            self._asked = len(asked)

    def settle(self, lead: Lead) -> None:
        """Record what has left so far; kept for the next try if Redis does not answer."""
        self._heard()
        while self._departed:
            self._store.settle(lead.last_token, self._departed[:SETTLE_BATCH])
            del self._departed[:SETTLE_BATCH]

    def _heard(self) -> None:
        """Read the answer that is out; what it settled is done with, once it has come."""
        settling, self._settling = self._settling, None
        if settling is not None:
            settling.result()
            del self._departed[: self._asked]

    def _renew_if_short(self, lead: Lead) -> None:
        if lead.trust_left_ms() < min(self._timeout_ms, lead.ttl_ms // 2):
            lead.store.renew()


def _packet(parcels: Sequence[Parcel]) -> Sequence[Parcel]:
    """The first of these, up to the size of a packet."""
    room = PACKET_BYTES
    for number, parcel in enumerate(parcels):
        room -= len(parcel.envelope)
        if room < 0:
            return parcels[: max(1, number)]
    return parcels


@dataclass(frozen=True, slots=True)
class _Claiming:
    batch: Sequence[Claim]
    sent: PendingCall[Statuses | Unfenced]
    attempt: Attempt


class OutboxClaims:
    """Claims batches and publishes what was claimed."""

    def __init__(self, store: DispatchStore, sender: Sender, claim_results: ClaimResults) -> None:
        self._store = store
        self._sender = sender
        self._claim_results = claim_results
        self._claiming: _Claiming | None = None

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Send a batch's claim and publish the batch before it; False if some must be replanned.

        Raises BrokerUnavailable with nothing claimed that is not kept as an intent.
        """
        if batch[0].delivery == Delivery.AT_MOST_ONCE:
            return self._claim_alone(lead, batch)
        self._sender.ready(lead)
        attempt = lead.attempt()
        sent = self._store.send_claim(attempt.fence, batch, atomic=False)
        before, self._claiming = self._claiming, _Claiming(batch, sent, attempt)
        return before is None or self._publish(lead, before, len(batch))

    def finish(self, lead: Lead) -> bool:
        """Publish the batch whose claim is under way; False if some must be planned again."""
        last, self._claiming = self._claiming, None
        return last is None or self._publish(lead, last, 0)

    def drop(self, lead: Lead) -> None:
        """Something failed meanwhile: what was claimed stays in flight, and is recovered."""
        last, self._claiming = self._claiming, None
        if last is not None:
            reply = last.sent.drop()
            if isinstance(reply, Statuses):
                lead.concluded(reply, last.attempt)

    def _publish(self, lead: Lead, claiming: _Claiming, behind: int) -> bool:
        reply = lead.concluded(claiming.sent.result(), claiming.attempt)
        parcels, complete = self._judged(lead, claiming.batch, reply)
        if lead.stopping():
            return complete and not parcels
        return self._sender.send(lead, parcels, behind) == len(parcels) and complete

    def _claim_alone(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Directly before its publish, with nothing under way; a stop waits for it."""
        complete = self.finish(lead)
        if not lead.may_go_on():
            return False
        self._sender.ready(lead)
        reply = lead.store.claim(batch, atomic=False)
        parcels, accounted = self._judged(lead, batch, reply)
        return self._sender.send(lead, parcels) == len(parcels) and accounted and complete

    def _judged(
        self, lead: Lead, batch: Sequence[Claim], reply: Statuses
    ) -> tuple[Sequence[Parcel], bool]:
        """The messages of what is claimed now, and whether all else is accounted for."""
        parcels: list[Parcel] = []
        complete = True
        for claim, word in zip(batch, reply.words, strict=True):
            if word in ("ok", "mine inflight"):
                firing, rendered = claim.firing, claim.rendered
                parcels.append(
                    Parcel(firing.entry, firing.identity, rendered.envelope, 1, rendered.packet)
                )
            else:
                complete &= self._claim_results.judge(lead, claim, word, reply.now_us)
        return parcels, complete
