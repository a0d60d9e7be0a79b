"""What the election asks of the store: the lease and its neighbours, and the answers as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from habeat.core.history import Known, Loss
from habeat.core.lease import Observation, Token


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
class Registration:
    """Where a replica stands among the live ones, and how many of its names are kept."""

    now_us: int
    rank: int
    generation: int
    names: int


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
