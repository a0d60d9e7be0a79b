"""Outbox dispatch, for any broker that is not the schedule's own Redis.

    render ─ claim (stores the intent, with its message) ─ publish ─ confirm ─ settle

What happens if a step fails:

render       The firing is retried later or ends as failed (rendering.py). Nothing was claimed.
claim        Refused: someone else has the slot, or the plan is stale. Reply lost: the intent is in
             flight, and recovery resends it with the same task id.
publish      Each message gets its own answer. A refused message stays in flight, and the rest of
             its packet continues. If the connection fails, messages confirmed before that are
             settled, and all others stay in flight. Nothing more is claimed until the broker
             answers again.
             A task that sends its message itself may have sent nothing for sure: it declined to,
             or failed before. Such a firing is settled as skipped or failed.
confirm      The broker's confirmation is missing or lost: as for publish.
settle       Not fenced: a published message cannot be unpublished. If the reply is lost or the
             process is killed, recovery resends the intent with the same task id. This is the
             duplicate that at-least-once delivery allows, and the only kind a crash can cause.

**The outbox window.** A message is in it from the moment it is handed to the broker until the call
that settles it has been sent. The messages in it are those a crash may repeat. It grows with the
backlog:

- While little is due (`LITTLE` messages or fewer are waiting), a packet is one message, and it is
  settled before the next one is sent. If the broker confirms later (RabbitMQ), two packets are
  under way: the next message is sent while the previous one awaits its confirmation.
- In a burst, a packet is half of the waiting messages, at most `habeat_outbox_window` messages
  (half of that if two packets are under way) and `PACKET_BYTES`. Its answers are read together, and
  the confirmed messages are settled with one call.

A message whose expiry has come before its packet is handed over is not sent. It is settled at once,
and settle.lua records it as skipped, as it does with a message that the broker accepted only after
its expiry.

So a crash repeats at most `habeat_outbox_window` messages (50), and only one (RabbitMQ: two) while
little is due. Each keeps its task id. Depending on when the process dies, a crash may repeat:

after a claim, before its packet       nothing: the claimed messages are only sent late
while a packet is being written        the part of the packet that reached the broker
before a packet's settling is sent     the whole packet, or both if two are under way
after that                             nothing, unless Redis never receives the call

The claims of the next batch are sent before the current batch is published, so Redis and the
broker work at the same time. If the process dies between a message's claim and its packet, the heir
sends the message: late, but once. When the broker fails, at most one more batch has been claimed.

Each packet must finish within the trust period, which is checked before each one, and the
lease is renewed first if less is left than a packet may take. A stop lets the packets under way
finish and settles them; messages that are claimed but not sent are left to the heir.

An at-most-once firing is claimed alone, with nothing else under way, directly before it is
published. A stop waits for it, so a stop never loses one.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from habeat.core.entry import Delivery
from habeat.core.events import EventCode
from habeat.core.firing import Outcome
from habeat.engine.building import Building
from habeat.engine.circuits import Circuits
from habeat.engine.claim_results import ClaimResults
from habeat.engine.election import Attempt, DataLost
from habeat.engine.fenced import Lead
from habeat.engine.once_a_minute import OnceAMinute
from habeat.engine.trouble_log import TroubleLog
from habeat.log import log_event
from habeat.ports import (
    Answered,
    Behind,
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
    Unsent,
)

#: With less trust than this left, no packet is started.
LEAST_TRUST_MS = 50
#: Up to this many waiting messages are sent one by one.
LITTLE = 10
#: Limit of a packet's size, so that writing it does not take long.
PACKET_BYTES = 256 * 1024
#: Messages settled by one call: keeps it under 2 ms of the server's time.
SETTLE_BATCH = 50


@dataclass(frozen=True, slots=True)
class _Packet:
    parcels: Sequence[Parcel]
    #: None if none of its messages was of use any more.
    handed: Handed | None


class Sender:
    """Publishes messages within the trust period, and settles those the broker has accepted."""

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
        #: How many of the departed messages the outstanding settle call covers.
        self._asked = 0
        self._refused = TroubleLog()
        self._declined = OnceAMinute()

    def ready(self, lead: Lead) -> None:
        """Connect to the broker before anything is claimed. BrokerUnavailable."""
        self._renew_if_short(lead)
        self._publisher.connect(min(self._timeout_ms, lead.spare_ms()))

    def send(
        self, lead: Lead, parcels: Sequence[Parcel], behind: int = 0, *, despite_stop: bool = True
    ) -> int:
        """Publish these messages, and return how many were handed to the broker.

        Fewer than given if too little trust is left or, without `despite_stop`, if a stop was
        requested. `behind` is the number of messages that wait after these. Accepted messages are
        settled, or about to be; the others stay in flight.
        BrokerUnavailable is raised only after all answers have been recorded.
        """
        most = min(self._publisher.packets, self._window)
        size = self._size(len(parcels) + behind, most)
        under_way: deque[_Packet] = deque()
        trouble: BrokerUnavailable | None = None
        begun = 0
        try:
            while begun < len(parcels) and trouble is None:
                packet = _packet(parcels[begun : begun + size])
                handed = self._hand_over(lead, packet, despite_stop)
                if handed is None:
                    break
                begun += len(packet)
                under_way.append(handed)
                if len(under_way) == most:
                    # Settle before the next packet is handed over: this bounds the outbox window.
                    trouble = self._take(lead, under_way.popleft())
                    self._settle_soon(lead)
        finally:
            # Even after an error, read all answers: what the broker has accepted must be settled.
            while under_way:
                trouble = self._take(lead, under_way.popleft()) or trouble
        self._settle_soon(lead)
        if trouble is not None:
            raise trouble
        return begun

    def _size(self, waiting: int, most: int) -> int:
        """How many messages a packet may hold, if at most `most` packets are under way."""
        if waiting <= LITTLE:
            return 1
        return max(1, min(self._window // most, waiting // 2))

    def _hand_over(
        self, lead: Lead, packet: Sequence[Parcel], despite_stop: bool
    ) -> _Packet | None:
        """Start to publish a packet; None if too little trust is left, or at a stop."""
        self._renew_if_short(lead)
        if lead.stopping() and not despite_stop:  # the stop came while the lease was renewed
            return None
        spare_ms = lead.spare_ms()
        if spare_ms < LEAST_TRUST_MS:
            return None
        fresh = self._without_expired(lead, packet)
        if not fresh:
            return _Packet((), None)
        return _Packet(fresh, self._publisher.publish(fresh, min(self._timeout_ms, spare_ms)))

    def _without_expired(self, lead: Lead, packet: Sequence[Parcel]) -> Sequence[Parcel]:
        """The messages that are still of use; the others are settled without being sent.

        They count as departed now, so settle.lua records them as skipped.
        """
        now_ms = lead.now_ms()
        expired = [parcel for parcel in packet if parcel.has_expired(now_ms)]
        if not expired:
            return packet
        for parcel in expired:
            attempt = parcel.attempt - 1
            self._departed.append(Departed(parcel.entry, parcel.identity, now_ms, attempt))
        return [parcel for parcel in packet if not parcel.has_expired(now_ms)]

    def _take(self, lead: Lead, packet: _Packet) -> BrokerUnavailable | None:
        """Wait for the broker's answers within the trust period, and record each one."""
        if packet.handed is None:
            return None
        spare_ms = max(LEAST_TRUST_MS, lead.spare_ms())
        answers = packet.handed.answers(min(self._timeout_ms, spare_ms))
        now_ms = lead.now_ms()
        self._measure(lead, packet.parcels[0], packet.handed.code_us, answers[0])
        trouble = None
        for parcel, answer in zip(packet.parcels, answers, strict=True):
            if answer is None:
                self._refused.over(parcel.entry)
                self._circuits.sent(parcel.entry)
                self._departed.append(
                    Departed(parcel.entry, parcel.identity, now_ms, parcel.attempt, parcel.queue)
                )
            elif isinstance(answer, BrokerUnavailable):
                trouble = trouble or answer
            elif isinstance(answer, Unsent):
                self._unsent(lead, parcel, answer, now_ms)
            else:
                self._tell(parcel.entry, parcel.identity, answer)
        return trouble

    def _unsent(self, lead: Lead, parcel: Parcel, answer: Unsent, now_ms: int) -> None:
        """Settle a firing whose task sent nothing; it is neither tried again nor given up."""
        name, identity = parcel.entry, parcel.identity
        outcome = Outcome.SKIPPED if answer.declined else Outcome.FAILED
        departed = Departed(
            name, identity, now_ms, parcel.attempt - 1, outcome=outcome, reason=answer.reason
        )
        self._departed.append(departed)
        if not answer.declined:
            self._circuits.refused(name, identity, answer.why)
            code, text = EventCode.ENTRY_UNSENDABLE, "habeat: entry %r cannot be sent: %s"
            self._refused.error(name, code, text, name, answer.why, entry=name)
            return
        self._refused.over(name)
        self._circuits.declined(name)
        if (more := self._declined.due(name, lead.monotonic_us())) is not None:
            log_event(
                EventCode.SLOT_DECLINED,
                "habeat: the task of entry %r declined to send the firing %s, which is skipped%s%s",
                name,
                identity,
                f": {answer.why}" if answer.why else "",
                more,
                entry=name,
            )

    def _measure(self, lead: Lead, parcel: Parcel, code_us: int | None, answer: Answered) -> None:
        """Measure a message that the task's own code builds while sending it, alone in a packet."""
        if code_us is not None and not isinstance(answer, BrokerUnavailable):
            self._building.built(parcel.entry, parcel.identity, code_us, lead.monotonic_us())

    def _tell(self, entry: str, identity: str, error: PublishRefused) -> None:
        if isinstance(error, PublishUnknown):
            text = "habeat: it is not known whether the broker took a message of entry %r: %s"
            code = EventCode.PUBLISH_UNKNOWN
            self._refused.error(entry, code, text, entry, error, entry=entry)
            return
        self._circuits.refused(entry, identity, str(error))
        code, text = EventCode.ENTRY_UNSENDABLE, "habeat: the broker refuses entry %r: %s"
        self._refused.error(entry, code, text, entry, error, entry=entry)

    def _settle_soon(self, lead: Lead) -> None:
        """Send the call that settles accepted messages; its reply is read later."""
        self._heard()
        if self._departed:
            asked = self._departed[:SETTLE_BATCH]
            self._settling = self._store.send_settle(lead.last_token, asked)
            self._asked = len(asked)

    def settle(self, lead: Lead) -> None:
        """Settle everything the broker has accepted; kept for the next try if Redis fails."""
        self._heard()
        while self._departed:
            self._store.settle(lead.last_token, self._departed[:SETTLE_BATCH])
            del self._departed[:SETTLE_BATCH]

    def _heard(self) -> None:
        """Read the reply to the outstanding settle call, then forget what it settled."""
        settling, self._settling = self._settling, None
        if settling is not None:
            settling.result()
            del self._departed[: self._asked]

    def _renew_if_short(self, lead: Lead) -> None:
        if lead.trust_left_ms() < min(self._timeout_ms, lead.ttl_ms // 2):
            lead.store.renew()


def _packet(parcels: Sequence[Parcel]) -> Sequence[Parcel]:
    """The first parcels, up to `PACKET_BYTES`; at least one."""
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
    """Claims batches, and publishes the claimed messages."""

    def __init__(self, store: DispatchStore, sender: Sender, claim_results: ClaimResults) -> None:
        self._store = store
        self._sender = sender
        self._claim_results = claim_results
        self._claiming: _Claiming | None = None

    def claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Send the claim of a batch, and publish the previous batch.

        False if some firings must be planned again. BrokerUnavailable; whatever has been claimed by
        then is stored as intents.
        """
        if batch[0].delivery == Delivery.AT_MOST_ONCE:
            return self._claim_alone(lead, batch)
        self._sender.ready(lead)
        attempt = lead.attempt()
        sent = self._store.send_claim(attempt.fence, batch, atomic=False)
        before, self._claiming = self._claiming, _Claiming(batch, sent, attempt)
        return before is None or self._publish(lead, before, len(batch))

    def finish(self, lead: Lead) -> bool:
        """Publish the batch whose claim is under way; False if some firings must be replanned."""
        last, self._claiming = self._claiming, None
        return last is None or self._publish(lead, last, 0)

    def drop(self, lead: Lead) -> None:
        """After a failure: claimed messages stay in flight, and recovery resends them."""
        self._claim_results.due_task_log.sum_up()
        last, self._claiming = self._claiming, None
        if last is not None:
            reply = last.sent.drop()
            if isinstance(reply, Statuses | Behind):  # it may report a loss of data
                # The election remembers the loss, and this tick is ending anyway.
                with contextlib.suppress(DataLost):
                    lead.concluded(reply, last.attempt)

    def _publish(self, lead: Lead, claiming: _Claiming, behind: int) -> bool:
        reply = lead.concluded(claiming.sent.result(), claiming.attempt)
        parcels, complete = self._judged(lead, claiming.batch, reply)
        # After a stop, no packet is begun: the next leader sends what was claimed.
        begun = self._sender.send(lead, parcels, behind, despite_stop=False)
        return begun == len(parcels) and complete

    def _claim_alone(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        """Claim an at-most-once firing directly before its publish, with nothing else under way."""
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
        """The messages of the claimed firings, and whether all others are accounted for."""
        parcels: list[Parcel] = []
        complete = True
        for claim, word in zip(batch, reply.words, strict=True):
            if word in ("ok", "mine inflight"):
                # "mine inflight": we claimed it before, and the reply was lost.
                firing, rendered = claim.firing, claim.rendered
                self._claim_results.due_task_log.sent(claim, reply.now_us)
                parcels.append(
                    Parcel(
                        firing.entry,
                        firing.identity,
                        rendered.envelope,
                        attempt=1,
                        packet=rendered.packet,
                        expires_ms=rendered.expires_ms,
                        queue=rendered.queue,
                    )
                )
            else:
                complete &= self._claim_results.judge(lead, claim, word, reply.now_us)
        return parcels, complete
