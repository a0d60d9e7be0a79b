"""One simulated run: replicas, faults drawn from the seed, a quiet phase, a verdict."""

from __future__ import annotations

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
from tests.simulation.history import Fault, History
from tests.simulation.model import Server
from tests.simulation.parts import Broker, Client, Clients, Line, Message, Network, Publisher
from tests.simulation.world import Host, World

SECOND = 1_000_000
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
        host = Host.__new__(Host)
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
        del host

    def _directly(self, write: Write) -> None:
        class Direct:
            def __init__(self, server: Server) -> None:
                self._server = server

            def evalsha(self, sha: str, numkeys: int, *words: object) -> object:
                from redis.exceptions import NoScriptError

                raise NoScriptError("NOSCRIPT")

            def eval(self, text: str, numkeys: int, *words: object) -> object:
                return self._server.evalsha(text, text, words[:numkeys], words[numkeys:])

        caller = Caller(Clients(Direct(self.server)), self.keys)  # type: ignore[arg-type]
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
        line = Line(
            host, self.server, self.network, [self.keys.wake, self.keys.alive(nonce)]
        )
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

    def run(self) -> History:
        """The storm, then quiet, then the verdict."""
        plan, world = self.plan, self.world
        self.seed_entries()
        for _ in range(plan.replicas):
            self.start_replica()
        world.run(world.start_us + 2 * SECOND)
        Storm(self).brew()
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
        import json

        kept = self.server.call("LRANGE", "queue", 0, -1)
        found = []
        for raw in reversed(kept):
            entry, slot, task_id = json.loads(raw)
            at = self.history.claims.get((entry, slot), [self.world.now_us])[0]
            found.append(Message(at, entry, slot, task_id, "?"))
        return found


class Storm:
    """Faults, drawn from the seed."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self._world = simulation.world

    def brew(self) -> None:
        """Schedule the faults of this run."""
        random, plan = self._world.random, self._sim.plan
        kinds = [
            self.kill,
            self.freeze,
            self.stop,
            self.cut_off,
            self.redis_down,
            self.lossy,
            self.restart_clock,
            self.deafen,
            self.ambush_kill,
            self.ambush_freeze,
            self.ambush_freeze,
            self.restore,
        ]
        if not plan.atomic:
            kinds += [self.broker_down, self.confirms_lost]
        for _ in range(random.randrange(2, 8)):
            self._world.at(random.randrange(plan.storm_s * SECOND), random.choice(kinds))

    def _leader_or_any(self) -> Host | None:
        alive = [host for host in self._sim.hosts if host.alive and not host.frozen]
        if not alive:
            return None
        lease = self._sim.server.call("GET", self._sim.keys.lease)
        for host in alive:
            if lease and lease.decode().endswith(host.name) and self._world.random.random() < 0.8:
                return host
        return self._world.random.choice(alive)

    def _fault(self, kind: str, us: int) -> None:
        now_us = self._world.now_us
        self._world.tell(f"FAULT {kind} for {us / 1e6:.3f} s")
        self._sim.history.faults.append(Fault(kind, now_us, now_us + us))

    def kill(self) -> None:
        host = self._leader_or_any()
        if host:
            self._fault(f"SIGKILL {host.name}", 0)
            host.kill()
            self._world.at(self._world.random.randrange(4 * SECOND), self._sim.start_replica)

    def stop(self) -> None:
        host = self._leader_or_any()
        if host:
            self._world.tell(f"SIGTERM {host.name}")
            host.stopping = True  # type: ignore[attr-defined]
            host.wake()
            self._world.at(self._world.random.randrange(4 * SECOND), self._sim.start_replica)

    def freeze(self) -> None:
        host = self._leader_or_any()
        if host:
            us = self._world.random.choice((50_000, 1_500_000, 3 * SECOND, 7 * SECOND))
            self._fault(f"SIGSTOP {host.name}", us)
            host.freeze()
            self._world.at(us, host.thaw)

    def cut_off(self) -> None:
        host = self._leader_or_any()
        if host:
            us = self._world.random.randrange(200_000, 6 * SECOND)
            self._fault(f"cut off {host.name}", us)
            self._sim.network.cut_off.add(host.name)
            self._world.at(us, lambda: self._sim.network.cut_off.discard(host.name))

    def redis_down(self) -> None:
        us = self._world.random.randrange(200_000, 5 * SECOND)
        self._fault("Redis down", us)
        self._sim.network.down = True
        self._world.at(us, partial(setattr, self._sim.network, "down", False))

    def lossy(self) -> None:
        us = self._world.random.randrange(500_000, 6 * SECOND)
        self._fault("lossy network", us + SECOND)
        network = self._sim.network
        network.lose_request, network.lose_reply = 0.1, 0.2
        self._world.at(us, partial(setattr, network, "lose_request", 0.0))
        self._world.at(us, partial(setattr, network, "lose_reply", 0.0))

    def ambush_kill(self) -> None:
        """SIGKILL with a request or a reply under way."""
        host = self._leader_or_any()
        if host:

            def die() -> None:
                self._fault(f"SIGKILL {host.name} in a call", 0)
                host.kill()
                self._world.at(SECOND, self._sim.start_replica)

            host.ambush = die

    def ambush_freeze(self) -> None:
        """SIGSTOP with a request or a reply under way."""
        host = self._leader_or_any()
        us = self._world.random.choice((100_000, 1_500_000, 4 * SECOND))
        if host:

            def stop() -> None:
                self._fault(f"SIGSTOP {host.name} in a call", us)
                host.freeze()
                self._world.at(us, host.thaw)

            host.ambush = stop

    def deafen(self) -> None:
        """The pub/sub connection of a live replica is cut: it looks dead to the others."""
        host = self._leader_or_any()
        if host:
            self._fault(f"pub/sub of {host.name} cut", 0)
            for line in self._sim.lines.get(host.name, []):
                line.close()

    def restore(self) -> None:
        """A snapshot is taken now and restored a little later: acknowledged writes are lost."""
        snapshot = self._sim.server.snapshot()
        us = self._world.random.randrange(50_000, 4 * SECOND)

        def go_back() -> None:
            self._world.tell("FAULT Redis goes back to its snapshot")
            self._sim.server.restore(snapshot)
            self._sim.history.reset()

        self._fault("snapshot taken", us)
        self._world.at(us, go_back)

    def restart_clock(self) -> None:
        step_ms = self._world.random.choice((-2_000, -500, 500, 5_000))
        self._fault(f"Redis' clock steps {step_ms} ms", 0)
        self._sim.server_offset_us += step_ms * 1_000

    def broker_down(self) -> None:
        us = self._world.random.randrange(200_000, 6 * SECOND)
        self._fault("broker down", us)
        self._sim.broker.down = True
        self._world.at(us, partial(setattr, self._sim.broker, "down", False))

    def confirms_lost(self) -> None:
        us = self._world.random.randrange(200_000, 4 * SECOND)
        self._fault("confirms lost", us + SECOND)
        self._sim.broker.lose_confirm = 0.3
        self._world.at(us, partial(setattr, self._sim.broker, "lose_confirm", 0.0))
