"""What goes back and forth between the engine and the store: requests and answers, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from habeat.core.circuit import Circuit
from habeat.core.firing import Firing
from habeat.core.history import Known, Loss
from habeat.core.lease import Observation, Token
from habeat.errors import BrokerUnavailable, PublishRefused
from habeat.schedules.custom import Told


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease is not ours: `holder` is the token that has it, "" if none."""

    holder: str


@dataclass(frozen=True, slots=True)
class Behind:
    """Redis knows less than the caller of a fenced call: it has lost data, and did nothing."""

    now_us: int
    heartbeat: int


#: Why a fenced call was refused; nothing was written.
Unfenced = Lost | Behind


@dataclass(frozen=True, slots=True)
class Won:
    """The lease is ours. `history` is first, continued, emptied or restored."""

    token: Token
    now_us: int
    cluster: str
    heartbeat: int
    history: str
    loss: Loss
    already: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The lease is not to be had. `foreign` is set where it never will be, as things stand."""

    why: str
    foreign: bool = False


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
    #: Set while nothing of it is sent, but for probes.
    circuit: Circuit | None = None


@dataclass(frozen=True, slots=True)
class ScheduleAnswer:
    """What a schedule of code said when it was asked at `at_ms`, Redis time.

    While it has said nothing, `told` is None; `failed` says why there will be no answer.
    """

    at_ms: int
    told: Told | None = None
    failed: str = ""


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
class Rendered:
    """A message ready to leave.

    `commands` (atomic) are the broker's Redis commands, words as they go over the wire;
    `envelope` (outbox) is the message in our own form, kept with the intent for a resend;
    `packet` (outbox, with a Redis broker) is the same message as the broker's Redis commands, for
    its first sending from this process, and may be empty;
    not `repeatable` where only this process could send it.
    """

    envelope: bytes = b""
    commands: Sequence[Sequence[bytes | str | int]] = ()
    repeatable: bool = True
    packet: Sequence[Sequence[bytes | str | int]] = ()


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
    #: What the store has made of it before it was due (`DispatchStore.ready`), for itself.
    readied: object = field(default=None, compare=False, repr=False)


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


@dataclass(frozen=True, slots=True)
class DueRequests:
    """Requests that are due, each entry's in its turn."""

    now_us: int
    requests: Sequence[Request]
    heartbeat: int = 0


#: Answers that say how the heartbeat stands; what a leader has seen of it must never go back.
Beaten = Tick | Statuses | Recovered | Marked | DueRequests


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


@dataclass(frozen=True, slots=True)
class Departed:
    """A message that left: when (Redis time), and at which attempt."""

    entry: str
    identity: str
    left_ms: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Registration:
    """Where a replica stands among the live ones, and how many of its names are kept."""

    now_us: int
    rank: int
    generation: int
    names: int
