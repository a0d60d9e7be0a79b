"""Who leads: the lease over the store, one step at a time.

    standby ──look──► free ──acquire──► leader ──release, trust ended, refused──► standby
       │                                  ▲
       └── crash or stuck ──steal─────────┘

A step does at most one look and one attempt. Whatever fails, the answer is "not leader": an
error is never a reason to lead. Losing the lease costs a change of leader and no more: the
same object contends again at its next step, with the same nonce.

The line (own channel) is opened *before* contending, so that a leader's channel always has a
subscriber while its process lives (core/lease.py tells why).

Data can be lost at any moment. Each fenced call carries the heartbeat that we know, and a Redis
that knows less refuses it (`Behind`). What that cannot show is remembered as `loss_suspected`: two
answers with one heartbeat, a token of ours that comes back, a declared loss that is forgotten. The
next tick of a leader that was refused or suspects a loss declares one (core/history.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from habeat.core.history import Knowledge, Known
from habeat.core.lease import Action, Fence, Token, Trust, Watch
from habeat.errors import HabeatError
from habeat.ports import (
    Beaten,
    Behind,
    Clock,
    ElectionStore,
    Lost,
    Recovered,
    Refused,
    Statuses,
    Tick,
    Unfenced,
    Won,
)

log = logging.getLogger("habeat")

Reply = TypeVar("Reply")

FOREIGN_RETRY_MS = 5_000
SECOND_LOOK_MS = 55
#: How many replicas, counted from the front of the line, watch for a crash closely.
CLOSE_WATCHERS = 2


class LeaseLost(HabeatError):
    """The lease is not ours any more; what was not claimed by now is somebody else's."""


