"""Build one replica: settings, connections, stores, election, engine.

A replica is built at the first tick, in the process that runs the loop. Building it connects to
nothing.
"""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from celery import Celery

from habeat.beat.broker.broker import Broker
from habeat.beat.broker.connection import REDIS_TRANSPORTS, transport_of
from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.declared.differences import Differences
from habeat.beat.declared.reconcile import Reconcile
from habeat.beat.definition_source import BeatDefinitionSource
from habeat.beat.housekeeping import Identity, Replica
from habeat.beat.key_upkeep import Upkeep
from habeat.beat.kinds import LIMIT_MS, Kinds
from habeat.beat.message.kombu_redis import CannotRecord
from habeat.beat.message.publisher import CeleryPublisher
from habeat.beat.message.record import EntryRenderer
from habeat.beat.message.send_path import expires_of_task
from habeat.beat.neighbours import Neighbours
from habeat.beat.preflight import Preflight
from habeat.beat.schedule_threads import ScheduleThreads
from habeat.beat.stopping import InterruptibleWakeChannel, Stopper
from habeat.beat.unregistered import UnregisteredTasks
from habeat.clock import SystemClock
from habeat.config import Settings
from habeat.config.from_app import limits_of, policies_of
from habeat.core.lease import renew_after_ms
from habeat.engine import Engine, EngineSettings
from habeat.engine.election import Election, Pace
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller, text
from habeat.store.connection import AnyRedis, Connections
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.inspection import Inspection
from habeat.store.key_repair import Mending
from habeat.store.keys import Keys
from habeat.store.known_tasks import KnownTasksStore
from habeat.store.leases import RedisElectionStore
from habeat.store.pubsub import RedisWakeChannel

RELEASE_TIMEOUT_S = 1.0


@dataclass
class ReplicaParts:
    """The parts of one replica that its scheduler keeps."""

    engine: Engine
    election: Election
    preflight: Preflight
    connections: Connections
    keys: Keys
    wake_channel: RedisWakeChannel
    broker: Broker

    def release(self) -> None:
        """Release the lease over a separate connection, within a second; never raises."""
        token = self.election.trust.token if self.election.trust else None
        self.election.forget()
        try:
            client = self.connections.short_lived(RELEASE_TIMEOUT_S, self.keys.meta)
            try:
                caller = Caller(_Single(client), self.keys)
                RedisElectionStore(caller, SystemClock(), "").release(token, self.election.nonce)
            finally:
                client.close()
        except Exception:
            return

    def close(self) -> None:
        """Close all connections. Call `release` first."""
        self.wake_channel.resubscribe()
        self.connections.close()
        self.broker.discard()

    def drop_after_fork(self) -> None:
        """In a forked child: stop leading, and leave the parent's connections alone."""
        self.election.forget()
        self.wake_channel.forget()
        self.broker.forget()


class _Single:
    """Presents one given client as `Connections`."""

    def __init__(self, client: AnyRedis) -> None:
        self._client = client

    def client(self) -> AnyRedis:
        return self._client

    def reset(self) -> None:
        """Nothing to do: the client's owner closes it."""


def new_nonce(clock: SystemClock) -> str:
    """A nonce for one process start; nonces of earlier starts sort first."""
    return f"{clock.wall_ms():012x}{secrets.token_hex(6)}"


