"""Who leads: takes and keeps the lease, one step at a time.

    standby ──look──► free ──acquire──► leader ──release, trust ended, refused──► standby
       │                                  ▲
       └── crash or stuck ──steal─────────┘

A step reads the lease at most once and tries to take it at most once. If anything fails, the result
is "not leader": an error is never a reason to lead. Losing the lease costs a change of leader and
nothing else. The same object competes again at its next step, with the same nonce.

The wake channel, with the replica's own channel, is opened *before* competing. So a leader's
channel has a subscriber for as long as its process lives (core/lease.py explains why that matters).

Redis can lose data at any moment. Each fenced call carries the highest heartbeat this replica
knows, and a Redis that knows less refuses the call (`Behind`). Some losses do not show that way:
two replies with the same heartbeat, a token of ours that reappears, a declared loss that is
forgotten. They set `loss_suspected`. A leader that was refused or suspects a loss declares the loss
in its next tick (core/data_loss.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from habeat.core.controls import Controls, controls_of
from habeat.core.data_loss import Knowledge, Known
from habeat.core.events import EventCode
from habeat.core.lease import Action, Fence, Token, Trust, Watch
from habeat.errors import HabeatError
from habeat.log import log_event
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

Reply = TypeVar("Reply")

FOREIGN_RETRY_MS = 5_000
SECOND_LOOK_MS = 55
STEALS = (Action.STEAL_CRASHED, Action.STEAL_STUCK, Action.STEAL_WEDGED)
#: How many standbys, by rank, watch closely for a crash of the leader.
CLOSE_WATCHERS = 2


class LeaseLost(HabeatError):
    """This replica no longer holds the lease; what it has not claimed is for the next leader."""


class DataLost(HabeatError):
    """Redis lost data that this replica has seen. The tick ends; the next one declares the loss."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A fenced request about to be sent; its reply extends the trust from `at_ms`."""

    fence: Fence
    at_ms: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a lease lasts and how often a close standby looks at it, in milliseconds."""

    ttl_ms: int
    crash_poll_ms: int


class Election:
    """One replica's part in the election."""

    def __init__(
        self,
        store: ElectionStore,
        clock: Clock,
        pace: Pace,
        nonce: str,
        barred: Callable[[], str] = lambda: "",
    ) -> None:
        """`barred` returns why this replica must not lead; "" if it may."""
        self._store = store
        self._clock = clock
        self._pace = pace
        self.nonce = nonce
        self.trust: Trust | None = None
        self.won: Won | None = None
        self.timeline = Knowledge()
        #: The controls under which the present tick is planned.
        self.controls = Controls()
        self._rank = 0
        self.inert: str = ""
        self._asked = False
        #: Our last token, once Redis has reported that it no longer holds the lease.
        self._gone: Token | None = None
        #: How many looks at the lease Redis has answered.
        self.looks = 0
        #: Redis' time in the last of them.
        self.looked_us = 0
        #: The leader that the last look saw, for people; "" if unknown.
        self.leader = ""
        #: How many fenced requests Redis has answered.
        self.answers = 0
        self._watch = Watch()
        self._next_look_ms = 0
        self._sits_out_until_ms = 0
        self._until_taken = False
        self._free_since_ms: int | None = None
        self._barred = barred
        self._suspected = ""

    # -- what the replica finds out ---------------------------------------------------------

    @property
    def barred(self) -> str:
        """Why this replica must not lead; "" if it may."""
        return self._barred()

    @property
    def rank(self) -> int:
        """This replica's rank among the standbys."""
        return self._rank

    def placed(self, rank: int) -> None:
        """Set this replica's rank; those with the lowest ranks watch closely for a crash."""
        self._rank = rank

    def suspect(self, holder: str) -> None:
        """Let the next look take the lease from this token: its leader ticks and sends nothing."""
        self._suspected = holder

    # -- what the engine asks ---------------------------------------------------------------

    @property
    def leading(self) -> bool:
        """Whether this replica leads: its trust period is still open."""
        return self.trust is not None and self.trust.left_ms(self._now_ms()) > 0

    @property
    def holder(self) -> str | None:
        """The token last seen as the lease's holder; it may be our own."""
        return str(self.trust.token) if self.trust else self._watch.holder

    def step(self) -> bool:
        """Look at the lease, and try to take it if that is allowed; True if this replica leads."""
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
        """Make the next step look at the lease at once, for example because it was released."""
        self._next_look_ms = 0

    def time_us(self) -> int:
        """Redis' time in microseconds. StoreUnavailable."""
        return self._store.observe().now_us  # a look at the lease; only its time is used

    def fenced(self, call: Callable[[Fence], Reply | Unfenced]) -> Reply:
        """Run a call that proves and extends the lease, and return its reply.

        LeaseLost if another token holds the lease; DataLost if Redis has lost data. The trust
        is extended from the moment before the request was sent.
        """
        attempt = self.attempt()
        return self.concluded(call(attempt.fence), attempt)

    def attempt(self) -> Attempt:
        """The fence and the start time of a request about to be sent. LeaseLost."""
        if self.trust is None or not self.leading:
            raise LeaseLost("the trust period is over")
        words = (self._pace.ttl_ms, self.known.heartbeat, self.controls.stamp)
        fence = Fence(self.trust.token, *words)
        return Attempt(fence, self._now_ms())

    def concluded(self, reply: Reply | Unfenced, attempt: Attempt) -> Reply:
        """The reply to the request of `attempt`, even if read later. LeaseLost, DataLost."""
        if isinstance(reply, Behind):
            self.timeline.loss_suspected = True
            raise DataLost(f"heartbeat {reply.heartbeat}, known {attempt.fence.heartbeat}")
        if isinstance(reply, Lost):
            self._gone = attempt.fence.token
            self._step_down(
                f"another replica holds the lease ({reply.holder})"
                if reply.holder
                else "the lease is gone"
            )
            raise LeaseLost(reply.holder)
        self.answers += 1
        if self.trust is not None:
            self.trust = self.trust.renewed(attempt.at_ms)
        if isinstance(reply, Beaten) and reply.heartbeat:
            self.timeline.counted(reply.heartbeat)
        if isinstance(reply, Tick | Statuses | Recovered):
            self.timeline.answered(reply.now_us)
        return reply

    @property
    def known(self) -> Known:
        """The most recent state of Redis' timeline that this replica knows of."""
        return self.timeline.known

    def heard(self, found: Tick, *, declared: bool = False) -> None:
        """Take in what a tick found; `declared` if that tick declared a loss. DataLost."""
        if not declared and not self.timeline.remembers(found.loss):
            raise DataLost("a declared loss is not remembered")
        known = replace(self.known, loss=found.loss)
        if found.loss.declared_ms > self.known.loss.declared_ms:
            log_event(
                EventCode.DATA_LOST,
                "habeat: still leading; Redis went back in time: slots due more than %d ms "
                "ago that are not accounted for count as lost",
                found.loss.declared_ms - found.loss.until_ms,
            )
        self.timeline.known = known
        if declared:
            answered_ms = found.now_us // 1_000
            self.timeline.begin(replace(known, heartbeat=found.heartbeat, answered_ms=answered_ms))

    def heed(self, found: Tick) -> None:
        """Plan under the controls that a tick found from now on.

        Only the read at the start of a tick may change them. If a later call of the same tick
        did, claims planned under the old ones would carry the new stamp.
        """
        if found.controls is not None:
            self.controls = controls_of(found.controls.stamp, found.controls.fields)

    def resign(self, sit_out_ms: int = 0, why: str = "", *, until_taken: bool = False) -> None:
        """Release the lease, and do not compete for it for `sit_out_ms`.

        With `until_taken`, compete again as soon as another replica has had it: this one may then
        have to succeed that one. `why` is stored with the next change of leader: stop, broker,
        failures, step-down.
        """
        token = self.trust.token if self.trust else None
        self.trust = None
        self._sits_out_until_ms, self._until_taken = self._now_ms() + sit_out_ms, until_taken
        self._free_since_ms = None
        self._next_look_ms = 0
        self._store.release(token, self.nonce, why)

    def forget(self) -> None:
        """In a forked child: drop leadership without telling Redis."""
        self.trust = None
        self._next_look_ms = 0

    # -- how it is done ---------------------------------------------------------------------

    def _contend(self) -> None:
        self._next_look_ms = self._now_ms() + self._poll_ms()
        look = self._store.observe()
        self.looks, self.looked_us = self.looks + 1, look.now_us
        self.leader = look.leader
        seen = look.seen
        if self._gone is not None and seen.holder == str(self._gone):
            self.timeline.loss_suspected = True  # this answer is not from the timeline that we led
        self.timeline.looked(look.known)
        if self.won is not None and seen.holder != str(self.won.token):
            self._gone = self.won.token
        if not self._pace.crash_poll_ms:
            seen = replace(seen, listeners=None)  # crash detection is off: only the TTL decides
        self._watch, action = self._watch.after(seen, ttl_ms=self._pace.ttl_ms)
        if action is Action.LOOK_AGAIN:
            self._next_look_ms = self._now_ms() + SECOND_LOOK_MS
        elif look.seen.pttl_ms > 0:
            ends_ms = self._now_ms() + look.seen.pttl_ms + 5  # just after the lease has expired
            self._next_look_ms = min(self._next_look_ms, ends_ms)
        if self.barred or self._sits_out(look.seen.holder):
            return
        if self._is_ours(look.seen.holder):
            action = Action.ACQUIRE  # still ours: only our trust in it had ended
        if not self._asked or self.inert:
            # Even if the lease is held, the reply shows whether the keys belong to another app.
            action = Action.ACQUIRE
        suspected, self._suspected = self._suspected, ""
        if action is Action.WAIT and suspected and look.seen.holder == suspected:
            action = Action.STEAL_WEDGED
        if action is Action.ACQUIRE:
            self._attempt(lambda: self._store.acquire(self.nonce, self._pace.ttl_ms, self.known))
        elif action in STEALS:
            self._attempt(
                lambda: self._store.steal(
                    self.nonce, self._pace.ttl_ms, self.known, action.value, look.seen
                )
            )

    def _is_ours(self, holder: str | None) -> bool:
        token = Token.parse(holder or "")
        return token is not None and token.nonce == self.nonce

    def _sits_out(self, holder: str | None) -> bool:
        """Whether to leave the lease to others; not if it stays free for a whole TTL."""
        now_ms = self._now_ms()
        if holder is not None:
            self._free_since_ms = None
            if self._until_taken and not self._is_ours(holder):
                self._sits_out_until_ms = 0
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
            log_event(EventCode.LEADER_ACQUIRED, "habeat: the lease is still ours; leading again")
        self.timeline.won(
            Known(
                reply.cluster, reply.token.epoch, reply.heartbeat, reply.loss, reply.now_us // 1_000
            ),
            declared=reply.timeline in ("emptied", "restored"),
            token_came_back=reply.token == self._gone,  # only restored data can bring it back
        )
        self._gone = None
        self.trust = Trust(reply.token, attempt_ms, self._pace.ttl_ms)
        self._watch = Watch()
        self._next_look_ms = 0

    def _refused(self, reply: Refused) -> None:
        if reply.foreign:
            self._next_look_ms = self._now_ms() + FOREIGN_RETRY_MS
            if reply.why != self.inert:
                log_event(
                    EventCode.REPLICA_INERT, "habeat: inert standby: %s", reply.why, cause=reply.why
                )
        self.inert = reply.why if reply.foreign else ""

    def _step_down(self, why: str) -> None:
        silent_ms = 0 if self.trust is None else self._now_ms() - self.trust.attempt_ms
        log_event(
            EventCode.LEADER_LOST,
            "habeat: stepping down: %s; the lease was last extended %d ms ago",
            why,
            silent_ms,
            cause=why,
            gap_ms=silent_ms,
        )
        self.trust = None
        self._next_look_ms = 0

    def _poll_ms(self) -> int:
        close = self._rank < CLOSE_WATCHERS and self._pace.crash_poll_ms > 0
        slow_ms = self._pace.ttl_ms // 3
        return min(self._pace.crash_poll_ms, slow_ms) if close else slow_ms

    def _now_ms(self) -> int:
        return self._clock.monotonic_us() // 1_000
