"""Publish to the broker through Celery's and kombu's public calls, with a bound on every wait.

A separate connection is opened when first needed and dropped after any error, because a producer on
a half-open socket makes a beat hang silently. RabbitMQ confirms each message; the confirmation is
awaited after the next message was handed over (confirms.py). The first message to each destination
is sent with no other message unconfirmed and is confirmed before the next: if its queue or exchange
is refused, the channel closes, and the fate of all unconfirmed messages would be unknown.

The broker is blamed for a failure only if it says so itself or a probe confirms it (blame.py,
prober.py). Otherwise, the current message is at fault. Later messages of its entry are then sent
with no other message on its way, until one is taken. So a message that makes the server close the
connection does not harm the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amqp.exceptions import ChannelError
from celery import Celery
from kombu import Connection

from habeat.beat.broker.blame import Blame, blame, text_of
from habeat.beat.broker.confirms import ConfirmingChannel, Nacked, Ticket
from habeat.beat.broker.connection import connect, connection_of, was_closed
from habeat.beat.broker.envelope import Publication
from habeat.beat.broker.known_queues import KnownQueues
from habeat.beat.broker.prober import probe_anew
from habeat.beat.message.unrouted import check_declared, counting_deliveries, is_unrouted
from habeat.ports import BrokerUnavailable, PublishRefused, PublishUnknown

#: How long to wait for outstanding confirmations before closing a connection.
LAST_WORDS_MS = 200
#: A probe over a new connection may take this long, or this many times the last connect.
PROBE_AT_LEAST_MS, PROBE_PATIENCE = 500, 3
TROUBLED_KEPT = 1_000
#: A longer name of a queue is cut in the ledger.
QUEUE_MAX_CHARS = 255


class Broker:
    """One connection and producer to the app's broker."""

    def __init__(
        self,
        app: Celery,
        timeout_s: float,
        now_ms: Callable[[], int],
        own_names: tuple[str, ...] = (),
    ) -> None:
        """Messages to a queue or exchange whose name begins with one of `own_names` are refused."""
        self.app = app
        self.own_names = own_names
        self._now_ms = now_ms
        self.timeout_s = timeout_s
        self._connection: Connection | None = None
        self._producer: Any = None
        self._confirming: ConfirmingChannel | None = None
        self._outlet: Any = None
        self._known_queues = KnownQueues()
        #: How long the last connect took, in milliseconds.
        self._connect_ms = 0
        #: The entries whose last message may have closed a connection.
        self._troubled: set[str] = set()

    @property
    def connection(self) -> Connection:
        """The connection; it may not be connected."""
        if self._connection is None:
            self._connection = connection_of(self.app, self.timeout_s)
        return self._connection

    @property
    def producer(self) -> Any:
        """A producer on the connection; it connects when used."""
        if self._producer is None:
            self._producer = self.app.amqp.Producer(self.connection, auto_declare=False)
        return self._producer

    @property
    def confirms_later(self) -> bool:
        """Whether the broker confirms a message after the publish has returned."""
        connection = self.connection
        wanted = connection.transport_options.get("confirm_publish")
        return bool(wanted and ConfirmingChannel.fits(connection))

    def connect(self, timeout_s: float) -> None:
        """Connect within `timeout_s`, unless connected; BrokerUnavailable."""
        if self._connection is not None and was_closed(self._connection):
            self.discard()  # now, while no message can be lost with it
        connection = self.connection
        if connection.connected:
            return
        began_ms = self._now_ms()
        try:
            connect(connection, timeout_s)
        except Exception as error:
            self.discard()
            raise BrokerUnavailable(text_of(error)) from error
        self._connect_ms = self._now_ms() - began_ms

    def probe(self, timeout_s: float) -> None:
        """Check that the broker answers, also over an open connection; BrokerUnavailable."""
        self.connect(timeout_s)
        try:
            self.connection.channel().close()
        except Exception as error:
            self.discard()
            raise BrokerUnavailable(text_of(error)) from error

    def publish(self, message: Publication, attempt: int, timeout_s: float) -> Ticket | None:
        """Send one message; BrokerUnavailable, or PublishRefused if only this message is at fault.

        Returns a ticket if the broker has not confirmed the message yet: see `wait_for`.
        """
        try:
            self._open_outlet()
        except Exception as error:  # the message was not involved
            self.discard()
            raise BrokerUnavailable(text_of(error)) from error
        try:
            if self._confirming is None:
                self._hand_over(message, attempt, timeout_s)
                ticket = None
            else:
                ticket = self._on_its_way(self._confirming, message, attempt, timeout_s)
        except PublishRefused:
            raise
        except Nacked as error:
            raise PublishRefused(text_of(error)) from error
        except Exception as error:
            raise self._failed(error, timeout_s, _entry_of(message)) from error
        if ticket is None:
            self._troubled.discard(_entry_of(message))
        return ticket

    def _on_its_way(
        self, confirming: ConfirmingChannel, message: Publication, attempt: int, timeout_s: float
    ) -> Ticket | None:
        ends_ms = self._now_ms() + round(timeout_s * 1_000)
        way = way_of(message.arguments)
        known = confirming.knows(way) and self._known_queues.knows(message.arguments.get("declare"))
        if known and _entry_of(message) not in self._troubled:
            self._hand_over(message, attempt, timeout_s)
            return confirming.published(_entry_of(message))
        # A new destination may be refused, which closes the channel: first let all others be
        # confirmed.
        self._listen(confirming, ends_ms)
        self._hand_over(message, attempt, timeout_s)
        self._listen(confirming, ends_ms, confirming.published().number)
        confirming.learn(way)
        return None

    def _hand_over(self, message: Publication, attempt: int, timeout_s: float) -> None:
        arguments = self._known_queues.without_known(message.arguments)
        headers = dict(arguments.pop("headers", None) or {})
        if "habeat_attempt" in headers:
            headers["habeat_attempt"] = attempt
        check_declared(arguments["declare"], self.own_names)
        delivered = counting_deliveries(self._outlet.channel, self.own_names)
        self._outlet.publish(
            message.body,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=headers,
            retry=False,
            timeout=timeout_s,
            confirm_timeout=timeout_s,
            **arguments,
        )
        self._known_queues.add(arguments["declare"])
        if is_unrouted(delivered):
            exchange, routing_key = way_of(arguments)
            raise PublishRefused(no_queue(exchange, routing_key))

    def wait_for(self, ticket: Ticket, timeout_s: float) -> None:
        """Wait until the broker has taken the message; BrokerUnavailable, PublishRefused."""
        try:
            if ticket.channel is not self._confirming:
                if not ticket.channel.awaits(ticket.number):
                    return
                raise PublishUnknown("the connection was closed before the broker confirmed")
            ends_ms = self._now_ms() + round(timeout_s * 1_000)
            self._listen(ticket.channel, ends_ms, ticket.number)
        except Nacked as error:
            raise PublishRefused(text_of(error)) from error
        except (BrokerUnavailable, PublishRefused):
            raise
        except Exception as error:
            raise self._failed(error, timeout_s) from error

    def _listen(self, confirming: ConfirmingChannel, ends_ms: int, number: int = 0) -> None:
        """Wait until the broker has answered this message; with 0, all messages."""
        while confirming.awaits(number):
            left_ms = ends_ms - self._now_ms()
            if left_ms <= 0:
                raise TimeoutError("the broker did not confirm in time")
            confirming.listen(left_ms / 1_000)

    def _open_outlet(self) -> None:
        """Open the producer to publish with; if possible, one that does not wait for confirms."""
        if self._outlet is None:
            if self.confirms_later:
                self._confirming = ConfirmingChannel(self.connection)
                self._outlet = self.app.amqp.Producer(self._confirming.channel, auto_declare=False)
            else:
                self._outlet = self.producer

    def discard(self) -> None:
        """Drop the connection; the next use opens a new one."""
        connection = self._connection
        self.forget()
        if connection is not None:
            # AMQP waits for an answer to its close, which a hanging broker never sends.
            with contextlib.suppress(Exception):
                connection.collect(socket_timeout=0.1)

    def forget(self) -> None:
        """In a forked child: forget the connection without sending anything to the broker."""
        self._connection = self._producer = self._outlet = self._confirming = None
        self._known_queues = KnownQueues()

    def _failed(self, error: Exception, timeout_s: float, entry: str = "") -> Exception:
        """The error to raise after a message has failed; drops the connection."""
        # A closed channel sends nothing more; an open one may still confirm other messages.
        heard_out = isinstance(error, ChannelError)
        if blame(error) is Blame.ENTRY and self._confirming is not None and not heard_out:
            with contextlib.suppress(Exception):  # the other messages are not at fault
                self._listen(self._confirming, self._now_ms() + LAST_WORDS_MS)
        # Any unconfirmed message may have made the server close the connection.
        suspects = set() if self._confirming is None else self._confirming.open_entries()
        self.discard()
        judged = self.judged(error, timeout_s)
        if isinstance(judged, PublishUnknown):
            for each in suspects | ({entry} if entry else set()):
                self.suspect(each)
        return judged

    def suspect(self, entry: str) -> None:
        """Send this entry's next message alone: one was on its way when the connection failed."""
        if len(self._troubled) >= TROUBLED_KEPT:
            self._troubled.clear()
        self._troubled.add(entry)

    def is_troubled(self, entry: str) -> bool:
        """Whether this entry's messages must be sent with no other message on its way."""
        return entry in self._troubled

    def judged(self, error: BaseException, timeout_s: float) -> BrokerUnavailable | PublishRefused:
        """Blame an error on the broker (BrokerUnavailable) or on the message (PublishRefused).

        If the broker is suspect, it is probed over a new connection, without any of the message.
        """
        found = blame(error)
        if found is Blame.ENTRY:
            return PublishRefused(text_of(error))
        if found is Blame.SERVER:
            return BrokerUnavailable(text_of(error))
        try:
            self.ask_anew(timeout_s)
        except BrokerUnavailable:
            return BrokerUnavailable(text_of(error))
        return PublishUnknown(f"sending failed, though the broker answers: {text_of(error)}")

    def ask_anew(self, timeout_s: float) -> None:
        """Probe over a new connection whether the broker takes messages; BrokerUnavailable."""
        patience_ms = max(PROBE_AT_LEAST_MS, PROBE_PATIENCE * self._connect_ms)
        probe_anew(self.app, min(timeout_s, patience_ms / 1_000), self._now_ms)


def no_queue(exchange: str, routing_key: str) -> str:
    """Why a message would reach no queue."""
    return f"no queue is bound to exchange {exchange!r} with routing key {routing_key!r}"


def _entry_of(message: Publication) -> str:
    headers = message.arguments.get("headers")
    return str(headers.get("habeat_entry", "")) if isinstance(headers, Mapping) else ""


def queue_of(published: Sequence[Publication]) -> str:
    """Where the first of these messages goes, for the ledger: its routing key, or its exchange."""
    exchange, routing_key = way_of(published[0].arguments) if published else ("", "")
    return (routing_key or exchange)[:QUEUE_MAX_CHARS]


def way_of(arguments: Mapping[str, Any]) -> tuple[str, str]:
    """A message's exchange and routing key: the broker may refuse one destination only."""
    exchange = arguments.get("exchange") or ""
    return str(getattr(exchange, "name", exchange)), str(arguments.get("routing_key") or "")
