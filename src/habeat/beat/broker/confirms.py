"""Publisher confirms of RabbitMQ, waited for while the next message is on its way.

py-amqp's own way is to wait for the confirmation of each message before the next may leave: about
a millisecond each, in which neither side does anything. Here is a channel, in confirm mode, on
which a publish does not wait. The broker numbers what is published on a channel from 1 on, and
acknowledges or refuses a number, or all up to it.

    published ──ack──► taken
        │ └────nack──► refused
        └── the channel or its connection fails: nobody knows

Of a message that nobody knows of, the intent stays in flight, as after any publish that failed.
Other transports have done with a message when the publish returns (Redis, SQS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kombu import Connection

WAYS_KEPT = 10_000


class Nacked(Exception):
    """The broker refused a message that had been published: its queue is full, say."""


class ConfirmingChannel:
    """A channel of py-amqp that tells what has become of each message."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.channel: Any = connection.channel()
        # Where the connection confirms, its channels are given the publish that waits.
        self.channel.__dict__.pop("basic_publish", None)
        self._last = 0
        #: Of each message that the broker has yet to speak of, whose it is.
        self._open: dict[int, str] = {}
        self._refused: set[int] = set()
        self._ways: set[tuple[str, str]] = set()
        self.channel.confirm_select()
        self.channel.events["basic_ack"].add(self._acked)
        self.channel.events["basic_nack"].add(self._nacked)

    @staticmethod
    def fits(connection: Connection) -> bool:
        """Whether this connection's channels are py-amqp's."""
        transport = connection.transport
        return bool(transport.driver_type == "amqp" and transport.driver_name == "py-amqp")

    def published(self, entry: str = "") -> Ticket:
        """A message of this entry has been published; what to ask for it by."""
        self._last += 1
        self._open[self._last] = entry
        return Ticket(self, self._last)

    def open_entries(self) -> set[str]:
        """Whose messages the broker has yet to speak of."""
        return set(self._open.values()) - {""}

    def awaits(self, number: int) -> bool:
        """Whether nothing has been heard of this message yet, or (0) of one of them; Nacked."""
        if number in self._refused:
            self._refused.discard(number)
            raise Nacked("the broker refused the message")
        return number in self._open if number else bool(self._open)

    def knows(self, way: tuple[str, str]) -> bool:
        """Whether a message to this exchange, with this routing key, has been taken before."""
        return way in self._ways

    def learn(self, way: tuple[str, str]) -> None:
        """One has."""
        if len(self._ways) >= WAYS_KEPT:
            self._ways.clear()
        self._ways.add(way)

    def listen(self, timeout_s: float) -> None:
        """Take in what the broker says next; TimeoutError."""
        self._connection.drain_events(timeout=timeout_s)

    def _acked(self, number: int, multiple: bool) -> None:
        self._close(self._meant(number, multiple))

    def _nacked(self, number: int, multiple: bool) -> None:
        meant = self._meant(number, multiple)
        self._refused |= meant
        self._close(meant)

    def _close(self, numbers: set[int]) -> None:
        for number in numbers:
            self._open.pop(number, None)

    def _meant(self, number: int, multiple: bool) -> set[int]:
        return {each for each in self._open if each <= number} if multiple else {number}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A message on its way."""

    channel: ConfirmingChannel
    number: int
