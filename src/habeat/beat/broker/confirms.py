"""RabbitMQ's publisher confirms, awaited while the next message is on its way.

py-amqp waits for the confirmation of each message before it sends the next: about a millisecond
each, in which both sides are idle. On this channel, which is in confirm mode, a publish does not
wait. The broker numbers the messages published on a channel from 1 and acknowledges or refuses one
number, or all numbers up to it.

    published ──ack──► taken
        │ └────nack──► refused
        └── the channel or its connection fails: unknown

If it is unknown whether a message was taken, its intent stays in flight, as after any failed
publish. With other transports (Redis, SQS), a message is taken when the publish returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kombu import Connection

WAYS_KEPT = 10_000


class Nacked(Exception):
    """The broker refused a published message, for example because its queue is full."""


class ConfirmingChannel:
    """A py-amqp channel that tracks the broker's answer to each message."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.channel: Any = connection.channel()
        # With `confirm_publish`, py-amqp gives its channels a publish that waits: remove it.
        self.channel.__dict__.pop("basic_publish", None)
        self._last = 0
        #: The messages not answered yet, by number, each with its entry.
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
        """Register that a message of this entry was published; returns its ticket."""
        self._last += 1
        self._open[self._last] = entry
        return Ticket(self, self._last)

    def open_entries(self) -> set[str]:
        """The entries whose messages the broker has not answered yet."""
        return set(self._open.values()) - {""}

    def awaits(self, number: int) -> bool:
        """Whether this message is still unanswered; with 0, whether any is. Nacked."""
        if number in self._refused:
            self._refused.discard(number)
            raise Nacked("the broker refused the message")
        return number in self._open if number else bool(self._open)

    def knows(self, way: tuple[str, str]) -> bool:
        """Whether the broker has taken a message with this exchange and routing key before."""
        return way in self._ways

    def learn(self, way: tuple[str, str]) -> None:
        """Remember that the broker has taken one."""
        if len(self._ways) >= WAYS_KEPT:
            self._ways.clear()
        self._ways.add(way)

    def listen(self, timeout_s: float) -> None:
        """Read and process what the broker sends next; TimeoutError."""
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
