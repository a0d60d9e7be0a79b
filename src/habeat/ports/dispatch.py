"""A leader's calls to the store: what is due, claims, settling, intents and requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from habeat.core.circuit import Circuit
from habeat.core.controls import StoredControls
from habeat.core.data_loss import Loss
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.lease import Fence, Token
from habeat.ports.host import PendingCall
from habeat.ports.lease import Unfenced
from habeat.ports.publisher import Rendered

#: The prefix that, with the size in bytes, replaces the digest of a definition too large to hash.
LARGE = "large:"


@dataclass(frozen=True, slots=True)
class DueEntry:
    """A due entry as the tick read it; `digest` identifies its stored definition.

    `cursor_ms` is None if its state is unreadable; `fired` is how often it has fired.
    """

    name: str
    due_ms: int
    digest: str
    cursor_ms: int | None
    fired: int = 0
    #: Set while the circuit is open: only probes are sent.
    circuit: Circuit | None = None

    @property
    def large_bytes(self) -> int:
        """The size of the definition if it is too large; otherwise 0."""
        return int(self.digest.removeprefix(LARGE)) if self.digest.startswith(LARGE) else 0


@dataclass(frozen=True, slots=True)
class Tick:
    """What a leader reads in one tick."""

    now_us: int
    heartbeat: int
    next_due_ms: int | None
    listeners: int | None
    #: When the next intent in flight must be resent; None if there is none.
    resend_ms: int | None
    loss: Loss
    due: Sequence[DueEntry]
    #: When the next request is due; None if there is none.
    request_ms: int | None = None
    resumes: Sequence[str] = ()
    #: The controls, if they are not those that the caller knew.
    controls: StoredControls | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a plan is based on, and what must still hold when the script runs."""

    digest: str
    due_ms: int
    cursor_ms: int


@dataclass(frozen=True, slots=True)
class Next:
    """An entry's next slot and when it is due; None if there is none."""

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
    #: What is left of the request after this firing is claimed; empty if nothing is.
    remains: bytes = b""
    #: What the store prepared before it was due (`DispatchStore.ready`); only the store uses it.
    readied: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Skip:
    """A run of slots that will not fire, and the cursor after it."""

    entry: str
    expected: Expected
    next: Next
    run: SkippedRun
    new_cursor_ms: int


@dataclass(frozen=True, slots=True)
class Statuses:
    """One status word for each item of the call, in order."""

    now_us: int
    words: Sequence[str]
    heartbeat: int = 0


@dataclass(frozen=True, slots=True)
class Departed:
    """A message that was sent: when (Redis' time), at which attempt, and to which queue.

    `queue` is "" if it is unknown. With an `outcome`, nothing was sent, for this `reason`: the
    firing is settled all the same.
    """

    entry: str
    identity: str
    left_ms: int
    attempt: int
    queue: str = ""
    outcome: Outcome | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request for extra firings as stored; `digest` identifies the stored text."""

    identity: str
    digest: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class DueRequests:
    """Requests that are due; the entries take turns."""

    requests: Sequence[StoredRequest]
    heartbeat: int = 0


@dataclass(frozen=True, slots=True)
class Intent:
    """A claimed firing of the outbox whose message may not have been sent."""

    entry: str
    identity: str
    attempts: int
    effective_ms: int
    delivery: str
    envelope: bytes
    #: When the message expires; None if never.
    expires_ms: int | None = None

    @property
    def field(self) -> str:
        return f"{self.entry}@{self.identity}"


@dataclass(frozen=True, slots=True)
class Recovered:
    """Intents to resend now; the others wait until `wait_until_ms`."""

    now_us: int
    wait_until_ms: int | None
    intents: Sequence[Intent]
    heartbeat: int = 0


@dataclass(frozen=True, slots=True)
class Marked:
    """An intent about to be resent: the number of the attempt, 0 if it must not be sent.

    In that case it was `buried`, or it no longer exists, because it has been settled meanwhile or
    its message has expired.
    """

    attempt: int
    buried: bool = False
    heartbeat: int = 0


#: Answers with the heartbeat, which must never go back for a leader.
Beaten = Tick | Statuses | Recovered | Marked | DueRequests


#: The queues, other than the entries, whose items wait until they are due.
Queue = Literal["requests", "inflight"]


class DispatchStore(Protocol):
    """A leader's calls to the store; those with a `fence` are fenced."""

    def tick(
        self,
        fence: Fence,
        limit: int,
        ahead_ms: int = 0,
        offset: int = 0,
        lost_after_ms: int | None = None,
    ) -> Tick | Unfenced:
        """What is due, or will be within `ahead_ms`: up to `limit` entries after `offset` others.

        With `lost_after_ms` it declares a loss of data that the caller suspects; the value is when
        the lost timeline last answered the caller, 0 if unknown.
        """
        ...

    def definitions(self, names: Sequence[str]) -> Sequence[bytes | None]: ...

    def claim(
        self, fence: Fence, claims: Sequence[Claim], *, atomic: bool
    ) -> Statuses | Unfenced: ...

    def ready(self, claim: Claim) -> Claim:
        """The same claim, with everything prepared that can be before it is due."""
        ...

    def send_claim(
        self, fence: Fence, claims: Sequence[Claim], *, atomic: bool
    ) -> PendingCall[Statuses | Unfenced]:
        """A claim whose answer is read later; StoreUnavailable if it cannot be sent."""
        ...

    def settle(self, token: Token, departed: Sequence[Departed]) -> int: ...

    def send_settle(self, token: Token, departed: Sequence[Departed]) -> PendingCall[int]:
        """The same, with the answer read later; StoreUnavailable if it cannot be sent."""
        ...

    def skip(self, fence: Fence, skips: Sequence[Skip]) -> Statuses | Unfenced: ...

    def recover(self, fence: Fence, limit: int) -> Recovered | Unfenced: ...

    def mark(
        self, fence: Fence, intent: Intent, cap: int, bury: str, pause_ms: int, why: str = ""
    ) -> Marked | Unfenced:
        """Count an attempt; give the intent up at the cap, or if `bury` has a reason to.

        `why` is the reason of the last failure and is kept with an intent that is given up. If this
        attempt fails too, the intent is recovered again only after `pause_ms`.
        """
        ...

    def asked(self, fence: Fence, limit: int) -> DueRequests | Unfenced:
        """Requests that are due; the entries they are for take turns."""
        ...

    def put_off(
        self, fence: Fence, queue: Queue, fields: Sequence[str], until_ms: int
    ) -> Statuses | Unfenced:
        """Postpone these items to `until_ms`: requests by their id, intents by their field."""
        ...

    def drop(
        self, fence: Fence, request: StoredRequest, entry: str, slot_ms: int, why: str
    ) -> Statuses | Unfenced: ...

    def circuits(self) -> Mapping[str, Circuit]:
        """The open circuits, by entry."""
        ...

    def keep_circuits(
        self, fence: Fence, changes: Sequence[tuple[str, str, Circuit | None]]
    ) -> Statuses | Unfenced:
        """Open or close circuits: entry, digest of its failed definition, and None to close."""
        ...

    def defer(self, fence: Fence, due: DueEntry, until_ms: int | None) -> Statuses | Unfenced: ...

    def quarantine(self, fence: Fence, due: DueEntry, why: str) -> Statuses | Unfenced: ...