def build(
    app: Celery,
    settings: Settings,
    beat_schedule: BeatSchedule,
    apply_entry: Callable[..., None],
    stopper: Stopper,
    max_interval_s: float,
    before: ReplicaParts | None = None,
) -> ReplicaParts:
    """Build a replica.

    `before` are parts of this process that have not ticked; their connections and the result of
    their checks are used again.
    """
    clock = SystemClock()
    nonce = new_nonce(clock)
    connections = before.connections if before else _connections(settings)
    keys = Keys(settings.key_prefix)
    caller = Caller(connections, keys)
    leases = RedisElectionStore(caller, clock, app.main or settings.key_prefix)
    preflight = before.preflight if before else Preflight(app, connections, caller, nonce, clock)
    pace = Pace(settings.lease_ttl_ms, settings.crash_poll_ms)
    election = Election(leases, clock, pace, nonce, barred=lambda: preflight.barred)
    limits = limits_of(settings, app.conf)
    store = RedisDispatchStore(
        caller,
        dedup_ttl_ms=settings.dedup_ttl_ms,
        ledger_age_ms=settings.ledger_age_ms,
        ledger_length=settings.ledger_length,
        wait_redis_replicas=settings.wait_redis_replicas,
        error_chars=settings.error_chars,
        dead_age_ms=settings.dead_age_ms,
        dead_length=settings.dead_length,
        definition_bytes=limits.stored_bytes,
    )
    wake_channel = RedisWakeChannel(connections, keys, nonce, clock)
    broker = Broker(
        app,
        settings.publish_timeout_ms / 1_000,
        now_ms=lambda: clock.monotonic_us() // 1_000,
        own_names=limits.own_names,
    )
    kinds = Kinds(min(LIMIT_MS, settings.lease_ttl_ms // 8))
    beat_schedule = kinds.declared(beat_schedule)
    tasks = UnregisteredTasks(app, settings.remote_tasks, KnownTasksStore(caller))
    definitions = BeatDefinitionSource(
        beat_schedule,
        kinds.decode,
        limits,
        expires_of=partial(expires_of_task, app),
        look=tasks.look,
    )
    publisher = CeleryPublisher(
        renderer=EntryRenderer(app, definitions, apply_entry, stopper.leaving),
        broker=broker,
        wanted=settings.dispatch,
        impossible=_why_not_atomic(app, settings),
        same_server=_same_server(caller, settings.redis.db),
        use_database=lambda db: store.use_databases(db, settings.redis.db),
        now_ms=lambda: clock.monotonic_us() // 1_000,
        template=settings.template,
    )
    entries = EntryStore(caller, kinds.decode)
    inspection = Inspection(caller)
    replica = Replica(
        identity=Identity.of_this_process(nonce, clock),
        election=election,
        lease_store=leases,
        entry_store=entries,
        inspection=inspection,
        publisher=publisher,
        broker=broker,
        reconcile=Reconcile(entries, beat_schedule),
        differences=Differences(entries, inspection, beat_schedule, nonce),
        neighbours=Neighbours(settings, app.main or settings.key_prefix, beat_schedule),
        beat_schedule=beat_schedule,
        tasks=tasks,
        upkeep=Upkeep(Mending(caller), entries, beat_schedule.fingerprint),
        ttl_ms=settings.lease_ttl_ms,
        clock=clock,
        # Called during a tick only, when the engine below exists.
        broker_failures=lambda: engine.broker_failures,
    )
    engine = Engine(
        election=election,
        store=store,
        wake_channel=InterruptibleWakeChannel(wake_channel, stopper),
        clock=clock,
        publisher=publisher,
        definitions=definitions,
        housekeeping=replica,
        settings=_engine_settings(settings, max_interval_s),
        stopping=lambda: stopper.requested,
        asker=ScheduleThreads(clock),
    )
    parts = ReplicaParts(
        engine=engine,
        election=election,
        preflight=preflight,
        connections=connections,
        keys=keys,
        wake_channel=wake_channel,
        broker=broker,
    )
    _drop_in_children(parts)
    return parts


def _connections(settings: Settings) -> Connections:
    timeout_s = min(2.0, max(0.3, settings.lease_ttl_ms / 1_000 / 4))
    return Connections(settings.redis, socket_timeout_s=timeout_s, connect_timeout_s=timeout_s)


def _engine_settings(settings: Settings, max_interval_s: float) -> EngineSettings:
    longest_ms = max(50, min(1_000, round(max_interval_s * 1_000)))
    return EngineSettings(
        ttl_ms=settings.lease_ttl_ms,
        renew_after_ms=renew_after_ms(settings.lease_ttl_ms),
        publish_timeout_ms=settings.publish_timeout_ms,
        policies=policies_of(settings),
        outbox_window=settings.outbox_window,
        longest_wait_ms=longest_ms,
    )


def _why_not_atomic(app: Celery, settings: Settings) -> str:
    """Why atomic dispatch is impossible; "" if only a probe can tell."""
    if settings.wait_redis_replicas:
        return "habeat_wait_redis_replicas is set, and WAIT cannot run in a script"
    if settings.redis.cluster:
        return "the schedule is on a Redis Cluster"
    transport = transport_of(app.connection_for_write())
    if transport not in REDIS_TRANSPORTS:
        return f"the broker is not Redis ({transport})"
    return ""


def _same_server(caller: Caller, own_db: int) -> Callable[[int, str], str]:
    def read(database: int, key: str) -> str:
        try:
            return text(caller.run("samehost", database, own_db, key))
        except StoreUnavailable as error:
            if error.fault in ("denied", "other"):
                raise CannotRecord(f"the broker's database cannot be read ({error})") from error
            raise

    return read


def _drop_in_children(parts: ReplicaParts) -> None:
    held = weakref.ref(parts)

    def drop() -> None:
        found = held()
        if found is not None:
            found.drop_after_fork()

    os.register_at_fork(after_in_child=drop)
