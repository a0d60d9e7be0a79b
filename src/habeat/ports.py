"""What the engine needs of the world: a clock, a store, a publisher, a line to hear by.

The protocol is written against these and runs the same over Redis and over a simulator. Every
call may raise `StoreUnavailable` (the effect is unknown; every call may be repeated), and a
fenced call answers `Lost` instead of a result when another token holds the lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.core.lease import Observation, Token
from habeat.errors import BrokerUnavailable as BrokerUnavailable
from habeat.errors import PublishRefused as PublishRefused
from habeat.errors import RenderBypassed as RenderBypassed
from habeat.errors import RenderFailed as RenderFailed
from habeat.errors import StoreUnavailable as StoreUnavailable

Answer = TypeVar("Answer", covariant=True)


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease is not ours: `holder` is the token that has it, "" if none."""

    holder: str


@dataclass(frozen=True, slots=True)
class Won:
    """The lease is ours. `history` is first, continued, emptied or restored."""

    token: Token
    now_us: int
    cluster: str
    heartbeat: int
    history: str
    history_lost_ms: int
    already: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The lease is not to be had. `foreign` is set where it never will be, as things stand."""

    why: str
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What a replica knows of the history; a store that knows less has lost data."""

    cluster: str = ""
    epoch: int = 0
    heartbeat: int = 0
    history_lost_ms: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """A standby's look: the observation, and what Redis says of its history."""

    seen: Observation
    known: Known
    now_us: int


@dataclass(frozen=True, slots=True)
class DueEntry:
    """An entry that is due, as the tick found it; `digest` names its stored definition.

    `cursor_ms` is None where its state cannot be read; `fired` is how often it has fired.
    """

    name: str
    due_ms: int
    digest: str
    cursor_ms: int | None
    fired: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """What a leader sees in one look around."""

    now_us: int
    heartbeat: int
    next_due_ms: int | None
    listeners: int | None
    in_flight: int
    history_lost_ms: int
    due: Sequence[DueEntry]
    requests: int = 0
    resumes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready to leave.

    `commands` (atomic) are the broker's Redis commands, words as they go over the wire;
    `envelope` (outbox) is the message in our own form, kept with the intent for a resend;
    not `repeatable` where only this process could send it.
    """

    envelope: bytes = b""
    commands: Sequence[Sequence[bytes | str | int]] = ()
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """One firing to claim, with all that must still be true when the script runs."""

    firing: Firing
    digest: str
    planned_due_ms: int
    cursor_ms: int
    next_slot_ms: int | None
    next_due_ms: int | None
    rendered: Rendered
    delivery: str
    #: What is left of the request once this firing is claimed; empty if nothing is.
    remains: bytes = b""


@dataclass(frozen=True, slots=True)
class Request:
    """Extra firings that somebody asked for, as stored; `digest` names what is stored."""

    identity: str
    digest: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Skip:
    """One run of slots that will not fire, with all that must still be true."""

    entry: str
    digest: str
    planned_due_ms: int
    cursor_ms: int
    new_cursor_ms: int
    next_slot_ms: int | None
    next_due_ms: int | None
    outcome: str
    reason: str
    first_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Statuses:
    """A word for each firing asked about, in order."""

    now_us: int
    words: Sequence[str]


class Sent(Protocol[Answer]):
    """A call that is under way: `result` waits for its answer, `drop` leaves it unread."""

    def result(self) -> Answer: ...

    def drop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Intent:
    """A claimed firing of the outbox whose message may not have left."""

    entry: str
    identity: str
    attempts: int
    effective_ms: int
    delivery: str
    envelope: bytes

    @property
    def field(self) -> str:
        return f"{self.entry}@{self.identity}"


@dataclass(frozen=True, slots=True)
class Recovered:
    """Intents that are ours to resend; others wait until `wait_until_ms`."""

    now_us: int
    wait_until_ms: int | None
    intents: Sequence[Intent]


@dataclass(frozen=True, slots=True)
class Departed:
    """A message that left: when (Redis time), and at which attempt."""

    entry: str
    identity: str
    left_ms: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Registration:
    """Where a replica stands among the live ones."""

    now_us: int
    rank: int
    generation: int


class Clock(Protocol):
    """This host's clocks."""

    def monotonic_us(self) -> int: ...

    def wall_ms(self) -> int: ...


class Line(Protocol):
    """The pub/sub connection: it is waited on, and its subscription shows that we live."""

    def open(self) -> bool:
        """Subscribe (again); True if that had to be done, so state must be read anew."""
        ...

    def wait(self, timeout_ms: int) -> frozenset[str]:
        """Wait until something is said or the time is up; drains all that was said."""
        ...

    def resubscribe(self) -> None:
        """Throw the connection away; the next `open` makes it anew."""
        ...


class ElectionStore(Protocol):
    """What the election needs: the lease and its neighbours, a script each."""

    def acquire(
        self, nonce: str, ttl_ms: int, known: Known, vanished: str = "", trusted_ms: int = 0
    ) -> Won | Refused:
        """Take the lease if it is free; `vanished` is a token that is trusted so long yet."""
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
    """What a leader needs; all fenced by its token but `settle` and `definitions`."""

    def tick(
        self,
        token: Token,
        ttl_ms: int,
        limit: int,
        heartbeat: int,
        ahead_ms: int = 0,
        offset: int = 0,
    ) -> Tick | Lost:
        """What is due, or will be within `ahead_ms`: so many entries, after the first `offset`."""
        ...

    def definitions(self, names: Sequence[str]) -> Sequence[bytes | None]: ...

    def claim(
        self, token: Token, ttl_ms: int, claims: Sequence[Claim], *, atomic: bool
    ) -> Statuses | Lost: ...

    def send_claim(
        self, token: Token, ttl_ms: int, claims: Sequence[Claim]
    ) -> Sent[Statuses | Lost]:
        """An atomic claim whose answer is read later; StoreUnavailable if it cannot be sent."""

    def settle(self, token: Token, departed: Sequence[Departed]) -> int: ...

    def send_settle(self, token: Token, departed: Sequence[Departed]) -> Sent[int]:
        """The same, its answer read later; StoreUnavailable if it cannot be sent."""

    def skip(self, token: Token, ttl_ms: int, skips: Sequence[Skip]) -> Statuses | Lost: ...

    def recover(self, token: Token, ttl_ms: int, limit: int) -> Recovered | Lost: ...

    def mark(
        self, token: Token, ttl_ms: int, intent: Intent, cap: int, bury: str
    ) -> int | Lost | None:
        """The attempt's number; None if the intent is buried, 0 if it is gone."""
        ...

    def requests(self, limit: int) -> Sequence[Request]: ...

    def drop(
        self, token: Token, ttl_ms: int, request: Request, entry: str, slot_ms: int, why: str
    ) -> Statuses | Lost: ...

    def defer(
        self, token: Token, ttl_ms: int, due: DueEntry, until_ms: int | None
    ) -> Statuses | Lost: ...

    def quarantine(self, token: Token, ttl_ms: int, due: DueEntry, why: str) -> Statuses | Lost: ...


class Publisher(Protocol):
    """Celery's side: builds messages, and with the outbox sends them."""

    #: True when the store's claim carries the message itself.
    atomic: bool

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

    def give_up_atomic(self, why: str) -> bool:
        """The claim may not enqueue: use the outbox from now on, if that is allowed."""
        ...

    def connect(self, timeout_ms: int) -> None: ...

    def publish(self, envelope: bytes, attempt: int, timeout_ms: int) -> None:
        """Hand one message to the broker within the time; BrokerUnavailable, PublishRefused."""
        ...
