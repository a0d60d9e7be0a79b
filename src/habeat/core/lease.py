"""Leadership as values: the token, the trust period, and what a standby may conclude.

What this file guarantees
-------------------------
A replica acts as leader only inside its *trust period*: from the moment it **started** the
attempt that won or extended the lease until that moment plus the lease's TTL, less a margin.
The request took time to arrive, so the lease in Redis always ends after the trust period. It is
measured on one monotonic clock that includes suspend; the wall clocks of Redis and of the host are
not used. The trust period saves work and stops stale messages of the outbox. It does not prevent a
second claim: the token does, which every writing script compares.

A standby *watches*. It may take the lease of a holder that still has one in three cases only:

``crash``
    The holder's own channel has lost its last subscriber: its process or its connection is gone.
    A zero counts only after this same connection has read at least one subscriber for that same
    token, and only if a second look at least `SECOND_LOOK_MS` later reads zero again while the
    heartbeat did not move. Without the first rule, all replicas would steal from each other on a
    server that refuses SUBSCRIBE.
``stuck``
    Token and heartbeat have not moved for 1.5 TTL of *answered* polls on the watcher's own
    clock. Redis' TTLs follow the server's wall clock, which can step back and make a lease
    outlive its holder by an hour. Time without answers (Redis paused, network cut) proves
    nothing and is not counted.

``wedged``
    The leader ticks and sends nothing, though much is due: core/wedged.py has the rules.

In all other cases the standby waits until the lease is released or expires.

A lease can also vanish while its holder still trusts it: it is evicted, deleted, or ended by a
clock step on Redis' host. A watcher cannot distinguish that from an expired lease. So an heir
leaves the last leader's intents alone for one TTL, unless that leader gave its lease back
(acquire.lua, steal.lua). The claims of such a holder fail immediately.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

SECOND_LOOK_MS = 50
#: An epoch is a time in ms or slightly more; Lua is exact up to 2 ** 53.
EPOCH_DIGITS = 16
MARGIN_MAX_MS = 1_000
RENEW_MAX_MS = 1_000
#: The time between two answered polls does not count if it is more than this and more than half a
#: TTL. Standbys that are not first in line look every third of a TTL.
ANSWER_GAP_MS = 2_500


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """``lease epoch:nonce``; compared as a whole, because an epoch can repeat after data loss."""

    epoch: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.epoch}:{self.nonce}"

    @classmethod
    def parse(cls, text: str) -> Token | None:
        """The token in `text`; None if it is not one, because a key may contain garbage."""
        epoch, colon, nonce = text.partition(":")
        short = len(epoch) <= EPOCH_DIGITS
        if not (colon and nonce and short and epoch.isascii() and epoch.isdigit()):
            return None
        return cls(int(epoch), nonce)


@dataclass(frozen=True, slots=True)
class Fence:
    """What a leader sends with each call: its token, and the heartbeat that it knows.

    A Redis with a lower heartbeat has lost data and refuses the call.
    """

    token: Token
    ttl_ms: int
    heartbeat: int = 0
    #: The stamp of the controls under which it plans (core/controls.py).
    stamp: str = ""

    @property
    def words(self) -> tuple[str, int, int]:
        """The fence as the scripts' arguments."""
        return str(self.token), self.ttl_ms, self.heartbeat


def margin_ms(ttl_ms: int) -> int:
    """How long before its end a leader stops trusting the lease: 1 s, less for short TTLs."""
    return min(MARGIN_MAX_MS, ttl_ms // 4)


def renew_after_ms(ttl_ms: int) -> int:
    """How long an idle leader waits between two renewals, in ms."""
    return min(RENEW_MAX_MS, ttl_ms // 3)


@dataclass(frozen=True, slots=True)
class Trust:
    """A leader's right to act, on its own monotonic clock.

    `attempt_ms` is read *before* the request that won or extended the lease was sent.
    """

    token: Token
    attempt_ms: int
    ttl_ms: int

    @property
    def until_ms(self) -> int:
        return self.attempt_ms + self.ttl_ms - margin_ms(self.ttl_ms)

    def left_ms(self, now_ms: int) -> int:
        """How much of the trust period is left; never negative."""
        return max(0, self.until_ms - now_ms)

    def renewed(self, attempt_ms: int) -> Trust:
        """The trust period after an extension whose attempt started at `attempt_ms`."""
        return Trust(self.token, max(self.attempt_ms, attempt_ms), self.ttl_ms)


class Action(enum.Enum):
    """What a standby does after looking at the lease."""

    WAIT = "wait"
    LOOK_AGAIN = "look again"
    ACQUIRE = "acquire"
    STEAL_CRASHED = "crash"
    STEAL_STUCK = "stuck"
    STEAL_WEDGED = "wedged"


@dataclass(frozen=True, slots=True)
class Observation:
    """One answered look at the lease.

    `listeners` is the subscriber count of the holder's channel, None if it is not available.
    `connection` changes whenever the connection used for looking is replaced.
    """

    at_ms: int
    holder: str | None
    pttl_ms: int
    heartbeat: int
    listeners: int | None
    connection: int
    holder_ttl_ms: int


@dataclass(frozen=True, slots=True)
class Watch:
    """What a standby has observed of the current holder."""

    holder: str | None = None
    heartbeat: int = -1
    connection: int = -1
    last_ms: int = 0
    still_ms: int = 0
    seen_alive: bool = False
    zero_since_ms: int | None = None

    def after(self, seen: Observation, *, ttl_ms: int) -> tuple[Watch, Action]:
        """The watch after one more observation, and the action that it allows."""
        if seen.holder is None:
            return Watch(heartbeat=seen.heartbeat), Action.ACQUIRE
        watch = self._following(seen, max(ANSWER_GAP_MS, ttl_ms // 2))
        return watch, watch._conclusion(seen, max(ttl_ms, seen.holder_ttl_ms))

    def _following(self, seen: Observation, gap_ms: int) -> Watch:
        same_holder = seen.holder == self.holder
        moved = not same_holder or seen.heartbeat != self.heartbeat
        same_line = same_holder and seen.connection == self.connection
        # A zero counts only if this connection has seen a subscriber of the same token before.
        seen_alive = (self.seen_alive and same_line) or bool(seen.listeners)
        zero = seen.listeners == 0 and seen_alive
        zero_since = self.zero_since_ms if not moved and self.zero_since_ms else seen.at_ms
        # Time without answers proves nothing, so a long gap between two polls does not count.
        elapsed_ms = seen.at_ms - self.last_ms
        still_ms = self.still_ms + (elapsed_ms if elapsed_ms <= gap_ms else 0)
        return Watch(
            holder=seen.holder,
            heartbeat=seen.heartbeat,
            connection=seen.connection,
            last_ms=seen.at_ms,
            still_ms=0 if moved else still_ms,
            seen_alive=seen_alive,
            zero_since_ms=zero_since if zero else None,
        )

    def _conclusion(self, seen: Observation, ttl_ms: int) -> Action:
        # crash: the subscriber is gone, and a second look confirms it.
        if self.zero_since_ms is not None:
            looked_again = seen.at_ms - self.zero_since_ms >= SECOND_LOOK_MS
            return Action.STEAL_CRASHED if looked_again else Action.LOOK_AGAIN
        # stuck: neither token nor heartbeat moved for 1.5 TTL of answered polls.
        if self.still_ms >= ttl_ms * 3 // 2:
            return Action.STEAL_STUCK
        return Action.WAIT