class HistoryLost(HabeatError):
    """Redis has lost data that we know of; the turn is over, and the next tick declares it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A fenced request that is about to be sent; its trust is anchored to `at_ms`."""

    fence: Fence
    at_ms: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a lease lives and how often a standby looks, in milliseconds."""

    ttl_ms: int
    crash_poll_ms: int


class Election:
    """One replica's part in the election."""

    def __init__(self, store: ElectionStore, clock: Clock, pace: Pace, nonce: str) -> None:
        self._store = store
        self._clock = clock
        self._pace = pace
        self.nonce = nonce
        self.trust: Trust | None = None
        self.won: Won | None = None
        self.history = Knowledge()
        self._rank = 0
        self.inert: str = ""
        self._asked = False
        #: Our token, once we were told that it holds the lease no more.
        self._gone: Token | None = None
        #: How many looks at the lease were answered.
        self.looks = 0
        self._watch = Watch()
        self._next_look_ms = 0
        self._sits_out_until_ms = 0
        self._free_since_ms: int | None = None
        self._barred = ""

    # -- what the replica finds out ---------------------------------------------------------

    @property
    def barred(self) -> str:
        """Why this replica must not lead; "" if it may."""
        return self._barred

    def bar(self, why: str) -> None:
        """Keep this replica from leading for this reason; "" lets it lead again."""
        self._barred = why

    def placed(self, rank: int) -> None:
        """Set this replica's rank; those with the lowest ranks watch closely for a crash."""
        self._rank = rank

    # -- what the engine asks ---------------------------------------------------------------

    @property
    def leading(self) -> bool:
        """Whether the trust window is open at this moment."""
        return self.trust is not None and self.trust.left_ms(self._now_ms()) > 0

    @property
    def holder(self) -> str | None:
        """The token last seen in Redis, our own included."""
        return str(self.trust.token) if self.trust else self._watch.holder

    def step(self) -> bool:
        """Look, and try for the lease where that is allowed; True if we lead."""
        if self.leading:
            return True
        if self.trust is not None:
            self._step_down("the lease could not be renewed in time")
        if self._now_ms() >= self._next_look_ms:
            self._contend()
        return self.trust is not None

    def wait_ms(self) -> int:
        """How long a standby may wait before its next look."""
        return max(0, self._next_look_ms - self._now_ms())

    def look_now(self) -> None:
        """Something was said (``released``): the next step looks at once."""
        self._next_look_ms = 0

    def time_us(self) -> int:
        """Redis' time: a look, of which nothing else is used. StoreUnavailable."""
        return self._store.observe().now_us

    def fenced(self, call: Callable[[Fence], Reply | Unfenced]) -> Reply:
        """Run a call that proves and extends the lease; LeaseLost if it is not ours, HistoryLost.

        The window is anchored to the moment before the request was sent.
        """
        attempt = self.attempt()
        return self.concluded(call(attempt.fence), attempt)

    def attempt(self) -> Attempt:
        """Before a fenced request is sent: what its answer is judged by."""
        if self.trust is None or not self.leading:
            raise LeaseLost("the trust window is over")
        fence = Fence(self.trust.token, self._pace.ttl_ms, self.known.heartbeat)
        return Attempt(fence, self._now_ms())

    def concluded(self, reply: Reply | Unfenced, attempt: Attempt) -> Reply:
        """What the request of that attempt was answered, whenever it is read.

        LeaseLost, HistoryLost.
        """
        if isinstance(reply, Behind):
            self.history.loss_suspected = True
            raise HistoryLost(f"heartbeat {reply.heartbeat}, known {attempt.fence.heartbeat}")
        if isinstance(reply, Lost):
            self._gone = attempt.fence.token
            self._step_down(
                f"another replica holds the lease ({reply.holder})"
                if reply.holder
                else "the lease is gone"
            )
            raise LeaseLost(reply.holder)
        if self.trust is not None:
            self.trust = self.trust.renewed(attempt.at_ms)
        if isinstance(reply, Beaten) and reply.heartbeat:
            self.history.counted(reply.heartbeat)
        if isinstance(reply, Tick | Statuses | Recovered):
            self.history.answered(reply.now_us)
        return reply

    @property
    def known(self) -> Known:
        """The most that we know of Redis' history."""
        return self.history.known

    def heard(self, found: Tick, *, declared: bool = False) -> None:
        """What a tick of ours has found, `declared` if it was to declare a loss. HistoryLost."""
        if not declared and not self.history.remembers(found.loss):
            raise HistoryLost("a declared loss is not remembered")
        known = replace(self.known, loss=found.loss)
        if found.loss.declared_ms > self.known.loss.declared_ms:
            log.warning(
                "habeat: leading on; Redis went back in time: slots that were due until %d ms ago "
                "and are not accounted for count as lost",
                found.loss.declared_ms - found.loss.until_ms,
            )
        self.history.known = known
        if declared:
            answered_ms = found.now_us // 1_000
            self.history.begin(replace(known, heartbeat=found.heartbeat, answered_ms=answered_ms))

    def resign(self, sit_out_ms: int = 0) -> None:
        """Give the lease back, and stay away from it for a while."""
        token = self.trust.token if self.trust else None
        self.trust = None
        self._sits_out_until_ms = self._now_ms() + sit_out_ms
        self._free_since_ms = None
        self._next_look_ms = 0
        self._store.release(token, self.nonce)

    def forget(self) -> None:
        """Drop leadership without a word: this is a forked child."""
        self.trust = None
        self._next_look_ms = 0

    # -- how it is done ---------------------------------------------------------------------

    def _contend(self) -> None:
        self._next_look_ms = self._now_ms() + self._poll_ms()
        look = self._store.observe()
        self.looks += 1
        self.history.looked(look.known)
        seen = look.seen
        if self.won is not None and seen.holder != str(self.won.token):
            self._gone = self.won.token
        if not self._pace.crash_poll_ms:
            seen = replace(seen, listeners=None)  # 0 is "off": the TTL alone decides
        self._watch, action = self._watch.after(seen, ttl_ms=self._pace.ttl_ms)
        if action is Action.LOOK_AGAIN:
            self._next_look_ms = self._now_ms() + SECOND_LOOK_MS
        elif look.seen.pttl_ms > 0:
            ends_ms = self._now_ms() + look.seen.pttl_ms + 5
            self._next_look_ms = min(self._next_look_ms, ends_ms)
        if self.barred or self._sits_out(look.seen.holder is None):
            return
        if self._is_ours(look.seen.holder):
            action = Action.ACQUIRE  # ours still: only the trust in it had ended
        if not self._asked or self.inert:
            action = Action.ACQUIRE  # whose keys these are is told though the lease is held
        if action is Action.ACQUIRE:
            self._attempt(lambda: self._store.acquire(self.nonce, self._pace.ttl_ms, self.known))
        elif action in (Action.STEAL_CRASHED, Action.STEAL_STUCK):
            self._attempt(
                lambda: self._store.steal(
                    self.nonce, self._pace.ttl_ms, self.known, action.value, look.seen
                )
            )

    def _is_ours(self, holder: str | None) -> bool:
        token = Token.parse(holder or "")
        return token is not None and token.nonce == self.nonce

    def _sits_out(self, free: bool) -> bool:
        """Whether to leave the lease to others: not for ever, if nobody takes it."""
        now_ms = self._now_ms()
        if not free:
            self._free_since_ms = None
        elif self._free_since_ms is None:
            self._free_since_ms = now_ms
        unwanted = self._free_since_ms is not None and (
            now_ms - self._free_since_ms >= self._pace.ttl_ms
        )
        return now_ms < self._sits_out_until_ms and not unwanted

    def _attempt(self, attempt: Callable[[], Won | Refused]) -> None:
        attempt_ms = self._now_ms()
        reply = attempt()
        self._asked = True
        if isinstance(reply, Refused):
            self._refused(reply)
            return
        self.inert = ""
        self.won = reply
        if reply.already:
            log.warning("habeat: the lease is still ours: leading on")
        self.history.won(
            Known(
                reply.cluster, reply.token.epoch, reply.heartbeat, reply.loss, reply.now_us // 1_000
            ),
            declared=reply.history in ("emptied", "restored"),
            token_came_back=reply.token == self._gone,  # only data that had been lost does that
        )
        self._gone = None
        self.trust = Trust(reply.token, attempt_ms, self._pace.ttl_ms)
        self._watch = Watch()
        self._next_look_ms = 0

    def _refused(self, reply: Refused) -> None:
        if reply.foreign:
            self._next_look_ms = self._now_ms() + FOREIGN_RETRY_MS
            if reply.why != self.inert:
                log.error("habeat: inert standby: %s", reply.why)
        self.inert = reply.why if reply.foreign else ""

    def _step_down(self, why: str) -> None:
        log.warning("habeat: stepping down: %s", why)
        self.trust = None
        self._next_look_ms = 0

    def _poll_ms(self) -> int:
        close = self._rank < CLOSE_WATCHERS and self._pace.crash_poll_ms > 0
        slow_ms = self._pace.ttl_ms // 3
        return min(self._pace.crash_poll_ms, slow_ms) if close else slow_ms

    def _now_ms(self) -> int:
        return self._clock.monotonic_us() // 1_000
