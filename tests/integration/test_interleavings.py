"""Several replicas of the real engine and election over a real server, with faults by a seed.

Small on purpose: the simulator runs the same over years of its own time. Here the scripts, the
stores and the server are the shipped ones; requests and replies get lost, replicas freeze
beyond their TTL, die and come back, resign. At the end the invariants of the design (I1 to I7,
I8, I10) are read off Redis, the broker and the tokens seen.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from habeat.core.entry import Entry, Misfire, Policies
from habeat.core.firing import Firing
from habeat.core.lease import Token
from habeat.engine import Engine, EngineSettings
from habeat.engine.election import Election, Pace
from habeat.engine.fenced import Lead
from habeat.entries import codec
from habeat.ports import (
    Answered,
    BrokerUnavailable,
    Departed,
    Parcel,
    Rendered,
    StoreUnavailable,
)
from habeat.ports.entries import Position, Write
from habeat.schedules import Interval
from habeat.store.calling import Caller, text
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from habeat.testing.asking import ImmediateAsker
from tests.support.servers.redis_server import Server
from tests.unit.engine.world import FakeCatalog

TTL_MS = 1_000
STEPS = 300
ENTRIES = 6
EVERY_MS = 100


class HostClock:
    """This host's monotonic clock."""

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Lossy:
    """`calling.Clients`: some requests never arrive, some replies never come back."""

    def __init__(self, client: Any, chance: random.Random, rate: float) -> None:
        self._client = client
        self._chance = chance
        self.rate = rate
        self.lost = 0
        self.made = 0

    def client(self) -> Any:
        return self

    def reset(self) -> None:
        """Nothing is kept."""

    def evalsha(self, *args: Any) -> Any:
        return self._maybe(lambda: self._client.evalsha(*args))

    def eval(self, *args: Any) -> Any:
        return self._maybe(lambda: self._client.eval(*args))

    def hmget(self, *args: Any) -> Any:
        return self._maybe(lambda: self._client.hmget(*args))

    def hgetall(self, *args: Any) -> Any:
        return self._maybe(lambda: self._client.hgetall(*args))

    def _maybe(self, act: Any) -> Any:
        drawn = self._chance.random()
        if drawn < self.rate / 2:
            self.lost += 1
            raise redis.ConnectionError("the request was lost")
        reply = act()
        if drawn < self.rate:
            self.lost += 1
            raise redis.ConnectionError("the reply was lost")
        return reply


class RealCatalog(FakeCatalog):
    def decode(self, name: str, stored: bytes) -> Entry:
        return codec.decode(name, stored)


class Line:
    """A subscription of its own, that is never waited on."""

    def __init__(self, server: Server, keys: Keys, nonce: str) -> None:
        self._server = server
        self._channels = (keys.wake, keys.alive(nonce))
        self._pubsub: Any = None

    def open(self) -> bool:
        if self._pubsub is not None:
            return False
        self._pubsub = self._server.client().pubsub()
        self._pubsub.subscribe(*self._channels)
        for _ in self._channels:
            self._pubsub.get_message(timeout=2)
        return True

    def wait(self, timeout_ms: float) -> frozenset[str]:
        said = set()
        while message := self._pubsub.get_message(timeout=0) if self._pubsub else None:
            if message["type"] == "message":
                said.add(text(message["data"]))
        return frozenset(said)

    def resubscribe(self) -> None:
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None


@dataclass
class Broker:
    """What arrived, in order, and what was certainly settled before."""

    arrived: list[str] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    again_after_settle: list[str] = field(default_factory=list)

    def take(self, firing: str) -> None:
        if firing in self.settled:
            self.again_after_settle.append(firing)
        self.arrived.append(firing)


class Answers:
    """`ports.Handed`: the broker answers at once."""

    code_us: int | None = None

    def __init__(self, answers: Sequence[Answered]) -> None:
        self._answers = answers

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        return self._answers


class Publisher:
    def __init__(self, broker: Broker, chance: random.Random, atomic: bool) -> None:
        self._broker = broker
        self._chance = chance
        self.atomic = atomic
        self.rate = 0.02
        self.refused = 0

    def prepare(self, timeout_ms: int) -> None:
        """It is decided."""

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        name = f"{entry.name}@{firing.identity}"
        if self.atomic:
            return Rendered(commands=[("LPUSH", "queue", name)])
        return Rendered(name.encode())

    def may_foresee(self) -> bool:
        return True

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        return self.render(entry, firing, cluster, epoch)

    def refused_push(self, commands: Sequence[Sequence[Any]], why: str) -> bool:
        raise AssertionError(why)

    def connect(self, timeout_ms: int) -> None:
        if self._chance.random() < self.rate:
            raise BrokerUnavailable("refused")

    @property
    def packets(self) -> int:
        return 1

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Answers:
        assert timeout_ms > 0
        return Answers([self._answer(parcel) for parcel in parcels])

    def _answer(self, parcel: Parcel) -> Answered:
        try:
            self._publish(parcel.envelope)
        except BrokerUnavailable as error:
            return error
        return None

    def _publish(self, envelope: bytes) -> None:
        drawn = self._chance.random()
        if drawn < self.rate / 2:
            raise BrokerUnavailable("reset before it arrived")
        self._broker.take(envelope.decode())
        if drawn < self.rate:
            raise BrokerUnavailable("reset after it arrived")


