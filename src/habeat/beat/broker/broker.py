"""The broker, reached by Celery's and kombu's public calls only, every wait bounded.

A connection of our own is made when first needed and thrown away after any error: a producer
cached on a half-open socket is how beats freeze without a word. RabbitMQ confirms each message,
and is waited for when the next one has been handed over (confirms.py). Not so the first message
to each destination, nor the one before it: a queue or exchange that is refused closes the channel,
and with it what is known of messages that were on their way.

A failure is the broker's only if the broker says so or a probe confirms it (blame.py, prober.py).
What else fails is the fault of the message in hand. Its entry's later messages are then sent with
nothing else on its way, until one is taken: a message that makes the server close the connection
costs the others nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from amqp.exceptions import ChannelError
from celery import Celery
from kombu import Connection

from habeat.beat.broker.blame import Blame, blame, told
from habeat.beat.broker.confirms import ConfirmingChannel, Nacked, Ticket
from habeat.beat.broker.connection import connection_of, was_closed
from habeat.beat.broker.envelope import Publication
from habeat.beat.broker.known_queues import KnownQueues
from habeat.beat.broker.prober import probe_anew
from habeat.beat.message.unrouted import check_declared, counting_deliveries, is_unrouted
from habeat.ports import BrokerUnavailable, PublishRefused, PublishUnknown

#: How long a connection that is to be closed is listened to for confirmations.
LAST_WORDS_MS = 200
#: A probe by a new connection may take this long, or so many times what the last one took.
PROBE_AT_LEAST_MS, PROBE_PATIENCE = 500, 3
TROUBLED_KEPT = 1_000


class Broker:
    """One connection and producer to the app's broker."""

    def __init__(
        self,
        app: Celery,
        timeout_s: float,
        now_ms: Callable[[], int],
        own_names: tuple[str, ...] = (),
    ) -> None:
        """No message is sent to a queue or exchange whose name begins with one of `own_names`."""
        self.app = app
        self.own_names = own_names
        self._now_ms = now_ms
        self.timeout_s = timeout_s
        self._connection: Connection | None = None
        self._producer: Any = None
        self._confirming: ConfirmingChannel | None = None
        self._outlet: Any = None
        self._known_queues = KnownQueues()
        #: How long it took to connect, and the entries whose last message closed a connection.
        self._connect_ms = 0
        self._troubled: set[str] = set()

    @property
    def connection(self) -> Connection:
        """The connection, not necessarily connected."""
        if self._connection is None:
            self._connection = connection_of(self.app, self.timeout_s)
        return self._connection

    @property
    def producer(self) -> Any:
        """A producer on it; connects when it is used."""
        if self._producer is None:
            self._producer = self.app.amqp.Producer(self.connection, auto_declare=False)
        return self._producer

    @property
    def confirms_later(self) -> bool:
        """Whether the broker says later that it has a message."""
        connection = self.connection
        wanted = connection.transport_options.get("confirm_publish")
        return bool(wanted and ConfirmingChannel.fits(connection))

    def connect(self, timeout_s: float) -> None:
        """Make sure of a connection within the time; BrokerUnavailable."""
        if self._connection is not None and was_closed(self._connection):
            self.discard()  # while nothing was sent: no message is lost with it
        connection = self.connection
        if connection.connected:
            return
        began_ms = self._now_ms()
        try:
            connection.connect_timeout = timeout_s
            connection.ensure_connection(
                max_retries=max(0, len(connection.alt) - 1),
                interval_start=0,
                interval_step=0,
                timeout=timeout_s,
            )
        except Exception as error:
            self.discard()
            raise BrokerUnavailable(told(error)) from error
        self._connect_ms = self._now_ms() - began_ms

    def probe(self, timeout_s: float) -> None:
        """Ask the broker whether it is there, also over a connection already open."""
        self.connect(timeout_s)
        try:
            self.connection.channel().close()
        except Exception as error:
            self.discard()
            raise BrokerUnavailable(told(error)) from error

    def publish(self, message: Publication, attempt: int, timeout_s: float) -> Ticket | None:
        """Send one message; BrokerUnavailable, or PublishRefused if only this one is at fault.

        With a ticket the broker has yet to say that it has taken it: see `wait_for`.
        """
        try:
            self._open_outlet()
        except Exception as error:  # nothing of the message was in it
            self.discard()
            raise BrokerUnavailable(told(error)) from error
        try:
            if self._confirming is None:
                self._hand_over(message, attempt, timeout_s)
                ticket = None
            else:
                ticket = self._on_its_way(self._confirming, message, attempt, timeout_s)
        except PublishRefused:
            raise
        except Nacked as error:
            raise PublishRefused(told(error)) from error
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
        """Until the broker has taken it; BrokerUnavailable, PublishRefused."""
        try:
            if ticket.channel is not self._confirming:
                if not ticket.channel.awaits(ticket.number):
                    return
                raise PublishUnknown("the connection was closed before the broker confirmed")
            ends_ms = self._now_ms() + round(timeout_s * 1_000)
            self._listen(ticket.channel, ends_ms, ticket.number)
        except Nacked as error:
            raise PublishRefused(told(error)) from error
        except (BrokerUnavailable, PublishRefused):
            raise
        except Exception as error:
            raise self._failed(error, timeout_s) from error

    def _listen(self, confirming: ConfirmingChannel, ends_ms: int, number: int = 0) -> None:
        """Until the broker has said what became of this message; 0: of all."""
        while confirming.awaits(number):
            left_ms = ends_ms - self._now_ms()
            if left_ms <= 0:
                raise TimeoutError("the broker has not confirmed in time")
            confirming.listen(left_ms / 1_000)

    def _open_outlet(self) -> None:
        """Have a producer to publish on: one that need not wait for confirmations, if it can be."""
        if self._outlet is None:
            if self.confirms_later:
                self._confirming = ConfirmingChannel(self.connection)
                self._outlet = self.app.amqp.Producer(self._confirming.channel, auto_declare=False)
            else:
                self._outlet = self.producer

    def discard(self) -> None:
        """Throw the connection away; the next use makes a new one."""
        connection = self._connection
        self.forget()
        if connection is not None:
            # AMQP says good-bye and waits for an answer; a broker that hangs gives none.
            with contextlib.suppress(Exception):
                connection.collect(socket_timeout=0.1)

    def forget(self) -> None:
        """In a forked child: drop the object without a word to the broker."""
        self._connection = self._producer = self._outlet = self._confirming = None
        self._known_queues = KnownQueues()

    def _failed(self, error: Exception, timeout_s: float, entry: str = "") -> Exception:
        """What to raise for an error over a message; the connection is not used any more."""
        # A closed channel has said all that it will; one that is open may still confirm.
        heard_out = isinstance(error, ChannelError)
        if blame(error) is Blame.ENTRY and self._confirming is not None and not heard_out:
            with contextlib.suppress(Exception):  # what was on its way is not at fault
                self._listen(self._confirming, self._now_ms() + LAST_WORDS_MS)
        # Any of the messages that were on their way may have made the server hang up.
        suspects = set() if self._confirming is None else self._confirming.open_entries()
        self.discard()
        judged = self.judged(error, timeout_s)
        if isinstance(judged, PublishUnknown):
            for each in suspects | ({entry} if entry else set()):
                self.suspect(each)
        return judged

    def suspect(self, entry: str) -> None:
        """A message of this entry was on a connection that failed: the next is sent alone."""
        if len(self._troubled) >= TROUBLED_KEPT:
            self._troubled.clear()
        self._troubled.add(entry)

    def is_troubled(self, entry: str) -> bool:
        """Whether the messages of this entry are to be sent with nothing else on its way."""
        return entry in self._troubled

    def judged(self, error: BaseException, timeout_s: float) -> BrokerUnavailable | PublishRefused:
        """Whose fault an error is that was met over a message: the broker's, or the message's.

        A suspected broker is probed by a new connection, with nothing of the message in it.
        """
        found = blame(error)
        if found is Blame.ENTRY:
            return PublishRefused(told(error))
        if found is Blame.SERVER:
            return BrokerUnavailable(told(error))
        try:
            self.ask_anew(timeout_s)
        except BrokerUnavailable:
            return BrokerUnavailable(told(error))
        return PublishUnknown(f"the connection failed, though the broker answers: {told(error)}")

    def ask_anew(self, timeout_s: float) -> None:
        """Whether the broker takes messages, by a connection of its own; BrokerUnavailable."""
        patience_ms = max(PROBE_AT_LEAST_MS, PROBE_PATIENCE * self._connect_ms)
        probe_anew(self.app, min(timeout_s, patience_ms / 1_000), self._now_ms)


def no_queue(exchange: str, routing_key: str) -> str:
    """Where a message would go that goes nowhere."""
    return f"no queue is bound to exchange {exchange!r} with routing key {routing_key!r}"


def _entry_of(message: Publication) -> str:
    headers = message.arguments.get("headers")
    return str(headers.get("habeat_entry", "")) if isinstance(headers, Mapping) else ""


def way_of(arguments: Mapping[str, Any]) -> tuple[str, str]:
    """Where a message goes: what is refused of one may well be accepted of another."""
    exchange = arguments.get("exchange") or ""
    return str(getattr(exchange, "name", exchange)), str(arguments.get("routing_key") or "")
