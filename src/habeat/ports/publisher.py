"""Celery's side: builds the message of a firing, and with the outbox sends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.errors import BrokerUnavailable, PublishRefused


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready to leave.

    `commands` (atomic) are the broker's Redis commands, words as they go over the wire;
    `envelope` (outbox) is the message in our own form, kept with the intent for a resend;
    `packet` (outbox, with a Redis broker) is the same message as the broker's Redis commands, for
    its first sending from this process, and may be empty;
    not `repeatable` where only this process could send it;
    `code_us` is how long code of others took to build it, None where none ran (yet).
    """

    envelope: bytes = b""
    commands: Sequence[Sequence[bytes | str | int]] = ()
    repeatable: bool = True
    packet: Sequence[Sequence[bytes | str | int]] = ()
    code_us: int | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """The message of a claimed firing on its way to the broker, at its n-th attempt."""

    entry: str
    identity: str
    envelope: bytes
    attempt: int
    packet: Sequence[Sequence[bytes | str | int]] = ()


#: What became of one message: taken (None), refused for its own sake, or unknown.
Answered = PublishRefused | BrokerUnavailable | None


class Handed(Protocol):
    """A packet of messages that was handed to the broker, whose answers are read later."""

    @property
    def code_us(self) -> int | None:
        """How long a task's own code took to send this one message; None if Celery sent it."""
        ...

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        """What became of each message, in order, once the broker has answered; never raises.

        A message without an answer within the time is BrokerUnavailable: it may have arrived.
        """
        ...


class Publisher(Protocol):
    """Celery's side: builds messages, and with the outbox sends them."""

    #: True when the store's claim carries the message itself.
    atomic: bool

    @property
    def packets(self) -> int:
        """How many packets may be under way at once: 2 where the broker confirms later."""
        ...

    def prepare(self, timeout_ms: int) -> None:
        """Decide which dispatch is possible, if that is still open; BrokerUnavailable."""
        ...

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        """The message of a firing; RenderFailed if the entry cannot be sent at all.

        With commands it leaves by the atomic claim, else by the outbox.
        """
        ...

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        """The message of a firing that is not due yet; None unless it can be made unseen."""
        ...

    def refused_push(self, commands: Sequence[Sequence[bytes | str | int]], why: str) -> bool:
        """The claim may not enqueue where these go: use the outbox there, if that is allowed."""
        ...

    def connect(self, timeout_ms: int) -> None: ...

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Handed:
        """Hand a packet of messages to the broker, all within the time; never raises.

        What fails on the way is in the answers. Nothing leaves after the time is over.
        """
        ...
