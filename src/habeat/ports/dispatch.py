"""What a leader asks of the store: what is due, claims, settlings, intents and requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from habeat.core.circuit import Circuit
from habeat.core.firing import Firing, SkippedRun
from habeat.core.history import Loss
from habeat.core.lease import Fence, Token
from habeat.ports.host import PendingCall
from habeat.ports.lease import Unfenced
from habeat.ports.publisher import Rendered

#: In place of a digest, with the size in bytes behind it: a definition too large to be hashed.
LARGE = "large:"


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
    #: Set while nothing of it is sent, but for probes.
    circuit: Circuit | None = None

    @property
    def large_bytes(self) -> int:
        """The size of a definition that is larger than it may be; 0 of any other."""
        return int(self.digest.removeprefix(LARGE)) if self.digest.startswith(LARGE) else 0


@dataclass(frozen=True, slots=True)
class Tick:
    """What a leader sees in one look around."""

    now_us: int
    heartbeat: int
    next_due_ms: int | None
    listeners: int | None
    #: When the next intent in flight wants to be sent again; None if none does.
    resend_ms: int | None
    loss: Loss
    due: Sequence[DueEntry]
    #: When the next request wants to be looked at.
    request_ms: int | None = None
    resumes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What an entry was planned from, and what must still hold when the script runs."""

    digest: str
    due_ms: int
    cursor_ms: int


@dataclass(frozen=True, slots=True)
class Next:
    """Where an entry goes on: its next slot and when that is due; None where there is none."""

    slot_ms: int | None
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class Claim:
    """One firing to claim."""

    firing: Firing
    expected: Expected
    next: Next
    rendered: Rendered
    delivery: str
    #: What is left of the request once this firing is claimed; empty if nothing is.
    remains: bytes = b""
    #: What the store has made of it before it was due (`DispatchStore.ready`), for itself.
    readied: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Skip:
    """One run of slots that will not fire: from its first to where the cursor goes."""

    entry: str
    expected: Expected
    next: Next
    run: SkippedRun
    new_cursor_ms: int


@dataclass(frozen=True, slots=True)
class Statuses:
    """A word for each firing asked about, in order."""

    now_us: int
    words: Sequence[str]
    heartbeat: int = 0


@dataclass(frozen=True, slots=True)
class Departed:
    """A message that left: when (Redis time), and at which attempt."""

    entry: str
    identity: str
    left_ms: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """Extra firings that somebody asked for, as stored; `digest` names what is stored."""

    identity: str
    digest: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class DueRequests:
    """Requests that are due, each entry's in its turn."""

    now_us: int
    requests: Sequence[StoredRequest]
    heartbeat: int = 0


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
    heartbeat: int = 0


@dataclass(frozen=True, slots=True)
class Marked:
    """An intent about to be sent again: the attempt's number, 0 if it must not be sent.

    Then it was `buried`, or it is gone: its message had left, and somebody else has settled it.
    """

    attempt: int
    buried: bool = False
    heartbeat: int = 0


#: Answers that say how the heartbeat stands; what a leader has seen of it must never go back.
Beaten = Tick | Statuses | Recovered | Marked | DueRequests


#: What waits until it is due, beside the entries.
Queue = Literal["requests", "inflight"]


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
    ) -> PendingCall[Statuses | Unfenced]:
        """A claim whose answer is read later; StoreUnavailable if it cannot be sent."""
        ...

    def settle(self, token: Token, departed: Sequence[Departed]) -> int: ...

    def send_settle(self, token: Token, departed: Sequence[Departed]) -> PendingCall[int]:
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
        self, fence: Fence, request: StoredRequest, entry: str, slot_ms: int, why: str
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
