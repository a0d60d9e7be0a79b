"""A workbench for the scripts: the real stores over one server, and eyes on every key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis.client import PubSub

from habeat.core.entry import Entry
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.lease import Fence, Token
from habeat.entries.codec import digest_of, encode
from habeat.ports import (
    Claim,
    DueEntry,
    Expected,
    Known,
    Lost,
    Next,
    Rendered,
    Skip,
    Statuses,
    StoredRequest,
    Won,
)
from habeat.ports.entries import Position, Write
from habeat.schedules import Interval
from habeat.store.calling import Caller, text
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from tests.support.servers.redis_server import Server
from tests.unit.engine.world import FakeClock

TTL_MS = 6_000
EVERY_MS = 1_000
QUEUE = "celery"


class One:
    """`calling.Clients` over one plain client."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.resets = 0

    def client(self) -> Any:
        return self._client

    def reset(self) -> None:
        self.resets += 1


#: Where the parts of a claim or skip are that tests change.
PARTS = {
    "digest": ("expected", "digest"),
    "planned_due_ms": ("expected", "due_ms"),
    "cursor_ms": ("expected", "cursor_ms"),
    "next_slot_ms": ("next", "slot_ms"),
    "next_due_ms": ("next", "due_ms"),
    "count": ("run", "count"),
}


def changed(item: Any, **parts: Any) -> Any:
    """A claim or skip with some parts replaced."""
    for name, value in parts.items():
        outer, inner = PARTS.get(name, (name, ""))
        part = replace(getattr(item, outer), **{inner: value}) if inner else value
        item = replace(item, **{outer: part})
    return item


@dataclass
class Placed:
    """An entry in the store, and its position."""

    entry: Entry
    stored: bytes
    cursor_ms: int
    slot_ms: int

    @property
    def digest(self) -> str:
        return digest_of(self.stored)


