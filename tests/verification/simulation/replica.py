"""One replica: the shipped engine, election, stores, chores and reconciling, put together.

It is what `habeat.beat.assembly` builds, less what belongs to Celery: the catalog has nothing in
code, the publisher is the simulation's, and the process is a greenlet.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from habeat.beat import housekeeping as shipped
from habeat.beat import stopping as shipped_stopping
from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.declared.differences import Differences
from habeat.beat.declared.reconcile import Reconcile
from habeat.beat.key_upkeep import Upkeep
from habeat.beat.stopping import InterruptibleWakeChannel
from habeat.core.entry import Entry, Policies
from habeat.core.lease import renew_after_ms
from habeat.engine import Engine, EngineSettings, dispatch, outbox, recovery
from habeat.engine.election import Election, Pace
from habeat.entries import codec
from habeat.ports import StoreUnavailable
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.events import RedisEventLog
from habeat.store.inspection import Inspection
from habeat.store.key_repair import Mending
from habeat.store.leases import RedisElectionStore
from habeat.testing.asking import ImmediateAsker
from tests.verification.simulation.ahead import AsyncCaller
from tests.verification.simulation.broker import Probe, Publisher
from tests.verification.simulation.network import Client, Clients, Line
from tests.verification.simulation.plan import Plan
from tests.verification.simulation.world import Host

if TYPE_CHECKING:
    from tests.verification.simulation.run import Simulation

APP = "sim"
#: Between two turns of Celery's own loop.
TURN_US = 20


class DefinitionSource:
    """`planning.DefinitionSource` with nothing in code."""

    decode = staticmethod(lru_cache(maxsize=512)(codec.decode))
    decode_request = staticmethod(codec.decode_request)
    encode_request = staticmethod(codec.encode_request)

    def resolve(self, entry: Entry) -> Entry:
        return entry


class NoTasks:
    """What `UnregisteredTasks` does where there is no Celery: nothing."""

    def begin(self, declared: object) -> None:
        """No entry has a task that is unknown."""

    def step(self, now_ms: int) -> None:
        """Nothing is stored."""

    def facts(self) -> dict[str, object]:
        return {}


@dataclass
class Parts:
    """The parts of a process, for inspection."""

    election: Election
    leases: RedisElectionStore
    engine: Engine


@contextlib.contextmanager
def engine_as_planned(plan: Plan) -> Iterator[None]:
    """The engine with a plan's constants: a small storm then meets what a large one does."""
    shipped = (recovery.ATTEMPTS_CAP, dispatch.ATOMIC_BATCH, dispatch.OUTBOX_BATCH, outbox.LITTLE)
    recovery.ATTEMPTS_CAP = plan.attempts_cap
    dispatch.ATOMIC_BATCH = dispatch.OUTBOX_BATCH = plan.batch
    outbox.LITTLE = plan.little
    try:
        yield
    finally:
        recovery.ATTEMPTS_CAP, dispatch.ATOMIC_BATCH, dispatch.OUTBOX_BATCH, outbox.LITTLE = shipped


class Stopper(shipped_stopping.Stopper):
    """The shipped one; what Celery's handler does is to end the process."""

    def __init__(self) -> None:
        super().__init__()
        self._before[signal.SIGTERM] = self._ends

    def signal(self) -> None:
        """A signal has come, wherever the process is."""
        self._on_signal(signal.SIGTERM, None)

    def _ends(self, *_: object) -> None:
        raise SystemExit(0)


class Alone:
    """There is no other prefix, no other scheduler, and no thread."""

    facts: tuple[()] = ()

    def look_once(self) -> None:
        """Nothing to look at."""

    step = look_once


def build(sim: Simulation, host: Host, declared: BeatSchedule, stopper: Stopper) -> Parts:
    """A replica's parts, in the order in which `assembly.build` makes them."""
    plan, clock = sim.plan, host
    caller = AsyncCaller(Clients(Client(host, sim.network), sim.network), sim.keys)
    leases = RedisElectionStore(
        caller, clock, APP, lambda: _cluster_of(host), host=host.name, pid=1
    )
    election = Election(leases, clock, Pace(plan.ttl_ms, plan.crash_poll_ms), host.nonce)
    store = RedisDispatchStore(
        caller,
        dedup_ttl_ms=plan.dedup_ms,
        ledger_age_ms=86_400_000,
        ledger_length=1_000_000,
        wait_redis_replicas=int(plan.waits),
    )
    publisher = Publisher(host, sim.broker, atomic=plan.atomic, begins=sim.conduct.publishes)
    entries = EntryStore(caller)
    inspection = Inspection(caller)
    chores = shipped.Replica(
        identity=shipped.Identity(
            host.nonce, host.name, 1, clock.wall_ms(), clock.monotonic_us() // 1_000
        ),
        election=election,
        lease_store=leases,
        entry_store=entries,
        inspection=inspection,
        publisher=publisher,  # type: ignore[arg-type]
        broker=Probe(publisher),  # type: ignore[arg-type]
        reconcile=Reconcile(entries, declared),
        differences=Differences(entries, inspection, declared, host.nonce),
        neighbours=Alone(),  # type: ignore[arg-type]
        others=Alone(),  # type: ignore[arg-type]
        beat_schedule=declared,
        tasks=NoTasks(),  # type: ignore[arg-type]
        upkeep=Upkeep(Mending(caller), entries, declared.fingerprint),
        ttl_ms=plan.ttl_ms,
        clock=clock,
        broker_failures=lambda: sim.parts[host.name].engine.broker_failures,
    )
    line = Line(host, sim.network, [sim.keys.wake, sim.keys.alive(host.nonce)])
    settings = EngineSettings(
        plan.ttl_ms,
        renew_after_ms(plan.ttl_ms),
        plan.publish_timeout_ms,
        Policies(),
        outbox_window=plan.window,
    )
    engine = Engine(
        election=election,
        store=store,
        wake_channel=InterruptibleWakeChannel(line, stopper),
        clock=clock,
        publisher=publisher,
        definitions=DefinitionSource(),
        housekeeping=chores,
        asker=ImmediateAsker(),
        settings=settings,
        stopping=lambda: stopper.requested,
        event_log=RedisEventLog(caller, host.nonce, host.name, 1),
    )
    return Parts(election, leases, engine)


def _cluster_of(host: Host) -> str:
    """A different nonce at each moment; its end names the replica that made it."""
    return f"cluster {(host.world.now_us - host.world.start_us) // 1_000} of {host.nonce}"


def live(sim: Simulation, host: Host, declared: BeatSchedule) -> None:
    """The process from its start to its clean end."""
    host.nonce = f"{host.wall_ms():012x}{host.name}"
    sim.nonces[host.nonce] = host
    stopper = Stopper()
    host.on_signal = stopper.signal
    parts = build(sim, host, declared, stopper)
    sim.parts[host.name] = parts
    with contextlib.suppress(SystemExit):
        while True:
            parts.engine.tick()
            stopper.act()
            host.sleep(TURN_US)
    token = parts.election.trust.token if parts.election.trust else None
    try:
        parts.leases.release(token, host.nonce)
    except StoreUnavailable:
        sim.world.tell("%s: could not release", host.name)
    sim.world.tell("%s: stopped", host.name)
    host.kill()
