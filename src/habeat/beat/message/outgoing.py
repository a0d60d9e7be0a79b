"""How the outbox sends: a packet of messages goes to the broker, and each gets an answer.

To a Redis broker, a packet is sent as commands (redis_packets.py). Messages that cannot be recorded
as commands, and all messages to other brokers, are published by kombu, one after another. A task
that sends its message itself does so through a producer with time limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from habeat.beat.broker.blame import Blame, blame, may_be_of_a_connection
from habeat.beat.broker.broker import Broker
from habeat.beat.broker.confirms import Ticket
from habeat.beat.broker.envelope import BoundedProducer, Publication, unseal
from habeat.beat.message.kombu_redis import Words
from habeat.beat.message.own_sending import OwnSending
from habeat.beat.message.redis_packets import RedisPackets
from habeat.ports import (
    Answered,
    BrokerUnavailable,
    Handed,
    Parcel,
    PublishRefused,
    PublishUnknown,
    RenderFailed,
)
from habeat.printable import redacted

DIRECT_KEPT = 1_000
#: The headers that Celery and habeat set themselves; they hold no secrets.
CELERYS_HEADERS = frozenset(
    [
        "lang",
        "task",
        "id",
        "shadow",
        "eta",
        "expires",
        "group",
        "group_index",
        "retries",
        "timelimit",
        "root_id",
        "parent_id",
        "origin",
        "ignore_result",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
        "habeat_entry",
        "habeat_slot",
        "habeat_lease_epoch",
        "habeat_attempt",
        "celery_beat_task",
        "periodic_task_name",
    ]
)

Wait = Callable[[int], Answered]


class OnItsWay:
    """`ports.Handed` for one packet: for each message, a function that waits for its answer."""

    def __init__(
        self, waits: Sequence[Wait], now_ms: Callable[[], int], code_us: int | None = None
    ) -> None:
        self._waits = waits
        self._now_ms = now_ms
        self.code_us = code_us

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        """What became of each message; waits `timeout_ms` at most for all of them together."""
        ends_ms = self._now_ms() + timeout_ms
        return [wait(max(0, ends_ms - self._now_ms())) for wait in self._waits]


class Outgoing:
    """Sends packets over the broker's connection."""

    def __init__(self, broker: Broker, now_ms: Callable[[], int]) -> None:
        self._broker = broker
        self._now_ms = now_ms
        #: How packets are sent to a Redis broker; None while that is unknown or not needed.
        self.packets: RedisPackets | None = None
        self._direct: dict[bytes, Callable[[BoundedProducer], OwnSending]] = {}
        #: How long the task's own code took for the last message that only it could send.
        self._code_us: int | None = None

    def keep(self, key: bytes, run: Callable[[BoundedProducer], OwnSending]) -> None:
        """Keep `run` for a message that only this process can send, under its envelope."""
        if len(self._direct) > DIRECT_KEPT:
            self._direct.clear()
        self._direct[key] = run

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Handed:
        """Send a packet within `timeout_ms`; failures are in the answers."""
        ends_ms = self._now_ms() + timeout_ms
        commands = [self._commands_of(parcel, ends_ms) for parcel in parcels]
        if self.packets is not None and all(commands):
            alone = parcels[0].entry if len(parcels) == 1 else ""
            packet = self.packets.send(commands, ends_ms, alone)
            return OnItsWay([packet.answer] * len(parcels), self._now_ms)
        self._code_us = None
        waits = self._by_kombu(parcels, commands, ends_ms)
        return OnItsWay(waits, self._now_ms, self._code_us)

    def _by_kombu(
        self, parcels: Sequence[Parcel], commands: Sequence[Sequence[Words]], ends_ms: int
    ) -> Sequence[Wait]:
        """Publish one by one what only kombu can publish; send the rest as commands first.

        The commands are answered before kombu publishes, because a refused message costs the
        broker's connection.
        """
        answers: dict[int, Wait | Answered] = {}
        recorded = [at for at, one in enumerate(commands) if one]
        if self.packets is not None and recorded:
            packet = self.packets.send([commands[at] for at in recorded], ends_ms)
            for at in recorded:
                answers[at] = packet.answer(max(0, ends_ms - self._now_ms()))
        failed = next((a for a in answers.values() if isinstance(a, BrokerUnavailable)), None)
        for at, parcel in enumerate(parcels):
            if at not in answers:
                answer = answers[at] = failed or self._publish_one(parcel, ends_ms)
                failed = failed or (answer if isinstance(answer, BrokerUnavailable) else None)
        return [_wait(answers[at]) for at in range(len(parcels))]

    def _commands_of(self, parcel: Parcel, ends_ms: int) -> Sequence[Words]:
        """The commands that enqueue it on a Redis broker; empty if kombu has to publish it."""
        if self._broker.is_troubled(parcel.entry):
            return ()
        if parcel.packet and parcel.attempt == 1:
            return parcel.packet
        if self.packets is None or _is_direct(parcel.envelope) or self._now_ms() >= ends_ms:
            return ()
        try:
            return self.packets.commands(unseal(parcel.envelope), parcel.attempt)
        except Exception:
            return ()  # kombu's publish meets the same error and reports it

    def _publish_one(self, parcel: Parcel, ends_ms: int) -> Wait | Answered:
        """Publish by kombu; returns the answer, or a function that waits for the broker's."""
        try:
            if _is_direct(parcel.envelope):
                return self._publish_direct(parcel.envelope, ends_ms - self._now_ms())
            tickets = self._tickets(parcel, ends_ms)
        except (BrokerUnavailable, PublishRefused) as error:
            return error
        return partial(self._confirmed, tickets) if tickets else None

    def _tickets(self, parcel: Parcel, ends_ms: int) -> list[Ticket]:
        try:
            messages = unseal(parcel.envelope)
        except Exception as error:
            why = type(error).__name__  # its text may hold an argument
            raise PublishRefused(f"the stored message cannot be read ({why})") from error
        tickets: list[Ticket] = []
        for message in messages:
            left_ms = ends_ms - self._now_ms()
            if left_ms <= 0:
                raise BrokerUnavailable("the broker did not take all messages of a packet in time")
            try:
                ticket = self._broker.publish(message, parcel.attempt, left_ms / 1_000)
            except PublishRefused as error:
                raise _without_headers(error, message) from error
            tickets += [ticket] if ticket else []
        return tickets

    def _confirmed(self, tickets: Sequence[Ticket], timeout_ms: int) -> Answered:
        ends_ms = self._now_ms() + timeout_ms
        try:
            for ticket in tickets:
                self._broker.wait_for(ticket, max(0, ends_ms - self._now_ms()) / 1_000)
        except (BrokerUnavailable, PublishRefused) as error:
            return error
        return None

    def _publish_direct(self, envelope: bytes, timeout_ms: int) -> Answered:
        run = self._direct.pop(envelope, None)
        if run is None:
            raise PublishRefused("only the replica that claimed this firing could send it")
        producer = BoundedProducer(
            self._broker.producer, timeout_ms / 1_000, lambda: self._now_ms() * 1_000
        )
        own = run(producer)
        self._code_us = own.code_us
        if own.unsent is not None:
            return own.unsent
        if own.error is None:
            return None
        return self._judged(own.error, producer, timeout_ms / 1_000)

    def _judged(
        self, error: RenderFailed, producer: BoundedProducer, timeout_s: float
    ) -> BrokerUnavailable | PublishRefused:
        """Blame an error of a task's own sending on the broker, its connection, or that code."""
        cause = error.__cause__ or error
        if not (producer.used or blame(cause) is Blame.ENTRY or may_be_of_a_connection(cause)):
            # It may have sent by other means: no reason to connect again at each firing.
            return PublishUnknown(f"its own code failed before it sent a message: {error}")
        self._broker.discard()
        judged = self._broker.judged(cause, timeout_s)
        # The text of a RenderFailed does not contain arguments.
        return PublishRefused(str(error)) if type(judged) is PublishRefused else judged


def _without_headers(error: PublishRefused, message: Publication) -> PublishRefused:
    """The refusal without the values of the user's own headers, which py-amqp quotes in it."""
    headers = message.arguments.get("headers") or {}
    own = {name: value for name, value in headers.items() if name not in CELERYS_HEADERS}
    return type(error)(redacted(str(error), headers=own))


def _is_direct(envelope: bytes) -> bool:
    return envelope.startswith(b"direct ")


def _wait(answer: Wait | Answered) -> Wait:
    return answer if callable(answer) else lambda timeout_ms: answer
