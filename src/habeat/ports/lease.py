"""The election's calls to the store, for the lease and the replicas, and their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from habeat.core.data_loss import Known, Loss
from habeat.core.lease import Observation, Token


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease is not ours: `holder` is the token that holds it, "" if there is none."""

    holder: str


@dataclass(frozen=True, slots=True)
class Behind:
    """Redis knows less than the caller of a fenced call: it has lost data and did nothing."""

    now_us: int
    heartbeat: int


#: Why a fenced call was refused; nothing was written.
Unfenced = Lost | Behind


@dataclass(frozen=True, slots=True)
class LeaderChange:
    """How this replica came to lead. `before` is the leader before, for people; "" if none.

    `since_ms` is the last sign of it (Redis' time), `why` is why it released the lease.
    """

    cause: str
    before: str = ""
    since_ms: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Won:
    """The lease is ours. `timeline` is first, continued, emptied or restored.

    `change` is None if it was ours before.
    """

    token: Token
    now_us: int
    cluster: str
    heartbeat: int
    timeline: str
    loss: Loss
    already: bool
    change: LeaderChange | None = None

    @property
    def gap_ms(self) -> int | None:
        """How long no leader was seen; None if there was none, or if that is unknown."""
        if self.change is None or self.change.since_ms is None:
            return None
        return max(0, self.now_us // 1_000 - self.change.since_ms)


@dataclass(frozen=True, slots=True)
class Refused:
    """The lease cannot be taken; `foreign` if it never can be, given the state in Redis."""

    why: str
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A standby's look: the observation, and what Redis knows of its timeline.

    `leader` is the holder for people; "" if it is not known where it runs.
    """

    seen: Observation
    known: Known
    now_us: int
    leader: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """A replica's rank among the live ones, its generation, and how many of its names are kept.

    `configs` is the number of different configurations that live replicas have.
    """

    now_us: int
    rank: int
    generation: int
    names: int
    configs: int


class ElectionStore(Protocol):
    """The election's calls; each is one script."""

    def acquire(self, nonce: str, ttl_ms: int, known: Known) -> Won | Refused:
        """Take the lease if it is free."""
        ...

    def steal(
        self, nonce: str, ttl_ms: int, known: Known, cause: str, seen: Observation
    ) -> Won | Refused: ...

    def observe(self) -> Look: ...

    def release(self, token: Token | None, nonce: str, why: str = "") -> None:
        """Give the lease back. `why` goes into the next leader's event: stop, broker, failures."""
        ...

    def register(
        self,
        nonce: str,
        info: str,
        fingerprint: str,
        declared: int,
        generation: int = 0,
        age_ms: int = 0,
    ) -> Registration:
        """Register; `generation` is what this process got before in this timeline, 0 if nothing.

        `age_ms` is how long the process has run: those that were started together share one.
        """
        ...
