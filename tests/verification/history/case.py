"""What the judges of all groups of invariants share during the single pass over a history."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache

from habeat.core.entry import Delivery, Entry
from habeat.entries.codec import decode
from habeat.errors import DefinitionError
from tests.verification.history.events import Arrival, Expectation, Fault, Gap, Kind, Words

#: By how much the clock of a leader, anchored at its last look, may be behind what the server's was
#: shortly before: a step back since then is not in it yet.
ANCHORED_US = 3_000_000

#: (entry, identity): what names a firing.
Name = tuple[str, str]


@dataclass(slots=True)
class Claim:
    """One successful claim, and what became of it."""

    at_us: int
    server_us: int
    history: int
    token: str
    atomic: bool
    #: Of which life of its entry (cursors.py).
    life: object
    #: The message left, or the intent was given up; None while it is in flight.
    ended_us: int | None = None
    once: bool = False
    #: What the ledger says, in order; more than one only where data was lost between.
    outcomes: list[str] = field(default_factory=list)
    #: attempt -> nonce of who was to send it
    senders: dict[int, str] = field(default_factory=dict)
    #: When it was to fire, by the server's clock; 0 for one that was asked for by hand.
    effective_us: int = 0
    #: When its entry had last been changed.
    touched_us: int = 0
    #: When its message expires, by the server's clock; None if never, or nobody knows.
    expires_ms: int | None = None
    #: The ledger says that nothing was sent, because the task's own code did not.
    unsent: bool = False


@dataclass(slots=True)
class Firing:
    """All that happened to one (entry, identity)."""

    claims: list[Claim] = field(default_factory=list)
    copies: list[Arrival] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must not have happened."""

    at_us: int
    invariant: str
    text: str
    entry: str = ""
    identity: str = ""


@dataclass(slots=True)
class Loss:
    """A loss of data, and what of each slot survived it; `known` is False if that is unknown."""

    at_us: int
    known: bool
    cursors: dict[str, int]
    flying: set[bytes]
    #: The same moment by the server's clock; until when it may be dated.
    server_ms: int = 0

    def forgot(self, entry: str, identity: str) -> bool:
        """Whether the claim of this firing, or its settling, was lost.

        An entry of which nothing was left is created again, after its old slots: none can recur.
        """
        if "#" in identity or f"{entry}@{identity}".encode() in self.flying:
            return True
        cursor_ms = self.cursors.get(entry)
        return cursor_ms is not None and cursor_ms < int(identity)


@dataclass(slots=True)
class Case:
    """The present moment of the walk, and what it has found so far."""

    expectation: Expectation
    faults: list[Fault] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    firings: dict[Name, Firing] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    explained: Counter[Kind] = field(default_factory=Counter)
    definitions: dict[str, Entry | None] = field(default_factory=dict)
    at_us: int = 0
    server_us: int = 0
    #: When the server's clock has been seen to have leapt ahead, and by how much.
    leaps: list[tuple[int, int]] = field(default_factory=list)
    #: The same where it was put back.
    setbacks: list[tuple[int, int]] = field(default_factory=list)
    #: The moment of the last write, which `server_us` is of.
    walked_us: int = 0
    #: Rises with each loss of data.
    history: int = 0
    #: What the lease was last known to be.
    token: str = ""
    #: The moment of the last event.
    ends_us: int = 0

    def wrong(self, invariant: str, text: str, entry: str = "", identity: str = "") -> None:
        self.problems.append(Problem(self.at_us, invariant, text, entry, identity))

    def firing(self, entry: str, identity: str) -> Firing:
        name = (entry, identity)
        found = self.firings.get(name)
        if found is None:
            found = self.firings[name] = Firing()
        return found

    def firing_again(self, entry: str, identity: str) -> Firing:
        """The life of another entry, which takes over what is known."""
        copies = self.firing(entry, identity).copies
        found = Firing(copies=[copy for copy in copies if copy.at_us >= self.at_us])
        self.firings[entry, identity] = found
        return found

    def claim_of(self, entry: str, identity: str) -> Claim | None:
        """The latest claim of a firing."""
        found = self.firings.get((entry, identity))
        return found.claims[-1] if found is not None and found.claims else None

    def effective_ms(self, entry: str, slot_ms: int) -> int:
        """When a slot was to fire, as far as that is known."""
        given = self.expectation.effective_ms
        if given is not None:
            return given(entry, slot_ms)
        definition = self.definitions.get(entry)
        return slot_ms if definition is None else definition.effective_ms(slot_ms)

    def grace_ms(self, entry: str) -> int | None:
        """How late a slot of this entry may be and still fire; None if that is not known."""
        definition = self.definitions.get(entry)
        own = None if definition is None else definition.misfire_grace_ms
        return self.expectation.grace_ms if own is None else own

    def is_once(self, entry: str, identity: str) -> bool:
        """Whether a firing may be sent at most once."""
        definition = self.definitions.get(entry)
        claim = self.claim_of(entry, identity)
        return (
            entry in self.expectation.at_most_once
            or (claim is not None and claim.once)
            or (definition is not None and definition.delivery is Delivery.AT_MOST_ONCE)
        )

    def set_back_us(self) -> int:
        """How far a leader's estimate of the server's clock may be ahead of it now."""
        return sum(by for at, by in self.setbacks if at >= self.at_us - ANCHORED_US)

    def set_back_before_ms(self, at_us: int) -> int:
        """By how much the server's clock had been set back by this moment, in all."""
        return sum(by_us for step_us, by_us in self.setbacks if step_us <= at_us) // 1_000

    def lost(self, from_us: int, to_us: int) -> bool:
        """Whether data was lost between two moments."""
        return any(from_us <= loss.at_us <= to_us for loss in self.losses)

    def lost_or_unseen(self, from_us: int, to_us: int) -> bool:
        """Whether data was lost, or the recorder had a gap, between two moments."""
        return self.lost(from_us, to_us) or any(
            gap.start_us <= to_us and gap.end_us >= from_us for gap in self.gaps
        )


@lru_cache(maxsize=4096)
def definition_of(name: str, raw: bytes) -> Entry | None:
    """The stored definition; None if it cannot be read, or has a schedule only code knows."""
    try:
        found = decode(name, raw)
    except DefinitionError:
        return None
    return None if "schedule" in found.from_code else found


def nonce_of(token: str) -> str:
    """Whose token it is."""
    return token.partition(":")[2]


def epoch_of(token: str) -> int:
    """A token's number; 0 if there is none."""
    number = token.partition(":")[0]
    return int(number) if number.isdigit() else 0


def read_loss(at_us: int, kept: tuple[Words, ...] | None, base: bytes, server_ms: int) -> Loss:
    """What a loss left, from the writes that would build it."""
    loss = Loss(at_us, kept is not None, {}, set(), server_ms)
    for words in kept or ():
        pairs = zip(words[2::2], words[3::2], strict=True)
        if words[:2] == (b"HSET", base + b"state"):
            loss.cursors.update((name.decode(), cursor_of(state)) for name, state in pairs)
        elif words[:2] == (b"HSET", base + b"inflight"):
            loss.flying.update(name for name, _ in pairs)
    return loss


def cursor_of(state: bytes) -> int:
    """The cursor in a record of :state."""
    return int(state[: state.index(b"|")])