class NoChores:
    def each_tick(self, lead: Lead | None) -> int | None:
        return None

    def mend(self, lead: Lead | None) -> None:
        """No other process writes to these keys."""

    def resume(self, lead: Lead, names: Sequence[str]) -> None:
        """There are no pauses here."""


class SettlingStore(RedisDispatchStore):
    """Tells the broker's double which firings are settled beyond doubt."""

    broker: Broker

    def settle(self, token: Token, departed: Sequence[Departed]) -> int:
        settled = super().settle(token, departed)
        self.broker.settled |= {f"{left.entry}@{left.identity}" for left in departed}
        return settled


class Replica:
    def __init__(self, field_: Field, number: int) -> None:
        nonce = f"{number:04}"
        chance = random.Random(field_.chance.random())
        self.lossy = Lossy(field_.server.client(), chance, 0.06)
        caller = Caller(self.lossy, field_.keys)
        clock = HostClock()
        store = SettlingStore(caller, dedup_ttl_ms=60_000, ledger_age_ms=10**9, ledger_length=10**6)
        store.broker = field_.broker
        self.line = Line(field_.server, field_.keys, nonce)
        self.publisher = Publisher(field_.broker, chance, field_.atomic)
        self.election = Election(
            RedisElectionStore(caller, clock, "proj"), clock, Pace(TTL_MS, 50), nonce
        )
        self.stopping = False
        self.engine = Engine(
            election=self.election,
            store=store,
            wake_channel=self.line,
            clock=clock,
            publisher=self.publisher,
            definitions=RealCatalog(),
            asker=ImmediateAsker(),
            housekeeping=NoChores(),
            settings=EngineSettings(TTL_MS, TTL_MS // 3, 300, Policies(misfire_grace_ms=400)),
            stopping=lambda: self.stopping,
        )
        self.frozen_until = 0.0

    def heal(self) -> None:
        self.lossy.rate = self.publisher.rate = 0.0
        self.frozen_until = 0.0


class Field:
    """Three replicas, a broker and a server; steps and faults are drawn from one seed."""

    def __init__(self, server: Server, seed: int, atomic: bool) -> None:
        self.server = server
        self.atomic = atomic
        self.chance = random.Random(seed)
        self.broker = Broker()
        self.keys = Keys("habeat:proj")
        self.admin = server.admin
        self.number = 0
        self.tokens: list[Token] = []
        self.cursors: dict[str, int] = {}
        self.began: dict[str, int] = {}
        self.faults = 0
        self.replicas = [self.replica() for _ in range(3)]
        self.seed_entries()

    def replica(self) -> Replica:
        self.number += 1
        return Replica(self, self.number)

    def seed_entries(self) -> None:
        entries = EntryStore(Caller(Lossy(self.admin, self.chance, 0.0), self.keys))
        now_ms = int(self.admin.time()[0]) * 1_000
        for n, misfire in zip(range(ENTRIES), [*Misfire] * 2, strict=True):
            entry = Entry(f"e{n}", "task", Interval(EVERY_MS, n * 7), misfire=misfire)
            slot_ms = entry.next_slot_ms(now_ms)
            position = Position(now_ms, slot_ms, slot_ms)
            assert (
                entries.write([Write(entry.name, "", codec.encode(entry), position=position)])
                is None
            )
            self.began[entry.name] = now_ms

    # -- running ------------------------------------------------------------------------------

    def run(self) -> None:
        for _ in range(STEPS):
            self.fault()
            replica = self.chance.choice(self.replicas)
            if time.monotonic() >= replica.frozen_until:
                replica.engine.tick()
            self.watch()
            time.sleep(0.003)
        self.drain()

    def fault(self) -> None:
        drawn = self.chance.random()
        at = self.chance.randrange(len(self.replicas))
        replica = self.replicas[at]
        if drawn < 0.01:  # it dies: the kernel closes its sockets
            replica.line.resubscribe()
            self.replicas[at] = self.replica()
        elif drawn < 0.02:  # it freezes beyond its TTL
            replica.frozen_until = time.monotonic() + TTL_MS * 1.3 / 1_000
        elif drawn < 0.03:  # it stops politely, perhaps in the middle of a batch
            replica.stopping = True
            replica.engine.tick()
            try:
                replica.election.resign()
            except StoreUnavailable:
                self.faults += 1
            replica.line.resubscribe()
            self.replicas[at] = self.replica()
        elif drawn < 0.04:  # its subscription is lost, and it lives on
            replica.line.resubscribe()

    def drain(self) -> None:
        """Faults end, and one replica finally accounts for everything that is due."""
        for replica in self.replicas:
            replica.heal()
        ends = time.monotonic() + 8
        while time.monotonic() < ends:
            for replica in self.replicas:
                replica.engine.tick()
            self.watch()
            now_ms = int(self.admin.time()[0]) * 1_000
            oldest = self.admin.zrange(self.keys.due, 0, 0, withscores=True)
            quiet = oldest and oldest[0][1] > now_ms and not self.admin.hlen(self.keys.inflight)
            if quiet and any(replica.election.leading for replica in self.replicas):
                return
            time.sleep(0.01)
        raise AssertionError("what was due or in flight was never accounted for")

    def watch(self) -> None:
        """I1, I2, I4 at every step."""
        held = self.admin.get(self.keys.lease)
        for replica in self.replicas:
            trust = replica.election.trust
            if trust is not None and trust.token not in self.tokens:
                self.tokens.append(trust.token)
        if held is not None:
            token = Token.parse(text(held))
            if token not in self.tokens:
                self.tokens.append(token)
        for name, raw in self.admin.hgetall(self.keys.state).items():
            cursor = int(text(raw).split("|")[0])
            assert cursor >= self.cursors.get(text(name), 0), "I4: a cursor went back"
            self.cursors[text(name)] = cursor


@pytest.fixture(
    scope="module",
    params=["atomic-1", pytest.param("outbox-1", marks=pytest.mark.slow), "outbox-2"],
)
def over(request: pytest.FixtureRequest, valkey_process: Server) -> Field:
    """A field after its run."""
    how, _, seed = request.param.partition("-")
    valkey_process.admin.flushall()
    made = Field(valkey_process, int(seed), how == "atomic")
    made.run()
    return made


def records(field_: Field) -> list[dict[str, str]]:
    found = []
    for identity, raw in field_.admin.xrange(field_.keys.ledger):
        record = {text(k): text(v) for k, v in raw.items()}
        found.append({**record, "at": text(identity).partition("-")[0]})
    return found


def arrived(field_: Field) -> list[str]:
    if field_.atomic:
        return [text(name) for name in field_.admin.lrange("queue", 0, -1)]
    return field_.broker.arrived


def test_there_was_something_to_withstand(over: Field) -> None:
    assert len(over.tokens) >= 2
    assert len(arrived(over)) > 50


def test_i1_i2_no_token_was_ever_used_twice(over: Field) -> None:
    epochs = [token.epoch for token in over.tokens]
    assert len(epochs) == len(set(epochs))


def test_i3_every_slot_has_one_outcome_and_none_is_missing(over: Field) -> None:
    ends = Counter({"sent": 0})
    for name, began in over.began.items():
        spans = sorted(
            (int(r["slot"]), int(r["until"]), int(r["count"]))
            for r in records(over)
            if r["entry"] == name and r["outcome"] != "note"
        )
        at_ms = began
        offset = int(name[1:]) * 7
        for first_ms, last_ms, count in spans:
            expected_ms = at_ms - (at_ms - offset) % EVERY_MS + EVERY_MS
            assert first_ms == expected_ms, f"{name}: a slot is missing or there twice"
            assert count == (last_ms - first_ms) // EVERY_MS + 1
            at_ms = last_ms
        assert at_ms == over.cursors[name]
        ends[name] = len(spans)
    assert min(ends[name] for name in over.began) > 5


def test_i6_nothing_was_claimed_before_its_time(over: Field) -> None:
    for record in records(over):
        assert int(record["at"]) >= int(record["slot"]), record


def test_i7_i10_the_accounts_are_balanced_and_nothing_is_in_flight(over: Field) -> None:
    meta = {text(k): text(v) for k, v in over.admin.hgetall(over.keys.meta).items()}
    assert int(meta["claimed"]) == int(meta["settled"]) + int(meta.get("abandoned", 0))
    assert over.admin.hlen(over.keys.inflight) == 0
    claimed = sum(int(text(s).split("|")[4]) for s in over.admin.hvals(over.keys.state))
    assert claimed == int(meta["claimed"])


def test_i8_what_arrived_was_claimed_and_what_was_sent_arrived(over: Field) -> None:
    fields = {
        f"{r['entry']}@{r['slot']}" for r in records(over) if r["outcome"] in ("sent", "late")
    }
    assert fields == set(arrived(over))


def test_i9_atomic_sends_each_slot_once_and_the_outbox_none_again_that_was_settled(
    over: Field,
) -> None:
    if over.atomic:
        names = arrived(over)
        assert len(names) == len(set(names))
    else:
        assert over.broker.again_after_settle == []