class Bench:
    """One server with the stores over it."""

    def __init__(self, server: Server, prefix: str = "habeat:bench", app: str = "bench") -> None:
        self.server = server
        self.admin = server.client()
        self.keys = Keys(prefix)
        self.caller = Caller(One(server.client()), self.keys)
        self.clock = FakeClock()
        self.leases = RedisElectionStore(self.caller, self.clock, app)
        self.store = RedisDispatchStore(
            self.caller, dedup_ttl_ms=60_000, ledger_age_ms=86_400_000, ledger_length=10_000
        )
        self.entries = EntryStore(self.caller)

    # -- the clock ---------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        seconds, micros = self.admin.time()
        return int(seconds) * 1_000 + int(micros) // 1_000

    # -- making ------------------------------------------------------------------------------

    def lead(self, nonce: str = "aa", known: Known | None = None) -> Token:
        won = self.leases.acquire(nonce, TTL_MS, known or Known())
        assert isinstance(won, Won), won
        return won.token

    def place(self, name: str = "e", *, ago_ms: int = 0, **other: Any) -> Placed:
        """An entry of one second whose oldest unclaimed slot was `ago_ms` ago."""
        slot_ms = self.now_ms - ago_ms
        entry = replace(
            Entry(name, "task", Interval(EVERY_MS, slot_ms % EVERY_MS), created_ms=slot_ms), **other
        )
        stored = encode(entry)
        position = Position(slot_ms - 1, slot_ms, slot_ms)
        outcome = self.entries.write([Write(name, "", stored, position=position)])
        assert outcome is None
        return Placed(entry, stored, slot_ms - 1, slot_ms)

    def claim_of(self, placed: Placed, *, queue: str = QUEUE, **other: Any) -> Claim:
        """The right claim of its slot, with parts of it replaced."""
        firing = other.pop("firing", None) or Firing(
            placed.entry.name, placed.slot_ms, placed.slot_ms
        )
        following = firing.slot_ms + EVERY_MS
        message = f"message {placed.entry.name} {firing.slot_ms}".encode()
        claim = Claim(
            firing=firing,
            expected=Expected(placed.digest, placed.slot_ms, placed.cursor_ms),
            next=Next(following, following),
            rendered=Rendered(message, [("LPUSH", queue, message)]),
            delivery="at_least_once",
        )
        return changed(claim, **other)

    def claim(self, token: Token, *claims: Claim, atomic: bool = True) -> Sequence[str]:
        reply = self.store.claim(Fence(token, TTL_MS), claims, atomic=atomic)
        assert isinstance(reply, Statuses), reply
        return reply.words

    def lost(self, token: Token, *claims: Claim, atomic: bool = True) -> bool:
        return isinstance(self.store.claim(Fence(token, TTL_MS), claims, atomic=atomic), Lost)

    def hasten(self) -> None:
        """Let every intent be due: what was claimed a moment ago is left to its claimer."""
        for field in self.admin.hkeys(self.keys.inflight):
            self.admin.zadd(self.keys.inflight_due, {field: 0})

    def skip_of(self, placed: Placed, **other: Any) -> Skip:
        following = placed.slot_ms + EVERY_MS
        skip = Skip(
            placed.entry.name,
            Expected(placed.digest, placed.slot_ms, placed.cursor_ms),
            Next(following, following),
            SkippedRun(placed.slot_ms, placed.slot_ms, 1, Outcome.MISSED, "misfire: skip"),
            placed.slot_ms,
        )
        return changed(skip, **other)

    def due_of(self, placed: Placed) -> DueEntry:
        return DueEntry(placed.entry.name, placed.slot_ms, placed.digest, placed.cursor_ms)

    def alive(self, nonce: str) -> PubSub:
        """Subscribe a replica to its own channel."""
        pubsub = self.server.client().pubsub()
        pubsub.subscribe(self.keys.alive(nonce))
        while True:
            message = pubsub.get_message(timeout=5)
            if message and message["type"] == "subscribe":
                return pubsub

    # -- looking -----------------------------------------------------------------------------

    def meta(self, name: str) -> str:
        return text(self.admin.hget(self.keys.meta, name) or b"")

    def state(self, name: str = "e") -> list[str]:
        return text(self.admin.hget(self.keys.state, name) or b"").split("|")

    def cursor(self, name: str = "e") -> int:
        return int(self.state(name)[0])

    def due(self, name: str = "e") -> int | None:
        score = self.admin.zscore(self.keys.due, name)
        return None if score is None else int(score)

    def pushed(self, queue: str = QUEUE, db: int = 0) -> list[str]:
        return [text(m) for m in self.server.client(db).lrange(queue, 0, -1)]

    def ledger(self, name: str | None = None) -> list[tuple[str, str, str]]:
        """(outcome, reason, slot) of each record, oldest first."""
        found = []
        for _, raw in self.admin.xrange(self.keys.ledger):
            fields = {text(k): text(v) for k, v in raw.items()}
            if name in (None, fields["entry"]):
                found.append((fields["outcome"], fields["reason"], fields["slot"]))
        return found

    def flying(self) -> dict[str, list[str]]:
        found = self.admin.hgetall(self.keys.inflight)
        return {text(k): text(v).split("\n") for k, v in found.items()}

    def requests(self) -> list[StoredRequest]:
        """All requests, due or not."""
        found = self.admin.hgetall(self.keys.requests)
        return [StoredRequest(text(k), digest_of(raw), raw) for k, raw in found.items()]

    def fired(self, placed: Placed) -> str:
        return text(self.admin.get(self.keys.fired(placed.entry.name, placed.slot_ms)) or b"")

    def balanced(self) -> bool:
        """I7: claimed = settled + abandoned + in flight."""
        claimed, settled, abandoned = (
            int(self.meta(name) or 0) for name in ("claimed", "settled", "abandoned")
        )
        return claimed == settled + abandoned + len(self.flying())

    def pttl(self) -> int:
        return int(self.admin.pttl(self.keys.lease))

    def shorten(self, ms: int = 500) -> None:
        """Leave the lease little time, to see what extends it."""
        self.admin.pexpire(self.keys.lease, ms)

    def everything(self) -> dict[str, Any]:
        """Every key with its value, but the heartbeat: to see that nothing was written."""
        found: dict[str, Any] = {}
        for key in self.admin.scan_iter("*"):
            kind = text(self.admin.type(key))
            read = {
                "string": lambda k: self.admin.get(k),
                "hash": lambda k: self.admin.hgetall(k),
                "zset": lambda k: self.admin.zrange(k, 0, -1, withscores=True),
                "set": lambda k: self.admin.smembers(k),
                "list": lambda k: self.admin.lrange(k, 0, -1),
                "stream": lambda k: self.admin.xrange(k),
            }[kind]
            found[text(key)] = read(key)
        found.get(self.keys.meta, {}).pop(b"heartbeat", None)
        return found
