"""The ports themselves: what each side of the world must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from habeat.core.circuit import Circuit
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.core.history import Known
from habeat.core.lease import Fence, Observation, Token
from habeat.ports.values import (
    Answered,
    Claim,
    Departed,
    DueEntry,
    DueRequests,
    Intent,
    Look,
    Marked,
    Parcel,
    Recovered,
    Refused,
    Registration,
    Rendered,
    Request,
    ScheduleAnswer,
    Skip,
    Statuses,
    Tick,
    Unfenced,
    Won,
)
from habeat.schedules.custom import Asked

Answer = TypeVar("Answer", covariant=True)
#: What waits until it is due, beside the entries.
Queue = Literal["requests", "inflight"]


class Sent(Protocol[Answer]):
    """A call that is under way.

    `result` waits for its answer, `has_come` tells whether that would take no time, and `drop`
    waits no longer: it tells what has come already.
    """

    def result(self) -> Answer: ...

    def has_come(self) -> bool: ...

    def drop(self) -> Answer | None: ...


class Clock(Protocol):
    """This host's clocks."""

    def monotonic_us(self) -> int: ...

    def wall_ms(self) -> int: ...


class ScheduleAsker(Protocol):
    """Asks schedules of the user's code, elsewhere than in the loop, each with a time limit."""

    def ask(self, due: DueEntry, schedule: Asked, now_ms: int) -> ScheduleAnswer:
        """The answer for an entry as it stands; asks if that was not done yet.

        Returns at once. An answer "due" is repeated until the entry's cursor has moved.
        """
        ...


class Line(Protocol):
    """The pub/sub connection: it is waited on, and its subscription shows that we live."""

    def open(self) -> bool:
        """Subscribe (again); True if that had to be done, so state must be read anew."""
        ...

    def wait(self, timeout_ms: float) -> frozenset[str]:
        """Wait until something is said or the time is up; drains all that was said."""
        ...

    def resubscribe(self) -> None:
        """Throw the connection away; the next `open` makes it anew."""
        ...


class ElectionStore(Protocol):
    """What the election needs: the lease and its neighbours, a script each."""

    def acquire(self, nonce: str, ttl_ms: int, known: Known) -> Won | Refused:
        """Take the lease if it is free."""
        ...

    def steal(
        self, nonce: str, ttl_ms: int, known: Known, cause: str, seen: Observation
    ) -> Won | Refused: ...

    def observe(self) -> Look: ...

    def release(self, token: Token | None, nonce: str) -> None: ...

    def register(
        self, nonce: str, info: str, fingerprint: str, declared: int, generation: int = 0
    ) -> Registration:
        """`generation` is what this process was given before in this history, 0 if nothing."""
        ...


class DispatchStore(Protocol):
    """What a leader needs; all fenced but `settle` and `definitions`."""

    def tick(
        self,
        fence: Fence,
        limit: int,
        ahead_ms: int = 0,
        offset: int = 0,
        lost_after_ms: int | None = None,
    ) -> Tick | Unfenced:
        """What is due, or will be within `ahead_ms`: so many entries, after the first `offset`.

        With `lost_after_ms` it declares a loss of data: the caller suspects one, and that is when
        the lost history last answered it (0 if that is not known).
        """
        ...

    def definitions(self, names: Sequence[str]) -> Sequence[bytes | None]: ...

    def claim(
        self, fence: Fence, claims: Sequence[Claim], *, atomic: bool
    ) -> Statuses | Unfenced: ...

    def ready(self, claim: Claim) -> Claim:
        """The same claim, with all done for its sending that can be done before it is due."""
        ...

    def send_claim(
        self, fence: Fence, claims: Sequence[Claim], *, atomic: bool
    ) -> Sent[Statuses | Unfenced]:
        """A claim whose answer is read later; StoreUnavailable if it cannot be sent."""
        ...

    def settle(self, token: Token, departed: Sequence[Departed]) -> int: ...

    def send_settle(self, token: Token, departed: Sequence[Departed]) -> Sent[int]:
        """The same, its answer read later; StoreUnavailable if it cannot be sent."""
        ...

    def skip(self, fence: Fence, skips: Sequence[Skip]) -> Statuses | Unfenced: ...

    def recover(self, fence: Fence, limit: int) -> Recovered | Unfenced: ...

    def mark(
        self,
        fence: Fence,
        intent: Intent,
        cap: int,
        bury: str,
        pause_ms: int,
        why: str = "",
    ) -> Marked | Unfenced:
        """Count an attempt; at the cap, or if `bury` says why it may not be repeated, end it.

        `why` the last attempt failed is kept with what is ended.

        If this attempt fails too, the intent is not recovered again before the pause is over.
        """
        ...

    def asked(self, fence: Fence, limit: int) -> DueRequests | Unfenced:
        """Requests that are due, in turns between the entries that they are for."""
        ...

    def put_off(
        self, fence: Fence, queue: Queue, fields: Sequence[str], until_ms: int
    ) -> Statuses | Unfenced:
        """Look at these at that instant: requests by their id, intents by their field."""
        ...

    def drop(
        self, fence: Fence, request: Request, entry: str, slot_ms: int, why: str
    ) -> Statuses | Unfenced: ...

    def circuits(self) -> Mapping[str, Circuit]:
        """Those that are open, by entry."""
        ...

    def keep_circuits(
        self, fence: Fence, changes: Sequence[tuple[str, str, Circuit | None]]
    ) -> Statuses | Unfenced:
        """Open or close circuits: name, digest of the definition that failed, None to close."""
        ...

    def defer(self, fence: Fence, due: DueEntry, until_ms: int | None) -> Statuses | Unfenced: ...

    def quarantine(self, fence: Fence, due: DueEntry, why: str) -> Statuses | Unfenced: ...


class Handed(Protocol):
    """A packet of messages that was handed to the broker, whose answers are read later."""

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
