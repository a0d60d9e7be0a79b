"""The Celery side: it builds the message of a firing, and with the outbox sends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.errors import BrokerUnavailable, PublishRefused


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message that is ready to be sent.

    `commands` (atomic) are the broker's Redis commands, word by word as sent to the server.
    `envelope` (outbox) is the message in our own form, stored with the intent for a resend.
    `packet` (outbox with a Redis broker) is the same message as the broker's Redis commands, for
    the first attempt by this process; it may be empty.
    `repeatable` is false if only this process can send it.
    `code_us` is how long code other than habeat's took to build it; None if none has run yet.
    `task` is the task's name if the firing is still to be logged; "" if Celery has logged it.
    `expires_ms` is when the message says that it expires (Unix ms); None if never.
    `queue` is where it goes, for the ledger: a queue or a routing key; "" if unknown.
    `unsent` is true in a shadow: `envelope` describes the message, and the claim only records it.
    """

    envelope: bytes = b""
    commands: Sequence[Sequence[bytes | str | int]] = ()
    repeatable: bool = True
    packet: Sequence[Sequence[bytes | str | int]] = ()
    code_us: int | None = None
    task: str = ""
    expires_ms: int | None = None
    unsent: bool = False
    queue: str = ""

    @property
    def ends_with_claim(self) -> bool:
        """Whether nothing is left to do once it is claimed: there is no intent to settle."""
        return self.unsent or bool(self.commands)


@dataclass(frozen=True, slots=True)
class Parcel:
    """The message of a claimed firing, to be published at this attempt."""

    entry: str
    identity: str
    envelope: bytes
    attempt: int
    packet: Sequence[Sequence[bytes | str | int]] = ()
    expires_ms: int | None = None
    queue: str = ""

    def has_expired(self, now_ms: int) -> bool:
        """Whether its worker would discard it."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


@dataclass(frozen=True, slots=True)
class Unsent:
    """The task's own code published nothing for sure: it declined to, or it failed before.

    `reason` is for the ledger, `why` for the log: the error, "" if it just returned.
    """

    reason: str
    why: str
    declined: bool


#: The result for one message: accepted (None), refused because of the message, unknown, or
#: not sent by the task's own code.
Answered = PublishRefused | BrokerUnavailable | Unsent | None


class Handed(Protocol):
    """A packet of messages handed to the broker; its answers are read later."""

    @property
    def code_us(self) -> int | None:
        """How long a task's own code took to send this one message; None if Celery sent it."""
        ...

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        """The result for each message, in order, when the broker has answered; never raises.

        A message without an answer in time gets BrokerUnavailable: it may have arrived.
        """
        ...


class Publisher(Protocol):
    """The Celery side: it builds messages, and with the outbox sends them."""

    #: Whether the store's claim carries the message itself.
    atomic: bool

    @property
    def packets(self) -> int:
        """How many packets may be sent before the first is confirmed: 2 with delayed confirms."""
        ...

    def prepare(self, timeout_ms: int) -> None:
        """Decide which dispatch is possible, unless that is decided; BrokerUnavailable."""
        ...

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        """The message of a firing; RenderFailed if the entry cannot be sent at all.

        With `commands` the atomic claim sends it, otherwise the outbox does.
        """
        ...

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        """The message of a firing that is not due yet; None if other code would notice."""
        ...

    def may_foresee(self) -> bool:
        """Whether foreseen messages may be sent; False once other code wants to see each one."""
        ...

    def refused_push(self, commands: Sequence[Sequence[bytes | str | int]], why: str) -> bool:
        """The claim may not enqueue to these keys; returns whether the outbox is used instead."""
        ...

    def connect(self, timeout_ms: int) -> None: ...

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Handed:
        """Hand a packet of messages to the broker within the time; never raises.

        Failures are in the answers. Nothing is sent after the timeout.
        """
        ...
