"""A replica's work besides dispatch: register itself, reconcile the entries, hand over.

Registration tells the other replicas and `status` what this replica is. Its rank among them decides
how closely it watches the leader. A standby keeps a connection to the broker open, so that it can
take over quickly, and registers when the broker last answered it. A leader whose own broker
connection fails hands over to such a standby. All replicas together hand over at most once a
minute. The leader that handed over then does not compete for a while, unless no other replica takes
the lease.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from typing import Any

from habeat.beat.broker.broker import Broker
from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.declared.differences import Differences
from habeat.beat.declared.reconcile import Reconcile
from habeat.beat.key_upkeep import Upkeep
from habeat.beat.message.publisher import CeleryPublisher
from habeat.beat.neighbours import Neighbours
from habeat.beat.other_schedulers import OWN_OF_CELERY, OtherSchedulers
from habeat.beat.shadow.publisher import NoBroker, ShadowPublisher
from habeat.beat.shadow.watcher import Watcher
from habeat.beat.unregistered import UnregisteredTasks
from habeat.clock import process_age_ms
from habeat.core.events import EventCode
from habeat.core.leadership import why_led
from habeat.core.lease import Fence
from habeat.engine.election import DataLost, Election, LeaseLost
from habeat.engine.fenced import Lead
from habeat.engine.trouble_log import TroubleLog
from habeat.entries import changes
from habeat.errors import DefinitionError
from habeat.log import log_event
from habeat.ports import BrokerUnavailable, Clock, StoreUnavailable, Unfenced, Won
from habeat.ports.entries import Stored, Write
from habeat.store.entries import EntryStore
from habeat.store.inspection import Inspection
from habeat.store.leases import RedisElectionStore

log = logging.getLogger("habeat")

REGISTER_EVERY_MS = 5_000
PROBE_EVERY_MS = 10_000
PROBE_TIMEOUT_MS = 700
FAILURES_BEFORE_YIELD = 3
SIT_OUT_MS = 60_000
PROBE_FRESH_MS = 30_000
#: The delay before retrying a resume that failed.
PAUSE_RETRY_MS = 60_000


@cache
def version_of(package: str) -> str:
    """The installed version of a distribution; "" if it is not installed.

    It is cached: reading it takes a millisecond, and a running process keeps the version that it
    imported.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same for the life of the process."""

    nonce: str
    host: str
    pid: int
    since_ms: int
    #: When the process was started, by the monotonic clock.
    started_ms: int

    @classmethod
    def of_this_process(cls, nonce: str, clock: Clock) -> Identity:
        """The identity of the current process; call it in the process that runs the loop."""
        started_ms = clock.monotonic_us() // 1_000 - process_age_ms()
        return cls(nonce, socket.gethostname(), os.getpid(), clock.wall_ms(), started_ms)


class Replica:
    """`engine.Housekeeping` for a Celery beat."""

    def __init__(
        self,
        *,
        identity: Identity,
        election: Election,
        lease_store: RedisElectionStore,
        entry_store: EntryStore,
        inspection: Inspection,
        publisher: CeleryPublisher | ShadowPublisher,
        broker: Broker | NoBroker,
        reconcile: Reconcile,
        differences: Differences,
        neighbours: Neighbours,
        others: OtherSchedulers,
        beat_schedule: BeatSchedule,
        tasks: UnregisteredTasks,
        upkeep: Upkeep,
        ttl_ms: int,
        clock: Clock,
        broker_failures: Callable[[], int],
        watcher: Watcher | None = None,
    ) -> None:
        """`watcher` is a shadow's."""
        self._watcher = watcher
        self._identity = identity
        self._election = election
        self._lease_store = lease_store
        self._entry_store = entry_store
        self._inspection = inspection
        self._publisher = publisher
        self._broker = broker
        self._reconcile = reconcile
        self._differences = differences
        self._neighbours = neighbours
        self._others = others
        self._beat_schedule = beat_schedule
        self._tasks = tasks
        self._upkeep = upkeep
        self._ttl_ms = ttl_ms
        self._clock = clock
        self._broker_failures = broker_failures
        self._unended = TroubleLog()
        self._registered_ms: int | None = None
        self._registered_as = ""
        self._names_kept = False
        self._cluster, self._lost_ms = "", 0
        self._probed_ms: int | None = None
        self._broker_ok_ms: int | None = None
        self._skew_ms = 0
        self._generation = 0
        self._led_under: str | None = None

    # -- what the watch of the health reads ---------------------------------------------------

    @property
    def broker_ok_ms(self) -> int | None:
        """When this standby last reached the broker, by Redis' clock."""
        return self._broker_ok_ms

    @property
    def rank(self) -> int:
        """This replica's rank among the standbys."""
        return self._election.rank

    @property
    def repaired(self) -> tuple[str, int]:
        """Which keys were repaired last, and when by the monotonic clock; "" if none."""
        return self._upkeep.repaired

    # -- engine.Housekeeping ----------------------------------------------------------------

    def each_tick(self, lead: Lead | None) -> int | None:
        self._announce(lead)
        self._register_if_due(lead)
        self._neighbours.look_once()
        self._others.step()
        if lead is None:
            self._watch(wanted=False)
            self._probe_if_due()
            self._compare()
            return None
        if self._should_yield():
            self._yield()
            return None
        self._tasks.step(self._now_ms())
        indexing = self._upkeep.step(lead, self._now_ms())
        if self._upkeep.entries_lost:
            self._upkeep.entries_lost = False
            self._reconcile.again()
        seeding = self._reconcile.slice(
            lead, generation=self._generation, history_lost_ms=self._election.known.loss.declared_ms
        )
        if seeding is None:
            self._watch(wanted=True)
            self._compare()
        return seeding if indexing is None else indexing

    def _watch(self, *, wanted: bool) -> None:
        """In a shadow, watch the other beat while this replica leads and decides."""
        if self._watcher is not None:
            self._watcher.want(wanted)

    def _compare(self) -> None:
        if self._differences.step():
            self._registered_ms = None  # tell the others with the next tick

    def mend(self, lead: Lead | None) -> None:
        token = lead.token if lead else None
        self._upkeep.look(token, self._ttl_ms, self._now_ms())

    def resume(self, lead: Lead, names: Sequence[str]) -> None:
        """End the pauses whose time is over, and account for their slots as skipped."""
        snapshot = self._entry_store.read(names)
        for stored in snapshot.stored:
            try:
                self._end_pause(lead, stored, snapshot.now_ms)
            except (StoreUnavailable, LeaseLost, DataLost):
                raise
            except Exception as error:  # an unreadable definition, or a schedule that raises
                why = error.why if isinstance(error, DefinitionError) else repr(error)
                self._unended.error(
                    stored.name,
                    EventCode.RESUME_FAILED,
                    "habeat: the pause of entry %r is over, but the entry cannot be resumed; next "
                    "try in %d s; update, replace or remove the entry: %s",
                    stored.name,
                    PAUSE_RETRY_MS // 1_000,
                    why,
                    entry=stored.name,
                )
                self._postpone(lead, stored, snapshot.now_ms + PAUSE_RETRY_MS)

    def _end_pause(self, lead: Lead, stored: Stored, now_ms: int) -> None:
        state = stored.state
        if state.paused is None or (state.paused_until_ms or 0) > now_ms:
            self._postpone(lead, stored, state.paused_until_ms)  # :resume had the wrong time
            return
        edit = changes.resume(stored, min(state.paused_until_ms or now_ms, now_ms))
        if edit is not None and lead.call(partial(self._resumed, edit.write)):
            self._unended.over(stored.name)
            log_event(
                EventCode.ENTRY_RESUMED,
                "habeat: the pause of entry %r is over",
                stored.name,
                entry=stored.name,
            )

    def _postpone(self, lead: Lead, stored: Stored, until_ms: int | None) -> None:
        lead.call(lambda fence: self._entry_store.postpone(stored.name, until_ms, fence))

    def _resumed(self, write: Write, fence: Fence) -> bool | Unfenced:
        outcome = self._entry_store.write([write], fence)
        return outcome if isinstance(outcome, Unfenced) else outcome is None

    # -- chores -----------------------------------------------------------------------------

    def _announce(self, lead: Lead | None) -> None:
        token = str(lead.token) if lead else ""
        if token == self._led_under:
            return
        self._led_under = token
        won = self._election.won
        if lead is not None and won is not None:
            loss = {
                "emptied": "; Redis was emptied: history lost, the entries of beat_schedule are "
                "created again",
                "restored": "; Redis went back in time: slots up to its last answer count as lost",
            }
            log_event(
                EventCode.LEADER_ACQUIRED,
                "habeat: leading (lease epoch %d, host %s, pid %d)%s%s%s",
                won.token.epoch,
                self._identity.host,
                self._identity.pid,
                _reason(won),
                loss.get(won.timeline, ""),
                "; this is a shadow: it sends nothing" if self._watcher else "",
                lease_epoch=won.token.epoch,
                **_facts_of(won),
            )
        else:
            log_event(EventCode.STANDING_BY, "habeat: standing by; %s", self._who_leads())
        if lead is not None:
            self._tasks.begin(self._beat_schedule.entries.values())

    def _who_leads(self) -> str:
        holder, leader = self._election.holder, self._election.leader
        if holder and leader:
            return f"{leader} leads (lease epoch {holder.partition(':')[0]})"
        return f"the lease is held by {holder}" if holder else "no replica holds the lease yet"

    def _register_if_due(self, lead: Lead | None) -> None:
        now_ms = self._now_ms()
        role = (
            "inert"
            if self._election.inert or self._election.barred
            else ("leader" if lead else "standby")
        )
        stale = self._registered_ms is None or now_ms - self._registered_ms >= REGISTER_EVERY_MS
        known = self._election.known
        same_cluster = self._cluster == known.cluster
        # After a loss of data, register again: Redis may have forgotten which deploy is the newest.
        same_timeline = same_cluster and self._lost_ms == known.loss.declared_ms
        if not stale and role == self._registered_as and same_timeline:
            return
        if not self._names_kept:
            self._entry_store.declare(
                self._beat_schedule.fingerprint, sorted(self._beat_schedule.entries)
            )
        found = self._lease_store.register(
            self._identity.nonce,
            json.dumps(self._facts(role)),
            self._beat_schedule.fingerprint,
            len(self._beat_schedule.entries),
            generation=self._generation if same_cluster else 0,
            age_ms=now_ms - self._identity.started_ms,
        )
        self._election.placed(found.rank)
        self._generation = found.generation
        # Without these names in Redis, nothing would be pruned: declare them at the next tick.
        self._names_kept = found.names >= len(self._beat_schedule.entries)
        self._skew_ms = self._clock.wall_ms() - found.now_us // 1_000
        self._registered_ms, self._registered_as = now_ms, role
        self._cluster, self._lost_ms = known.cluster, known.loss.declared_ms
        configs = 1 if role == "inert" else found.configs
        self._differences.registered(configs, now_ms, leads=lead is not None)

    def _facts(self, role: str) -> dict[str, Any]:
        publisher = self._publisher
        return {
            "host": self._identity.host,
            "pid": self._identity.pid,
            "role": role,
            "since_ms": self._identity.since_ms,
            "habeat": version_of("habeat"),
            "celery": version_of("celery"),
            "redis_py": version_of("redis"),
            "python": platform.python_version(),
            "tzdata": version_of("tzdata"),
            "dispatch": publisher.dispatch,
            "dispatch_why": publisher.why,
            **(self._watcher.facts if self._watcher else {}),
            "others": self._others.facts,
            "celerys_own": int(OWN_OF_CELERY in self._beat_schedule.entries),
            "skew_ms": self._skew_ms,
            "config": self._beat_schedule.fingerprint,
            "declared": len(self._beat_schedule.entries),
            "clashes": sorted(self._reconcile.clashes)[:100],
            "unstorable": dict(list(self._beat_schedule.broken.items())[:100]),
            **(self._tasks.facts() if role == "leader" else {}),
            "inert": self._election.inert or self._election.barred,
            "broker_ok_ms": self._broker_ok_ms,
            **self._differences.facts,
        }

    def _probe_if_due(self) -> None:
        now_ms = self._now_ms()
        if self._probed_ms is not None and now_ms - self._probed_ms < PROBE_EVERY_MS:
            return
        self._probed_ms = now_ms
        try:
            self._publisher.prepare(PROBE_TIMEOUT_MS)
            self._broker.probe(PROBE_TIMEOUT_MS / 1_000)
        except BrokerUnavailable as error:
            log.info("habeat: this standby does not reach the broker: %s", error)
            self._broker_ok_ms = None
        else:
            self._broker_ok_ms = self._clock.wall_ms() - self._skew_ms  # by Redis' clock

    # -- handing over -----------------------------------------------------------------------

    def _should_yield(self) -> bool:
        # With atomic dispatch, messages go through the schedule's Redis, which all replicas share.
        failing = self._broker_failures() >= FAILURES_BEFORE_YIELD and not self._publisher.atomic
        # `may_rotate` comes last: it uses up the one hand-over a minute that all replicas share.
        return failing and self._successor_is_near() and self._lease_store.may_rotate()

    def _successor_is_near(self) -> bool:
        facts = self._inspection.facts()
        live = facts.live
        return any(
            other.get("role") == "standby"
            and nonce in live
            and facts.now_ms - (other.get("broker_ok_ms") or 0) <= PROBE_FRESH_MS
            for nonce, other in facts.replicas.items()
            if nonce != self._identity.nonce
        )

    def _yield(self) -> None:
        log_event(
            EventCode.HANDING_OVER,
            "habeat: the broker takes no messages from this replica, but answers a standby: "
            "handing over, and not competing for the lease for %d s",
            SIT_OUT_MS // 1_000,
            cause="broker",
        )
        self._election.resign(SIT_OUT_MS, "broker")

    def _now_ms(self) -> int:
        return self._clock.monotonic_us() // 1_000


def _reason(won: Won) -> str:
    """Why the lead changed, for the log; "" if it did not."""
    change = won.change
    if change is None or change.cause == "emptied":  # the line says so, with what follows from it
        return ""
    return f": {why_led(change.before, change.cause, change.why, won.gap_ms)}"


def _facts_of(won: Won) -> dict[str, Any]:
    """The same for programs that read the log."""
    change = won.change
    if change is None:
        return {}
    facts = {"cause": change.cause, "previous": change.before, "gap_ms": won.gap_ms}
    return {name: fact for name, fact in facts.items() if fact not in (None, "")}
