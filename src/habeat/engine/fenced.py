"""What all parts of a leader's tick share: the fenced store, the lease, the clocks.

`Lead` is passed to the dispatches and to reconciling. Each call to its `store` proves the lease and
extends it. Its `may_go_on` says whether to start the next piece of work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from habeat.core.circuit import Circuit
from habeat.core.controls import Controls
from habeat.core.lease import Fence, Token
from habeat.core.server_time import ServerTime
from habeat.engine.election import Attempt, Election, LeaseLost
from habeat.engine.report import Waits
from habeat.ports import (
    Claim,
    Clock,
    DispatchStore,
    DueEntry,
    DueRequests,
    Intent,
    Marked,
    Queue,
    Recovered,
    Skip,
    Statuses,
    StoredRequest,
    Tick,
    Unfenced,
)

Reply = TypeVar("Reply")


class FencedStore:
    """The store as a leader uses it: each call carries the fence, and a refusal raises.

    LeaseLost if another token holds the lease, DataLost if Redis has lost data. The calls are
    documented in `ports.DispatchStore`.
    """

    def __init__(self, store: DispatchStore, election: Election) -> None:
        self._store = store
        self._call = election.fenced

    def tick(
        self, limit: int, ahead_ms: int = 0, offset: int = 0, lost_after_ms: int | None = None
    ) -> Tick:
        return self._call(lambda f: self._store.tick(f, limit, ahead_ms, offset, lost_after_ms))

    def renew(self) -> Tick:
        """Renew the lease, and read Redis' time."""
        return self.tick(0)

    def claim(self, claims: Sequence[Claim], *, atomic: bool) -> Statuses:
        return self._call(lambda f: self._store.claim(f, claims, atomic=atomic))

    def skip(self, skips: Sequence[Skip]) -> Statuses:
        return self._call(lambda f: self._store.skip(f, skips))

    def recover(self, limit: int) -> Recovered:
        return self._call(lambda f: self._store.recover(f, limit))

    def mark(self, intent: Intent, cap: int, bury: str, pause_ms: int, why: str = "") -> Marked:
        return self._call(lambda f: self._store.mark(f, intent, cap, bury, pause_ms, why=why))

    def asked(self, limit: int) -> DueRequests:
        return self._call(lambda f: self._store.asked(f, limit))

    def put_off(self, queue: Queue, fields: Sequence[str], until_ms: int) -> Statuses:
        return self._call(lambda f: self._store.put_off(f, queue, fields, until_ms))

    def drop(self, request: StoredRequest, entry: str, slot_ms: int, why: str) -> Statuses:
        return self._call(lambda f: self._store.drop(f, request, entry, slot_ms, why))

    def keep_circuits(self, changes: Sequence[tuple[str, str, Circuit | None]]) -> Statuses:
        return self._call(lambda f: self._store.keep_circuits(f, changes))

    def defer(self, due: DueEntry, until_ms: int | None) -> Statuses:
        return self._call(lambda f: self._store.defer(f, due, until_ms))

    def quarantine(self, due: DueEntry, why: str) -> Statuses:
        return self._call(lambda f: self._store.quarantine(f, due, why))


class Lead:
    """The lease, the fenced store and the clocks, as one leader uses them in its ticks."""

    def __init__(
        self,
        election: Election,
        store: DispatchStore,
        clock: Clock,
        ttl_ms: int,
        stopping: Callable[[], bool],
    ) -> None:
        self._election = election
        self.store = FencedStore(store, election)
        self._clock = clock
        self.ttl_ms = ttl_ms
        self.stopping = stopping
        self.server = ServerTime(0, 0)
        #: The entries that are put off.
        self.waits = Waits()

    def call(self, fenced: Callable[[Fence], Reply | Unfenced]) -> Reply:
        """Run a fenced call of another store than the dispatch's. LeaseLost, DataLost."""
        return self._election.fenced(fenced)

    def keep(self) -> None:
        """Renew the lease if it is half over. LeaseLost.

        Called between two entries, so that many slow entries together cannot cost the lease.
        """
        if self.trust_left_ms() < self.ttl_ms // 2:
            self.store.renew()

    def attempt(self) -> Attempt:
        """The fence and the start time of a request about to be sent. LeaseLost."""
        return self._election.attempt()

    def concluded(self, reply: Reply | Unfenced, attempt: Attempt) -> Reply:
        """The reply to the request of `attempt`. LeaseLost, DataLost."""
        return self._election.concluded(reply, attempt)

    def anchor(self, now_us: int) -> None:
        """Set our idea of Redis' time: a reply that was made at `now_us` has just arrived."""
        self.server = ServerTime(now_us, self._clock.monotonic_us())

    def sharpen(self, now_us: int) -> None:
        """The same, but only if it moves our idea of Redis' time forward.

        By the time a reply arrives, Redis' clock has moved on, so our idea is never too far ahead.
        The largest value is the most accurate.
        """
        at_us = self._clock.monotonic_us()
        if now_us > self.server.now_us(at_us):
            self.server = ServerTime(now_us, at_us)

    def monotonic_us(self) -> int:
        """This process's monotonic clock, to measure how long something takes."""
        return self._clock.monotonic_us()

    def now_ms(self) -> int:
        """Redis' time, as accurately as it is known here."""
        return self.server.now_ms(self._clock.monotonic_us())

    def until_ms(self, instant_ms: int) -> int:
        """How long it is until an instant of Redis' time."""
        return self.server.until_ms(instant_ms, self._clock.monotonic_us())

    def until_us(self, instant_ms: int) -> int:
        """The same in microseconds: a held claim must not leave a millisecond late."""
        return self.server.until_us(instant_ms, self._clock.monotonic_us())

    def trust_left_ms(self) -> int:
        """How much of the trust period is left."""
        trust = self._election.trust
        return 0 if trust is None else trust.left_ms(self._clock.monotonic_us() // 1_000)

    def spare_ms(self) -> int:
        """How long a step outside Redis may take, so that the lease can still be renewed.

        Without this limit, a broker that hangs would cost the lease again and again.
        """
        return max(0, self.trust_left_ms() - self.ttl_ms // 4)

    def may_go_on(self) -> bool:
        """Whether new work may start: this replica leads and is not stopping."""
        return self._election.leading and not self.stopping()

    @property
    def controls(self) -> Controls:
        """What people ask of the schedule, as known to the present tick."""
        return self._election.controls

    @property
    def token(self) -> Token:
        """Our token. LeaseLost if there is none."""
        trust = self._election.trust
        if trust is None:
            raise LeaseLost("the lease was lost during the tick")
        return trust.token

    @property
    def last_token(self) -> Token:
        """The token of our current or last leadership, under which messages were sent."""
        won = self._election.won
        if won is None:
            raise LeaseLost("this replica has never led")
        return won.token

    @property
    def cluster(self) -> str:
        """The id of the cluster that this replica leads; part of every task id."""
        return self._election.known.cluster
