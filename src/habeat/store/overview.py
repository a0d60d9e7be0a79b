"""What `status` and the metrics both show of the schedule as a whole, in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from habeat.core.leadership import LIVE_FOR_MS
from habeat.core.lease import Token
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.keys import Keys
from habeat.store.replies import holder, objects, whole, words

#: The counters come from two keys, which are read one after the other while firings continue. So a
#: wrong sum is believed only if it stays wrong.
LOOKS = 5


@dataclass(frozen=True, slots=True)
class Accounting:
    """Every claimed firing is settled, given up or in flight, so `difference` must be 0.

    `abandoned` counts those that were given up.
    """

    claimed: int
    settled: int
    abandoned: int
    in_flight: int

    @property
    def difference(self) -> int:
        return self.claimed - self.settled - self.abandoned - self.in_flight


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of all replicas together; instants are Unix ms by Redis' clock.

    `replicas` has what each replica registered, and `seen_ms` when it last did, by nonce.
    `next_due` is the entry that is due next, and when.
    """

    now_ms: int
    meta: Mapping[str, str]
    holder: Token | None
    pttl_ms: int
    replicas: Mapping[str, Mapping[str, Any]]
    seen_ms: Mapping[str, int]
    entries: int
    scheduled: int
    next_due: tuple[str, int] | None
    paused: int
    in_flight: int
    dead: int

    def count(self, name: str) -> int:
        """A counter of :meta; 0 if it is missing or damaged."""
        return whole(self.meta.get(name, ""))

    @property
    def accounting(self) -> Accounting:
        """The counters of invariant I7."""
        claimed, settled, abandoned = map(self.count, ("claimed", "settled", "abandoned"))
        return Accounting(claimed, settled, abandoned, self.in_flight)

    @property
    def lost_ms(self) -> int:
        """When Redis was last found emptied or restored; 0 if never."""
        return self.count("loss_declared") or self.count("history_lost")

    @property
    def live(self) -> dict[str, int]:
        """When each live replica was last seen, by nonce."""
        return live_of(self.seen_ms, self.now_ms)


#: A question to Redis, and what reads the reply: None for a key that is not ours.
Asked = Mapping[str, tuple[Callable[[Any], object], Callable[[Any], Any]]]
Seen = TypeVar("Seen", bound=Overview)


def asked_of_all(keys: Keys) -> Asked:
    """The questions behind an `Overview`, by its fields."""
    return {
        "meta": (lambda pipe: pipe.hgetall(keys.meta), words),
        "holder": (lambda pipe: pipe.get(keys.lease), holder),
        "pttl_ms": (lambda pipe: pipe.pttl(keys.lease), number),
        "replicas": (lambda pipe: pipe.hgetall(keys.replicas), objects),
        "seen_ms": (lambda pipe: pipe.zrange(keys.seen, 0, -1, withscores=True), seen_of),
        "entries": (lambda pipe: pipe.hlen(keys.entries), number),
        "scheduled": (lambda pipe: pipe.zcard(keys.due), number),
        "next_due": (lambda pipe: pipe.zrange(keys.due, 0, 0, withscores=True), _first_due),
        "paused": (lambda pipe: pipe.hlen(keys.paused), number),
        "in_flight": (lambda pipe: pipe.hlen(keys.inflight), number),
        "dead": (lambda pipe: pipe.hlen(keys.dead), number),
    }


def ask(caller: Caller, asked: Asked) -> dict[str, Any]:
    """The answers to these questions, read in one round trip. StoreUnavailable."""
    replies = caller.at_once([question for question, _ in asked.values()])
    read = zip(asked.items(), replies, strict=True)
    return {name: reading(reply) for (name, (_, reading)), reply in read}


def balanced(look: Callable[[], Seen]) -> Seen:
    """What one look has found: the first whose counters add up, or the last of a few."""
    found = look()
    for _ in range(LOOKS - 1):
        if found.accounting.difference == 0:
            break
        found = look()
    return found


def number(reply: Any) -> int:
    """The reply of a command that counts."""
    return int(reply or 0)


def seen_of(reply: Sequence[tuple[bytes, float]] | None) -> dict[str, int]:
    """When each replica last registered, by nonce."""
    return {text(nonce): optional_ms(str(at)) or 0 for nonce, at in reply or ()}


def live_of(seen_ms: Mapping[str, int], now_ms: int) -> dict[str, int]:
    """Those of the replicas that are live."""
    return {nonce: at for nonce, at in seen_ms.items() if now_ms - at <= LIVE_FOR_MS}


def _first_due(reply: Sequence[tuple[bytes, float]] | None) -> tuple[str, int] | None:
    due_ms = optional_ms(str(reply[0][1])) if reply else None
    return None if not reply or due_ms is None else (text(reply[0][0]), due_ms)
