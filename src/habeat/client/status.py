"""The state of the whole system: the leader, the standbys, what is due, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import itemgetter

from habeat.client.replicas import Leader, Replica, replica
from habeat.client.schedule_pause import SchedulePause, shown_pause
from habeat.core.circuit import Circuit
from habeat.core.controls import Controls
from habeat.core.entry import Entry
from habeat.core.events import EventCode
from habeat.core.firing import LATE_AFTER_MS
from habeat.core.health import (
    Finding,
    HealthFacts,
    Severity,
    assess,
    error,
    errors,
    warning,
    warnings,
)
from habeat.core.other_schedulers import problems
from habeat.printable import plural, printable
from habeat.schedules.schedule import moment
from habeat.store.health import HealthStore, Read
from habeat.store.inspection import Facts, Inspection
from habeat.store.overview import Accounting, balanced

#: A replica's clock that is further off is reported, because its logs and `since` mislead.
SKEW_NOTED_MS = 1_000

#: From how many slots on, and after how long, a shadow that sees no other beat is a problem.
UNSEEN_FROM, UNSEEN_AFTER_MS = 3, 600_000

#: What a client with a scope is shown of problems that are not about its entries.
NOT_HEALTHY = "the schedule as a whole is not healthy: tell the people who operate it"

#: A sentence names this many of the entries that the replicas declare differently.
DIFFERENCES_NAMED = 5

#: A replica registers every 5 s, at a tick, and a tick takes up to a second. One that has not
#: registered for longer than this may be gone. It is listed while it is live.
QUIET_AFTER_MS = 7_000


@dataclass(frozen=True, slots=True)
class EntryCounts:
    """How many entries there are, and how many in each state; see `Entry.condition`.

    Disabled and exhausted entries are counted together: telling them apart would mean to read them.
    """

    total: int
    active: int
    paused: int
    quarantined: int
    failing: int = 0

    @property
    def disabled_or_exhausted(self) -> int:
        counted = self.active + self.failing + self.paused + self.quarantined
        return max(0, self.total - counted)


@dataclass(frozen=True, slots=True)
class Status:
    """What `client.status` returns. Instants are aware datetimes in UTC, by Redis' clock.

    `dispatch` is "atomic" or "outbox", as chosen by the leader; "" without a leader. `overdue`
    counts the entries due for more than a second, `beyond_grace` those due for longer than the
    app's `habeat_misfire_grace`. `history_lost` is when Redis was last found emptied or restored.
    `quiet_ms` has the replicas besides the leader that have not registered for longer than a live
    one would: their ids, and for how long. `circuits` are the entries with an open circuit, which
    are not sent at present. `dead` counts the firings and requests that were given up and are still
    stored. `differences` has the entries that live replicas declare differently from what is
    stored: host and process id of these replicas, by entry. `unregistered` has entries whose task
    the leader's code does not register, with the task: at most 100, of beat_schedule and of those
    that have been due. `findings` is all that is wrong or deserves a look, each with its code.
    `paused` is the pause of the whole schedule, if it is paused, and `holds_on` has the names of
    the holds that are on.
    """

    at: datetime
    leader: Leader | None
    standbys: tuple[Replica, ...]
    inert: tuple[Replica, ...]
    dispatch: str
    dispatch_why: str
    entries: EntryCounts
    next_due: tuple[str, datetime] | None
    overdue: int
    beyond_grace: int
    clock_skew_ms: int | None
    tzdata: tuple[str, ...]
    quarantined: Mapping[str, str]
    clashes: tuple[str, ...]
    unstorable: Mapping[str, str]
    history_lost: datetime | None
    accounting: Accounting
    leader_changes: int
    quiet_ms: Mapping[str, int] = field(default_factory=dict)
    circuits: Mapping[str, Circuit] = field(default_factory=dict)
    dead: int = 0
    differences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unregistered: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    paused: SchedulePause | None = None
    holds_on: tuple[str, ...] = ()

    @property
    def in_flight(self) -> int:
        return self.accounting.in_flight

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the schedule is not kept: the sentences of the findings that are errors."""
        return errors(self.findings)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What deserves a look: the sentences of the findings that are warnings."""
        return warnings(self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there are no `problems`: a live leader sends what is due, no entry is overdue
        beyond its grace, and every firing is accounted for."""
        return not self.problems

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All live replicas, the leader first."""
        leading = self.leader.replica if self.leader else None
        return (*((leading,) if leading else ()), *self.standbys, *self.inert)


def read_status(inspection: Inspection, grace_ms: int) -> Status:
    """Read the status from Redis."""
    return status_of(balanced(inspection.facts), HealthStore(inspection.caller).read(grace_ms))


def status_of(facts: Facts, read: Read) -> Status:
    """The status for these facts, and for what was read for the assessment."""
    leader, others = _roles(facts)
    leading = leader.replica if leader else None
    live = (*((leading,) if leading else ()), *others)
    skews = [each.skew_ms for each in live if each.skew_ms is not None]
    status = Status(
        at=moment(facts.now_ms),
        leader=leader,
        standbys=tuple(each for each in others if each.role == "standby"),
        inert=tuple(each for each in others if each.role == "inert"),
        dispatch=leading.dispatch if leading else "",
        dispatch_why=leading.dispatch_why if leading else "",
        entries=EntryCounts(
            total=facts.entries,
            active=max(0, facts.scheduled - facts.failing),
            failing=facts.failing,
            paused=facts.paused,
            quarantined=len(facts.quarantined),
        ),
        next_due=None if facts.next_due is None else (facts.next_due[0], moment(facts.next_due[1])),
        overdue=read.late,
        beyond_grace=read.facts.beyond_grace,
        clock_skew_ms=max(skews, key=abs) if skews else None,
        tzdata=tuple(sorted({each.tzdata for each in live if each.tzdata})),
        quarantined=facts.quarantined,
        clashes=tuple(sorted({name for each in live for name in each.clashes})),
        unstorable={name: why for each in live for name, why in each.unstorable.items()},
        history_lost=moment(facts.lost_ms) if facts.lost_ms else None,
        accounting=facts.accounting,
        leader_changes=facts.count("leader_changes"),
        circuits=facts.circuits,
        dead=facts.dead,
        differences=_differences(live),
        quiet_ms={
            each.id: silence_ms
            for each in others
            if (silence_ms := facts.now_ms - facts.seen_ms[each.id]) > QUIET_AFTER_MS
        },
    )
    holds = facts.controls.holds
    paused = shown_pause(holds.pause_at(facts.now_ms))
    status = replace(status, paused=paused, holds_on=holds.on(facts.now_ms))
    leads = status.leader.where if status.leader else ""
    seen = replace(read.facts, leader=leads, standbys=len(status.standbys))
    seen = replace(seen, refused=list(status.unstorable))  # by any beat, not only the leader
    found = (*assess(seen), *_other_beats(status), *_deserve_a_look(status))
    return replace(
        status,
        findings=(*found, *_damaged(facts.controls)),
    )


def leader_of(facts: Facts) -> Leader | None:
    """The replica that holds the lease."""
    return _roles(facts)[0]


def _roles(facts: Facts) -> tuple[Leader | None, list[Replica]]:
    """The leader, and the other live replicas, sorted by id."""
    holder = facts.holder.nonce if facts.holder else None
    known = {
        nonce: replica(nonce, facts.replicas.get(nonce, {}), seen_ms, leads=nonce == holder)
        for nonce, seen_ms in sorted(facts.live.items())
    }
    leading = known.pop(holder, None) if holder is not None else None
    if facts.holder is None or facts.pttl_ms <= 0:
        return None, list(known.values())
    since_us = facts.count("leader_since")
    leader = Leader(
        id=facts.holder.nonce,
        since=moment(since_us // 1_000) if since_us else None,
        lease_epoch=facts.holder.epoch,
        cause=facts.meta.get("leader_cause", ""),
        lease_left_ms=facts.pttl_ms,
        replica=leading,
    )
    return leader, list(known.values())


def _differences(live: Sequence[Replica]) -> dict[str, tuple[str, ...]]:
    """Which replicas declare which entries differently; none if all have one configuration."""
    if len({each.config for each in live if each.config and not each.inert}) < 2:
        return {}
    names = sorted({name for each in live for name in each.differs})
    return {name: tuple(each.where for each in live if name in each.differs) for name in names}


def _other_beats(status: Status) -> Iterator[Finding]:
    """Other schedulers that have what habeat lacks, or send what it sends."""
    if status.replicas:
        seen = status.replicas[0]
        is_empty = status.entries.total <= seen.celerys_own
        shadow = status.dispatch == "shadow"
        for sentence in problems(seen.others, is_empty=is_empty, shadow=shadow):
            yield error(EventCode.OTHER_SCHEDULER, sentence)
        if shadow and seen.unseen >= UNSEEN_FROM and seen.unseen_ms > UNSEEN_AFTER_MS:
            yield error(
                EventCode.SHADOW_BLIND,
                f"this is a shadow, which sends nothing, and the last {seen.unseen} slots came "
                "without any message of another beat: start that beat, with task_send_sent_event "
                "= True, or remove habeat_shadow",
            )


def _damaged(controls: Controls) -> Iterator[Finding]:
    for name in controls.damaged:
        yield warning(
            EventCode.CONTROLS_DAMAGED,
            f"the stored control {name!r} cannot be read and is ignored",
        )


def _deserve_a_look(status: Status) -> Iterator[Finding]:
    if status.paused is not None:
        by = f" by {printable(status.paused.by)}" if status.paused.by else ""
        why = f": {printable(status.paused.reason)}" if status.paused.reason else ""
        yield warning(
            EventCode.SCHEDULE_PAUSED, f"the whole schedule is paused{by}{why}; nothing is sent"
        )
    if status.leader is not None and not status.standbys:
        yield warning(
            EventCode.NO_STANDBY, "no standby: if the leader is lost, no replica takes over"
        )
    for each in status.replicas:
        if each.id in status.quiet_ms:
            yield warning(
                EventCode.REPLICA_QUIET,
                f"{each.where} has not registered for {status.quiet_ms[each.id] // 1_000} s: it is "
                "frozen, cut off, or gone",
            )
    for each in status.inert:
        yield warning(EventCode.REPLICA_INERT, f"{each.where} can never lead: {each.inert}")
    if status.clashes:
        taken = plural(
            len(status.clashes), "name in beat_schedule is", "names in beat_schedule are"
        )
        yield warning(EventCode.NAME_CLASH, f"{taken} taken by entries of the API")
    yield from _replicas_that_differ(status)


def _replicas_that_differ(status: Status) -> Iterator[Finding]:
    if status.differences:
        names = ", ".join(map(repr, list(status.differences)[:DIFFERENCES_NAMED]))
        more = len(status.differences) - DIFFERENCES_NAMED
        rest = f" and {more} more" if more > 0 else ""
        leads = f"; {status.leader.where} leads" if status.leader else ""
        yield warning(
            EventCode.DECLARATIONS_DIFFER,
            f"the replicas declare different entries: {names}{rest}{leads}",
        )
    if len(status.tzdata) > 1:
        yield warning(
            EventCode.TZDATA_DIFFERS,
            f"the replicas have different time zone data: {', '.join(status.tzdata)}",
        )
    if status.clock_skew_ms is not None and abs(status.clock_skew_ms) > SKEW_NOTED_MS:
        yield warning(
            EventCode.CLOCK_OFF,
            f"a replica's clock is {status.clock_skew_ms} ms off Redis' clock",
        )


def within_scope(status: Status, entries: Iterable[Entry], dead: int, grace_ms: int) -> Status:
    """The status for a client whose guard has a scope; these are all the entries in it.

    Such a client may know whether beats run, but not where, and nothing about other entries.
    """
    found = {entry.name: entry for entry in entries}
    counted = Counter(entry.condition for entry in found.values())
    due = [(name, at) for name, entry in found.items() if (at := entry.state.next_due)]
    late = [status.at - at for _, at in due]
    late_after = timedelta(milliseconds=LATE_AFTER_MS)
    scoped = Status(
        at=status.at,
        paused=status.paused and replace(status.paused, reason="", by=""),
        leader=status.leader and replace(status.leader, id="", replica=None),
        standbys=tuple(map(_unnamed, status.standbys)),
        inert=tuple(map(_unnamed, status.inert)),
        dispatch=status.dispatch,
        dispatch_why="",
        entries=EntryCounts(
            total=len(found),
            active=counted["active"],
            paused=counted["paused"],
            quarantined=counted["quarantined"],
            failing=counted["failing"],
        ),
        next_due=min(due, key=itemgetter(1), default=None),
        overdue=sum(each > late_after for each in late),
        beyond_grace=sum(each > late_after + timedelta(milliseconds=grace_ms) for each in late),
        clock_skew_ms=None,
        tzdata=(),
        quarantined={name: why for name, why in status.quarantined.items() if name in found},
        clashes=tuple(name for name in status.clashes if name in found),
        unstorable={},
        history_lost=status.history_lost,
        accounting=Accounting(0, 0, 0, 0),
        leader_changes=status.leader_changes,
        circuits={name: each for name, each in status.circuits.items() if name in found},
        dead=dead,
        unregistered={name: task for name, task in status.unregistered.items() if name in found},
    )
    return replace(scoped, findings=tuple(_findings_within(scoped, status, found)))


def _findings_within(scoped: Status, status: Status, names: Collection[str]) -> Iterator[Finding]:
    """What is wrong with these entries; of the rest, only that something is."""
    facts = HealthFacts(
        now_ms=0,
        leader="a beat" if scoped.leader else "",
        standbys=len(scoped.standbys),
        beyond_grace=scoped.beyond_grace,
        circuits=[(name, each.since_ms) for name, each in scoped.circuits.items()],
        circuit_count=len(scoped.circuits),
        quarantined=list(scoped.quarantined),
        quarantined_count=len(scoped.quarantined),
        dead=scoped.dead,
    )
    found = {each.subject: each for each in assess(facts)}
    hidden = [each for each in status.findings if each.severity is Severity.ERROR]
    found |= {each.subject: each for each in hidden if each.entry in names}
    if hidden and not errors(found.values()):
        yield replace(hidden[0], entry="", sentence=NOT_HEALTHY, next_step="")
    yield from found.values()
    yield from _deserve_a_look(replace(scoped, inert=()))


def _unnamed(replica: Replica) -> Replica:
    """The replica without what says where it runs, and what it declares."""
    return Replica(
        id="",
        role=replica.role,
        host="",
        pid=None,
        started=replica.started,
        last_seen=replica.last_seen,
        version=replica.version,
        tzdata="",
        config="",
        declared=0,
        skew_ms=None,
        dispatch=replica.dispatch,
        dispatch_why="",
        inert="yes" if replica.inert else "",
    )
