"""One simulated run: replicas, faults drawn from the seed, a quiet phase, a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from habeat.core.entry import Delivery, Entry, Misfire, Policies
from habeat.core.lease import renew_after_ms
from habeat.core.schedule import every
from habeat.core.schedule.base import Schedule
from habeat.election import Election, Pace
from habeat.engine import Engine, EngineSettings
from habeat.engine.lead import Lead
from habeat.ports import StoreUnavailable
from habeat.store import codec
from habeat.store.calling import Caller
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore, Position, Write
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from tests.simulation.history import History
from tests.simulation.model import Server
from tests.simulation.parts import (
    Broker,
    Client,
    Clients,
    Direct,
    Line,
    Message,
    Network,
    Publisher,
)
from tests.simulation.storm import brew_storm
from tests.simulation.world import SECOND, Host, World

PREFIX = "sim"
APP = "sim"


@dataclass(frozen=True)
class Plan:
    """What kind of run; everything else follows from the seed."""

    seed: int
    replicas: int = 3
    entries: int = 4
    storm_s: int = 20
    quiet_s: int = 20
    ttl_ms: int = 2_000
    atomic: bool = False


class Catalog:
    """`planning.Catalog` with nothing in code."""

    decode = staticmethod(codec.decode)
    decode_order = staticmethod(codec.decode_order)
    encode_order = staticmethod(codec.encode_order)

    def resolve(self, entry: Entry) -> Entry:
        return entry


class Chores:
    """`engine.Housekeeping` that only keeps the rank."""

    def __init__(self, election: Election, store: RedisElectionStore, host: Host) -> None:
        self._election = election
        self._store = store
        self._host = host
        self._next_us = 0

    def each_tick(self, lead: Lead | None) -> int | None:
        if self._host.world.now_us >= self._next_us:
            self._next_us = self._host.world.now_us + 5 * SECOND
            found = self._store.register(self._election.nonce, "{}", "sim", 0)
            self._election.rank = found.rank
        return None

    def resume(self, lead: Lead, names: object) -> None:
        """Nothing is paused here."""


class Simulation:
    """A seed, run to its verdict."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = World(plan.seed)
        self.server_offset_us = 0
        self.server = Server(lambda: self.world.now_us + self.server_offset_us)
        self.network = Network()
        self.broker = Broker()
        self.keys = Keys(PREFIX)
        self.history = History(
            self.server,
            lambda: self.world.now_us,
            self.keys.base,
            plan.ttl_ms * 1_000,
            plan.atomic,
        )
        self.history.watch()
        self.server.after_script = self.history.check_accounting
        self.server.told = self._told
        self.hosts: list[Host] = []
        self.lines: dict[str, list[Line]] = {}
        self.schedules: dict[str, tuple[Schedule, int]] = {}
        self._started = 0

    # -- building -----------------------------------------------------------------------------

    def seed_entries(self) -> None:
        """Entries of one second and less, with different policies."""
        random = self.world.random
        now_ms = self.server.now_us() // 1_000
        for number in range(self.plan.entries):
            name = f"e{number}"
            schedule = every(random.choice((0.5, 1, 1, 2)), offset=0)
            entry = Entry(
                name,
                "task",
                schedule,
                created_ms=now_ms,
                misfire=random.choice(list(Misfire)),
                misfire_grace_ms=random.choice((1_000, 5_000, 60_000)),
            )
            slot_ms = entry.next_slot_ms(now_ms)
            write = Write(
                name, "", codec.encode(entry), position=Position(now_ms, slot_ms, slot_ms)
            )
            self._directly(write)
            self.schedules[name] = (schedule, now_ms)

    def _directly(self, write: Write) -> None:
        caller = Caller(Clients(Direct(self.server)), self.keys)
        EntryStore(caller).write([write])

    def start_replica(self) -> Host:
        """One more process."""
        self._started += 1
        host = Host(self.world, f"r{self._started}", self._replica)
        self.hosts.append(host)
        self.world.tell(f"{host.name}: started")
        return host

    def _replica(self, host: Host) -> None:
        plan = self.plan
        nonce = f"{self.world.now_us:016x}{host.name}"
        caller = Caller(Clients(Client(host, self.server, self.network)), self.keys)
        leases = RedisElectionStore(caller, host, APP, lambda: f"cluster of {nonce}")
        election = Election(leases, host, Pace(plan.ttl_ms, 250), nonce)
        store = RedisDispatchStore(
            caller, dedup_ttl_ms=300_000, ledger_age_ms=86_400_000, ledger_length=1_000_000
        )
        line = Line(host, self.server, self.network, [self.keys.wake, self.keys.alive(nonce)])
        self.lines[host.name] = [line]
        engine = Engine(
            election=election,
            store=store,
            line=line,
            clock=host,
            publisher=Publisher(host, self.broker, atomic=plan.atomic),
            catalog=Catalog(),
            housekeeping=Chores(election, leases, host),
            settings=EngineSettings(
                plan.ttl_ms,
                renew_after_ms(plan.ttl_ms),
                500,
                Policies(delivery=Delivery.AT_LEAST_ONCE),
            ),
            stopping=lambda: getattr(host, "stopping", False),
        )
        while not getattr(host, "stopping", False):
            engine.tick()
            host.sleep(20)
        token = election.trust.token if election.trust else None
        try:
            leases.release(token, nonce)
        except StoreUnavailable:
            self.world.tell(f"{host.name}: could not release")
        self.world.tell(f"{host.name}: stopped")
        host.kill()

    def _told(self, channel: bytes, message: bytes) -> None:
        for line in list(self.server.subscribers.get(channel, ())):
            delay = self.world.random.randrange(20, 400)
            self.world.at(delay, partial(line.hear, message.decode()))

    # -- running ------------------------------------------------------------------------------

    def run(self, brew: Callable[[Simulation], None] | None = None) -> History:
        """The storm (faults drawn from the seed, if nothing else is said), quiet, the verdict."""
        plan, world = self.plan, self.world
        self.seed_entries()
        for _ in range(plan.replicas):
            self.start_replica()
        world.run(world.start_us + 2 * SECOND)
        (brew or brew_storm)(self)
        world.run(world.start_us + (2 + plan.storm_s) * SECOND)
        self._calm()
        world.run(world.now_us + plan.quiet_s * SECOND)
        self._judge()
        return self.history

    def _calm(self) -> None:
        self.world.tell("-- quiet --")
        self.network.down = self.broker.down = False
        self.network.cut_off.clear()
        self.network.lose_request = self.network.lose_reply = self.broker.lose_confirm = 0.0
        for host in self.hosts:
            host.ambush = None
            if host.frozen:
                host.thaw()
        while sum(host.alive for host in self.hosts) < 2:
            self.start_replica()

    def _judge(self) -> None:
        history, server = self.history, self.server
        messages = self.broker.messages
        if self.plan.atomic:
            messages = self._queue()
        history.check_messages(messages)
        history.check_ledger(self.schedules)
        flying = server.call("HGETALL", self.keys.inflight)
        if flying:
            history.wrong(f"still in flight at the end: {flying[::2]}")
        for name, (schedule, _) in self.schedules.items():
            behind_ms = server.now_us() // 1_000 - history.cursors.get(name, 0)
            if behind_ms > 3_000 + schedule.every_ms:  # type: ignore[attr-defined]
                history.wrong(f"{name} is {behind_ms} ms behind in the quiet")

    def _queue(self) -> list[Message]:
        kept = self.server.call("LRANGE", "queue", 0, -1)
        found = []
        for raw in reversed(kept):
            entry, slot, task_id = json.loads(raw)
            at = self.history.claims.get((entry, slot), [self.world.now_us])[0]
            found.append(Message(at, entry, slot, task_id, "?"))
        return found
