"""Build one replica: settings, connections, stores, election, engine.

A replica is built at the first tick, in the process that runs the loop. Building it connects to
nothing.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from celery import Celery

from habeat.beat.broker.broker import Broker
from habeat.beat.broker.connection import REDIS_TRANSPORTS, transport_of
from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.declared.differences import Differences
from habeat.beat.declared.reconcile import Reconcile
from habeat.beat.definition_source import BeatDefinitionSource
from habeat.beat.events.receivers import Receivers
from habeat.beat.events.watch import EventWatch, Leading
from habeat.beat.events.webhook import Pings, Webhook
from habeat.beat.handing_over import HandedOver
from habeat.beat.health_watch import HealthWatch
from habeat.beat.housekeeping import Identity, Replica
from habeat.beat.key_upkeep import Upkeep
from habeat.beat.kinds import LIMIT_MS, Kinds
from habeat.beat.message.kombu_redis import CannotRecord
from habeat.beat.message.publisher import CeleryPublisher
from habeat.beat.message.record import EntryRenderer
from habeat.beat.message.send_path import expires_of_task
from habeat.beat.message.template_limits import why_not_scheduler
from habeat.beat.neighbours import Neighbours
from habeat.beat.other_schedulers import OtherSchedulers
from habeat.beat.preflight import Preflight
from habeat.beat.schedule_threads import ScheduleThreads
from habeat.beat.shadow.publisher import NoBroker, ShadowPublisher
from habeat.beat.shadow.watcher import Kept, Watcher
from habeat.beat.stopping import InterruptibleWakeChannel, Stopper
from habeat.beat.unregistered import UnregisteredTasks
from habeat.clock import SystemClock
from habeat.config import Settings
from habeat.config.from_app import limits_of, owner_name, policies_of
from habeat.core.change_record import BY_CHARS_MAX, Author, ChangesKept, Way
from habeat.core.lease import renew_after_ms
from habeat.engine import Engine, EngineSettings
from habeat.engine.election import Election, Pace
from habeat.forking import drop_in_children
from habeat.ports import StoreUnavailable
from habeat.printable import printable
from habeat.store.calling import Caller, text
from habeat.store.connection import AnyRedis, Connections
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.events import RedisEventLog
from habeat.store.health import HealthStore
from habeat.store.inspection import Inspection
from habeat.store.key_repair import Mending
from habeat.store.keys import Keys
from habeat.store.known_tasks import KnownTasksStore
from habeat.store.leases import RedisElectionStore
from habeat.store.ledger_feed import LedgerFeed
from habeat.store.promises import PromiseStore
from habeat.store.pubsub import RedisWakeChannel
from habeat.store.shadow_log import ShadowLog

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
    broker: Broker | NoBroker
    events: EventWatch
    health: HealthWatch
    watcher: Watcher | None = None

    def release(self) -> HandedOver | None:
        """Release the lease over a separate connection, within a second; never raises.

        Returns what was handed over; None if this replica did not lead.
        """
        token = self.election.trust.token if self.election.trust else None
        handed = None if token is None else HandedOver(token.epoch, self.engine.prepared)
        self.election.forget()
        try:
            client = self.connections.short_lived(RELEASE_TIMEOUT_S, self.keys.meta)
            try:
                caller = Caller(_Single(client), self.keys)
                leases = RedisElectionStore(caller, SystemClock(), "")
                leases.release(token, self.election.nonce, "stop")
                return None if handed is None else handed.completed(caller, SystemClock())
            finally:
                client.close()
        except Exception as error:
            return None if handed is None else replace(handed, failed=type(error).__name__)

    def close(self) -> None:
        """Close all connections. Call `release` first."""
        self.events.close()
        self.health.close()
        if self.watcher is not None:
            self.watcher.close()
        self.wake_channel.resubscribe()
        self.connections.close()
        self.broker.discard()

    def drop_after_fork(self) -> None:
        """In a forked child: stop leading, and leave the parent's connections alone."""
        self.election.forget()
        self.events.forget()
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
    built = _Assembly(app, settings, before)
    built.add_definitions(beat_schedule)
    built.add_messages(apply_entry, stopper)
    engine = built.engine(stopper, max_interval_s)
    parts = ReplicaParts(
        engine=engine,
        election=built.election,
        preflight=built.preflight,
        connections=built.connections,
        keys=built.keys,
        wake_channel=built.wake_channel,
        broker=built.broker,
        events=built.events(),
        health=built.health(engine),
        watcher=built.watcher,
    )
    drop_in_children(parts)
    return parts


