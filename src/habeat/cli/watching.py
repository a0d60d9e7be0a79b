"""``status`` and ``health``: the state of the scheduler, for people and for probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from habeat.cli.errors import as_typed
from habeat.cli.group import command, json_option
from habeat.cli.health import HEALTH_HELP, health_options, say_health
from habeat.cli.printing import entries_counted, exact, full, pairs, plain, say, say_json, when
from habeat.client import Client, Replica, SchedulePause, Status
from habeat.core.circuit import Circuit
from habeat.core.differences import in_words
from habeat.core.leadership import CAUSES
from habeat.entries.spans import milliseconds
from habeat.printable import plural
from habeat.schedules.schedule import moment

Lines = str | Sequence[str]

#: How many entries are named of those that a replica declares differently.
DIFFERING_SHOWN = 10

START_ONE = "unless one is just starting, start one: celery -A proj beat -S habeat.Scheduler"
ADD_ONE = "add one: celery -A proj habeat add NAME TASK --every 300"


@command("status")
@json_option
def status_command(client: Client, as_json: bool) -> None:
    """Show the leader, the standbys, what is due, and any problems."""
    status = client.status()
    if as_json:
        say_json({**status_json(status), "redis": client.redis})
        return
    pairs([*_rows(status), ("Redis", client.redis)])
    for sentence in status.problems:
        say(f"PROBLEM: {as_typed(sentence)}", "red")
    for sentence in status.remarks:
        say(f"note: {sentence}", "yellow")


@command("health")
@health_options
def health_command(client: Client, as_json: bool, require: str | None) -> None:
    """Answer as HEALTH_HELP says."""
    say_health(client.status, require=require, as_json=as_json)


health_command.help = HEALTH_HELP


def status_json(status: Status) -> dict[str, object]:
    """The status, for programs."""
    accounting, counts = status.accounting, status.entries
    from_slots = {name: getattr(status, name) for name in status.__slots__}
    return {
        **from_slots,
        "findings": [plain(each) for each in status.findings],
        "problems": status.problems,
        "remarks": status.remarks,
        "healthy": status.healthy,
        "entries": {
            **plain(counts),
            "disabled_or_exhausted": counts.disabled_or_exhausted,
        },
        "circuits": {name: circuit_json(each) for name, each in status.circuits.items()},
        "accounting": {
            "claimed": accounting.claimed,
            "settled": accounting.settled,
            "abandoned": accounting.abandoned,
            "in_flight": accounting.in_flight,
            "difference": accounting.difference,
        },
    }


def _rows(status: Status) -> Iterator[tuple[str, Lines]]:
    now = status.at
    yield "leader", _leader(status)
    if status.paused is not None:
        yield "paused", pause_line(status.paused, now)
    if status.holds_on:
        yield "holds", f"on now: {', '.join(status.holds_on)}; see `hold list`"
    yield "standbys", _some(status.standbys, status)
    if status.inert:
        yield "inert", _some(status.inert, status)
    if status.dispatch:
        why = f": {status.dispatch_why}" if status.dispatch_why else ""
        yield "dispatch", status.dispatch + why
    yield "entries", states_in_words(status)
    if status.next_due:
        yield "next due", f"{status.next_due[0]}, {when(status.next_due[1], now)}"
    yield "overdue", entries_counted(status.overdue) if status.overdue else "none"
    yield "accounting", _accounting(status)
    if status.clock_skew_ms is not None:
        yield "clock skew", f"at most {status.clock_skew_ms} ms from Redis"
    if status.tzdata:
        yield "tz data", ", ".join(status.tzdata)
    if status.history_lost:
        yield "history lost", full(status.history_lost, now)
    yield from _troubled(status)


def pause_line(pause: SchedulePause, now: datetime) -> str:
    """That the whole schedule is paused: since when, until when, by whom and why."""
    until = f" until {full(pause.until, now)}" if pause.until else ""
    by = f" by {pause.by}" if pause.by else ""
    why = f": {pause.reason}" if pause.reason else ""
    return f"the whole schedule, since {when(pause.since, now)}{until}{by}{why}"


def _leader(status: Status) -> Lines:
    leader = status.leader
    if leader is None:
        return f"none; {as_typed(START_ONE)}" if not status.standbys else "none"
    since = f" since {when(leader.since, status.at)}" if leader.since else ""
    cause = f", {CAUSES.get(leader.cause, leader.cause)}" if leader.cause else ""
    left = milliseconds(leader.lease_left_ms)
    return f"{leader.where}{since}{cause}", f"lease epoch {leader.lease_epoch}, {left} left"


def _some(replicas: Sequence[Replica], status: Status) -> Lines:
    return [_one(each, status.quiet_ms.get(each.id)) for each in replicas] or "none"


def _one(replica: Replica, quiet_ms: int | None) -> str:
    """A replica, why it is inert, and how long it has been silent."""
    heard = "" if quiet_ms is None else f"last heard {quiet_ms // 1_000} s ago"
    return ", ".join(part for part in (replica.where, replica.inert, heard) if part)


def states_in_words(status: Status) -> str:
    """How many entries there are, and how many in each state."""
    counts = status.entries
    if not counts.total:
        return f"none yet; {as_typed(ADD_ONE)}"
    states = {
        "active": counts.active,
        "failing": counts.failing,
        "paused": counts.paused,
        "quarantined": counts.quarantined,
        "disabled or exhausted": counts.disabled_or_exhausted,
    }
    words = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    return f"{entries_counted(counts.total)}: {words}"


def _accounting(status: Status) -> str:
    sums = status.accounting
    return (
        f"{sums.claimed} claimed = {sums.settled} settled + {sums.abandoned} given up "
        f"+ {sums.in_flight} in flight{'' if not sums.difference else f' + {sums.difference} ?'}"
    )


def circuit_line(circuit: Circuit) -> str:
    """Why an entry's firings are not sent, and when the next probe is."""
    since, probe = moment(circuit.since_ms), moment(circuit.probe_ms)
    return (
        f"failed {plural(circuit.count, 'time')} in a row since {exact(since)} UTC "
        f"({circuit.why}); next try {exact(probe)} UTC"
    )


def circuit_json(circuit: Circuit) -> dict[str, object]:
    """The same, for programs."""
    return {
        "since": moment(circuit.since_ms),
        "count": circuit.count,
        "why": circuit.why,
        "next_probe": moment(circuit.probe_ms),
    }


def _troubled(status: Status) -> Iterator[tuple[str, Lines]]:
    for label, reasons in (("quarantined", status.quarantined), ("unstorable", status.unstorable)):
        if reasons:
            yield label, [f"{name}: {why}" for name, why in sorted(reasons.items())]
    if status.circuits:
        yield (
            "failing",
            [f"{name}: {circuit_line(it)}" for name, it in sorted(status.circuits.items())],
        )
    if status.dead:
        yield "given up", plural(status.dead, "firing or request", "firings or requests")
    if status.unregistered:
        yield "unregistered", [f"{name}: {it}" for name, it in sorted(status.unregistered.items())]
    if status.clashes:
        yield "clashes", list(status.clashes)
    if status.differences:
        yield (
            "differing",
            [
                f"{each.where}: {in_words(each.differs, each.differs_count, DIFFERING_SHOWN)}"
                for each in status.replicas
                if each.differs
            ],
        )