class _Assembly:
    """Builds the parts of a replica, step by step; each step uses those before it."""

    def __init__(self, app: Celery, settings: Settings, before: ReplicaParts | None) -> None:
        self.app, self.settings, self.clock = app, settings, SystemClock()
        self.limits = limits_of(settings, app.conf)
        self.owner = owner_name(settings, app.main)
        self.nonce = nonce = new_nonce(self.clock)
        self.keys = Keys(settings.key_prefix)
        self.connections = before.connections if before else _connections(settings)
        self.caller = caller = Caller(self.connections, self.keys)
        self.wake_channel = RedisWakeChannel(self.connections, self.keys, nonce, self.clock)
        self.identity = who = Identity.of_this_process(nonce, self.clock)
        self.leases = RedisElectionStore(caller, self.clock, self.owner, host=who.host, pid=who.pid)
        self.preflight = preflight = (
            before.preflight if before else Preflight(self.connections, caller, nonce, self.clock)
        )
        pace = Pace(settings.lease_ttl_ms, settings.crash_poll_ms)
        self.election = Election(
            self.leases, self.clock, pace, nonce, barred=lambda: preflight.barred
        )
        self.store = _dispatch_store(caller, settings, self.limits.stored_bytes, who)
        self.receivers = Receivers(app, self.clock)

    def add_definitions(self, beat_schedule: BeatSchedule) -> None:
        """What entries of Redis and of `beat_schedule` mean to this replica's code."""
        kinds = Kinds(min(LIMIT_MS, self.settings.lease_ttl_ms // 8))
        self.beat_schedule = kinds.declared(beat_schedule)
        self.tasks = UnregisteredTasks(
            self.app, self.settings.remote_tasks, KnownTasksStore(self.caller)
        )
        self.definitions = BeatDefinitionSource(
            self.beat_schedule,
            kinds.decode,
            self.limits,
            expires_of=partial(expires_of_task, self.app),
            look=self.tasks.look,
        )
        self.entries = EntryStore(self.caller, kinds.decode, _author())

    def add_messages(self, apply_entry: Callable[..., None], stopper: Stopper) -> None:
        """What builds messages and hands them to the broker."""
        app, settings, store = self.app, self.settings, self.store
        scheduler = getattr(apply_entry, "__self__", None)
        self.watcher: Watcher | None = None
        self.broker: Broker | NoBroker
        self.publisher: CeleryPublisher | ShadowPublisher
        if settings.shadow:
            self.broker, self.publisher = NoBroker(), self._shadow_publisher()
            return
        self.broker = broker = Broker(
            app,
            settings.publish_timeout_ms / 1_000,
            now_ms=self._monotonic_ms,
            own_names=self.limits.own_names,
        )
        self.publisher = CeleryPublisher(
            renderer=EntryRenderer(app, self.definitions, apply_entry, stopper.leaving),
            broker=broker,
            wanted=settings.dispatch,
            impossible=_why_not_atomic(app, settings),
            same_server=_same_server(self.caller, settings.redis.db),
            use_database=lambda db: store.use_databases(db, settings.redis.db),
            now_ms=self._monotonic_ms,
            template=settings.template and not why_not_scheduler(scheduler),
        )

    def _shadow_publisher(self) -> ShadowPublisher:
        """The publisher of a shadow, and what watches the other beat, with its own connection."""
        settings, connections = self.settings, _connections(self.settings)
        publisher = ShadowPublisher(
            self.app, self.definitions.code_parts, decided=lambda: watcher.decided()
        )
        declared = {entry.task_name for entry in self.beat_schedule.entries.values()}
        self.watcher = watcher = Watcher(
            self.app,
            ShadowLog(Caller(connections, self.keys)),
            has_task=lambda task: task in declared or publisher.has_task(task),
            kept=Kept(settings.ledger_age_ms, settings.ledger_length),
            clock=self.clock,
            nonce=self.nonce,
            disconnect=connections.close,
        )
        return publisher

    def engine(self, stopper: Stopper, max_interval_s: float) -> Engine:
        """The loop, and the housekeeping that it calls."""
        engine = Engine(
            election=self.election,
            store=self.store,
            wake_channel=InterruptibleWakeChannel(self.wake_channel, stopper),
            clock=self.clock,
            publisher=self.publisher,
            definitions=self.definitions,
            # It asks for the failures during a tick only, when the engine exists.
            housekeeping=self._housekeeping(lambda: engine.broker_failures),
            settings=_engine_settings(self.settings, max_interval_s),
            stopping=lambda: stopper.requested,
            asker=ScheduleThreads(self.clock),
            event_log=RedisEventLog(
                self.caller,
                self.nonce,
                self.identity.host,
                self.identity.pid,
                self.settings.error_chars,
            ),
        )
        return engine

    def health(self, engine: Engine) -> HealthWatch:
        """What watches the loop and the schedule, with a connection of its own."""
        connections, settings = _connections(self.settings), self.settings
        identity = self.identity
        return HealthWatch(
            HealthStore(Caller(connections, self.keys)),
            report=engine.report,
            election=self.election,
            replica=self.replica,
            grace_ms=policies_of(settings).misfire_grace_ms,
            where=f"{identity.host} pid {identity.pid}",
            clock=self.clock,
            receivers=lambda: self.receivers.failing,
            own_sending=lambda: self.publisher.own_sending,
            disconnect=connections.close,
        )

    def _housekeeping(self, broker_failures: Callable[[], int]) -> Replica:
        inspection, entries, declared = Inspection(self.caller), self.entries, self.beat_schedule
        self.replica = Replica(
            identity=self.identity,
            election=self.election,
            lease_store=self.leases,
            entry_store=entries,
            inspection=inspection,
            publisher=self.publisher,
            broker=self.broker,
            reconcile=Reconcile(
                entries.by_way(Way.BEAT_SCHEDULE), declared, _changes_kept(self.settings)
            ),
            differences=Differences(entries, inspection, declared, self.nonce),
            neighbours=Neighbours(self.settings, self.owner, declared),
            others=OtherSchedulers(self.app, self.settings, declared, self.clock),
            beat_schedule=declared,
            tasks=self.tasks,
            upkeep=Upkeep(Mending(self.caller), entries, declared.fingerprint),
            ttl_ms=self.settings.lease_ttl_ms,
            clock=self.clock,
            broker_failures=broker_failures,
            watcher=self.watcher,
        )
        return self.replica

    def events(self) -> EventWatch:
        """What reports events to receivers of signals, with its own connection."""
        election, connections = self.election, _connections(self.settings)
        caller = Caller(connections, self.keys)

        def leading() -> Leading:
            leaderless = election.holder is None
            return Leading(election.leading, election.known.cluster, leaderless=leaderless)

        return EventWatch(
            feed=LedgerFeed(caller),
            promises=None if self.settings.shadow else PromiseStore(caller),
            receivers=self.receivers,
            webhook=self._webhook(),
            pings=Pings(self.settings.pings) if self.settings.pings else None,
            leading=leading,
            clock=self.clock,
            replica=self.nonce,
            host=socket.gethostname(),
            disconnect=connections.close,
        )

    def _webhook(self) -> Webhook | None:
        settings = self.settings
        if settings.webhook_url is None:
            return None
        source = {"source": "habeat", "prefix": settings.key_prefix, "replica": self.nonce}
        source["host"] = socket.gethostname()
        return Webhook(settings.webhook_url, settings.webhook_headers, source)

    def _monotonic_ms(self) -> int:
        return self.clock.monotonic_us() // 1_000


def _dispatch_store(
    caller: Caller, settings: Settings, definition_bytes: int, who: Identity
) -> RedisDispatchStore:
    return RedisDispatchStore(
        caller,
        dedup_ttl_ms=settings.dedup_ttl_ms,
        ledger_age_ms=settings.ledger_age_ms,
        ledger_length=settings.ledger_length,
        wait_redis_replicas=settings.wait_redis_replicas,
        error_chars=settings.error_chars,
        dead_age_ms=settings.dead_age_ms,
        dead_length=settings.dead_length,
        definition_bytes=definition_bytes,
        shadow=settings.shadow,
        host=who.host,
        pid=who.pid,
    )


def _author() -> Author:
    """This replica, for the changes that it makes as the leader."""
    return Author(printable(f"beat on {socket.gethostname()}", BY_CHARS_MAX), Way.LEADER)


def _changes_kept(settings: Settings) -> ChangesKept:
    return ChangesKept(settings.changes_age_ms, settings.changes_length)


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
