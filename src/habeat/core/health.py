"""What is wrong with the schedule as a whole, from facts in Redis; not from what a leader believes.

`assess` is pure: the client, the command line and every replica come to the same findings from the
same facts. Each finding is something that an operator can act on, so a condition that passes by
itself within a few seconds is not a finding:

- **A burst** is not one: due entries are handled in the order in which they are due. So an entry
  is starved only if one that was due later has been sent, and the schedule is stalled only if no
  slot at all got an outcome.
- **A takeover** is not one: a new leader has `SETTLED_AFTER_MS` to begin.
- **Pauses, pacing, jitter and spread** are not: only what is in the index of due entries counts,
  and its times are effective times.
- **What a circuit holds back** gets an outcome at each slot: the circuit is the finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from habeat.core.circuit import CIRCUIT_OPEN
from habeat.core.events import EVENTS, EventCode
from habeat.core.firing import Outcome
from habeat.core.leadership import UNPLANNED, why_led
from habeat.printable import plural

#: A slot without an outcome for this long, while nothing was recorded or others were sent, is a
#: finding. The retries of one message and a takeover after a crash take less.
STALLED_AFTER_MS = 5_000
#: How much later another firing has to be due to prove that an entry was passed over.
PASSED_OVER_BY_MS = 2_000
#: A leader that has just been elected is left alone for this long.
SETTLED_AFTER_MS = 5_000
#: A failed slot is a finding for this long, unless its entry is sent or changed before.
FAILED_FOR_MS = 60_000
#: A loss of data is one for this long: a monitor that asks once a minute has to see it.
LOST_FOR_MS = 600_000
#: So is a change of leader that a failure has caused.
TAKEOVER_FOR_MS = 600_000
#: At most this many entries get a finding of their own; further ones are counted.
NAMED = 5


class Severity(StrEnum):
    """`error`: the schedule is not kept, so `health` fails. `warning`: it deserves a look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `code` is an `EventCode`. `entry` is the entry concerned, "" if it is not about one. `since_ms`
    is when it began, by Redis' clock; None if that is unknown. `next_step` says what to do.
    """

    code: str
    severity: Severity
    entry: str
    sentence: str
    since_ms: int | None = None
    next_step: str = ""

    @property
    def subject(self) -> tuple[str, str]:
        """What identifies the finding while its sentence changes."""
        return self.code, self.entry


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record of the ledger. `effective_ms` is None unless a message was sent at its time."""

    entry: str
    outcome: Outcome
    reason: str
    at_ms: int
    effective_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that is put off, or whose last slot failed: since when, and why.

    `failed` is whether that slot has ended as failed; otherwise it is tried again.
    """

    entry: str
    since_ms: int
    why: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a replica reports of itself: since when, and the error or the place in its code."""

    where: str
    since_ms: int
    what: str


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What the assessment is made from. Instants are milliseconds of Redis' clock.

    `leader` is where the leader runs, "" without one. `overdue` has the entries that have been due
    for longer than `STALLED_AFTER_MS`, the oldest first: some of the `overdue_count`. `newest` are
    the newest records of the ledger, the newest first. `in_flight_since` is when the oldest of a
    few messages in flight was due. `circuits` are entries with an open circuit. `led_after` is
    where the leader before ran, "" if that is unknown; `leader_cause` is why the lead changed.
    `missing_calendars` and `ended_calendars` have entries, each with the name of a calendar in the
    place of the reason.
    """

    now_ms: int
    leader: str
    standbys: int = 0
    leader_since_ms: int | None = None
    last_tick_ms: int | None = None
    overdue: Sequence[tuple[str, int]] = ()
    overdue_count: int = 0
    beyond_grace: int = 0
    newest: Sequence[Recorded] = ()
    in_flight: int = 0
    in_flight_since: int | None = None
    waiting: Sequence[Waiting] = ()
    circuits: Sequence[tuple[str, int]] = ()
    circuit_count: int = 0
    quarantined: Sequence[str] = ()
    quarantined_count: int = 0
    refused: Sequence[str] = ()
    dead: int = 0
    accounting_off: int = 0
    lost_ms: int | None = None
    broker: Trouble | None = None
    ticks: Sequence[Trouble] = ()
    hangs: Sequence[Trouble] = ()
    receivers: Sequence[Trouble] = ()
    leader_cause: str = ""
    led_after: str = ""
    repaired: Sequence[Trouble] = ()
    undefined: int = 0
    unplaced: int = 0
    missing_calendars: Sequence[Waiting] = ()
    ended_calendars: Sequence[Waiting] = ()


def errors(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The sentences of the findings that make `health` fail."""
    return tuple(each.sentence for each in findings if each.severity is Severity.ERROR)


def warnings(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The sentences of the findings that deserve a look."""
    return tuple(each.sentence for each in findings if each.severity is Severity.WARNING)


def error(
    code: EventCode,
    sentence: str,
    *,
    entry: str = "",
    since_ms: int | None = None,
    next_step: str = "",
) -> Finding:
    """A finding that makes `health` fail; its next step is the event's unless one is given."""
    step = next_step or EVENTS[code].next_step
    return Finding(code.value, Severity.ERROR, entry, sentence, since_ms=since_ms, next_step=step)


def warning(
    code: EventCode,
    sentence: str,
    *,
    entry: str = "",
    since_ms: int | None = None,
    next_step: str = "",
) -> Finding:
    """A finding that deserves a look."""
    step = next_step or EVENTS[code].next_step
    return Finding(code.value, Severity.WARNING, entry, sentence, since_ms=since_ms, next_step=step)


def assess(facts: HealthFacts) -> tuple[Finding, ...]:
    """All that is wrong, the most general first."""
    return (*_leadership(facts), *_dispatch(facts), *_entries(facts), *_accounts(facts))


# -- who leads --------------------------------------------------------------------------------


def _leadership(facts: HealthFacts) -> Iterator[Finding]:
    if not facts.leader:
        found = facts.standbys
        beside = plural(found, "replica stands", "replicas stand") + " by"
        none = "no beat is running" if not facts.hangs else "no beat's loop is running"
        yield error(
            EventCode.NO_LEADER,
            f"no leader; {beside if found else none}",
            since_ms=facts.last_tick_ms,
        )
    else:
        yield from _takeover(facts)
    for each in facts.hangs:
        yield error(
            EventCode.TICK_HANGS,
            f"the loop of {each.where} has been stuck for {_age(facts, each.since_ms)}, "
            f"in {each.what}",
            since_ms=each.since_ms,
        )
    for each in facts.ticks:
        yield error(
            EventCode.TICK_FAILED,
            f"the ticks of {each.where} have failed for {_age(facts, each.since_ms)}: {each.what}",
            since_ms=each.since_ms,
        )
    for each in facts.receivers:
        yield error(
            EventCode.RECEIVER_FAILED,
            f"signals do not reach all receivers in {each.where}, for "
            f"{_age(facts, each.since_ms)}: {each.what}",
            since_ms=each.since_ms,
        )


def _takeover(facts: HealthFacts) -> Iterator[Finding]:
    """That the leader before failed: its successor may lead before anybody has looked."""
    since_ms = facts.leader_since_ms
    if since_ms is None or facts.leader_cause not in UNPLANNED:
        return
    if facts.now_ms - since_ms < TAKEOVER_FOR_MS:
        why = why_led(facts.led_after or "the previous leader", facts.leader_cause, "", None)
        yield warning(
            EventCode.LEADER_ACQUIRED,
            f"{facts.leader} took over {_age(facts, since_ms)} ago: {why}",
            since_ms=since_ms,
            next_step="look at the host of the leader before; `history` has the gap",
        )


# -- is anything sent? ------------------------------------------------------------------------


def _dispatch(facts: HealthFacts) -> Iterator[Finding]:
    if facts.broker is not None:
        each = facts.broker
        yield error(
            EventCode.BROKER_UNAVAILABLE,
            f"the broker has taken no messages from {each.where} for "
            f"{_age(facts, each.since_ms)}: {each.what}",
            since_ms=each.since_ms,
        )
    elif stalled := stalled_because(facts):
        one = facts.overdue[0][0] if facts.overdue_count == 1 and facts.overdue else ""
        yield error(
            EventCode.DISPATCH_STALLED, stalled, entry=one, since_ms=_stalled_since_ms(facts)
        )
    if facts.beyond_grace:
        have = "has" if facts.beyond_grace == 1 else "have"
        yield error(
            EventCode.DISPATCH_LATE,
            f"{_counted(facts.beyond_grace)} {have} been due for longer than the misfire grace",
        )


def stalled_because(facts: HealthFacts) -> str:
    """Why the schedule is stalled, in a sentence; "" if slots get outcomes or none is due."""
    new = facts.leader and facts.now_ms - (facts.leader_since_ms or 0) < SETTLED_AFTER_MS
    quiet_ms = _quiet_ms(facts)
    if new or (quiet_ms is not None and quiet_ms < STALLED_AFTER_MS):
        return ""
    begins = "nothing has been sent" + ("" if quiet_ms is None else f" for {quiet_ms // 1_000} s")
    if facts.overdue_count:
        have = plural(facts.overdue_count, "entry has", "entries have")
        return f"{begins}, and {have} been due for more than {STALLED_AFTER_MS // 1_000} s"
    since_ms = facts.in_flight_since
    if since_ms is not None and facts.now_ms - since_ms > STALLED_AFTER_MS:
        count = plural(facts.in_flight, "message")
        return f"{begins}, and the broker does not take {count} in flight"
    return ""


def _quiet_ms(facts: HealthFacts) -> int | None:
    """How long ago the last slot got an outcome; None if the ledger is empty."""
    return max(0, facts.now_ms - facts.newest[0].at_ms) if facts.newest else None


def _stalled_since_ms(facts: HealthFacts) -> int | None:
    began = [due_ms for _, due_ms in facts.overdue[:1]]
    if facts.in_flight_since is not None:
        began.append(facts.in_flight_since)
    return min(began, default=None)


# -- single entries ---------------------------------------------------------------------------


def _entries(facts: HealthFacts) -> Iterator[Finding]:
    waiting = {each.entry for each in facts.waiting}
    starved = (
        []
        if stalled_because(facts)
        else [item for item in _passed_over(facts) if item[0] not in waiting]
    )
    for entry, due_ms in starved[:NAMED]:
        yield error(
            EventCode.ENTRY_STARVED,
            f"entry {entry!r} has been due for {_age(facts, due_ms)} without an outcome, though "
            "entries that were due later have been sent",
            entry=entry,
            since_ms=due_ms,
        )
    if len(starved) > NAMED:
        yield error(
            EventCode.ENTRY_STARVED,
            f"{_counted(len(starved) - NAMED)} more have been due for more than "
            f"{STALLED_AFTER_MS // 1_000} s without an outcome",
        )
    yield from _put_off(facts)
    if facts.circuit_count:
        yield _circuits(facts)
    yield from _quarantined(facts)
    if facts.refused:
        yield _refused(facts.refused)
    yield from _calendars(facts)


def _passed_over(facts: HealthFacts) -> Iterator[tuple[str, int]]:
    """The overdue entries for which a firing that was due later has been sent."""
    sent = [each.effective_ms for each in facts.newest if each.effective_ms is not None]
    latest_ms = max(sent, default=0)
    return (item for item in facts.overdue if item[1] + PASSED_OVER_BY_MS < latest_ms)


def _put_off(facts: HealthFacts) -> Iterator[Finding]:
    opened = {entry for entry, _ in facts.circuits}
    found = {each.entry: each for each in (*_failed_lately(facts), *facts.waiting)}
    shown = [each for each in found.values() if each.entry not in opened]
    for each in shown[:NAMED]:
        age = _age(facts, each.since_ms)
        yield error(
            EventCode.ENTRY_UNSENDABLE if each.failed else EventCode.ENTRY_WAITS,
            f"entry {each.entry!r} cannot be sent: {each.why} "
            f"({f'a slot failed {age} ago' if each.failed else f'it has waited for {age}'})",
            entry=each.entry,
            since_ms=each.since_ms,
        )
    if len(shown) > NAMED:
        yield error(EventCode.ENTRY_WAITS, f"{_counted(len(shown) - NAMED)} more cannot be sent")


def _failed_lately(facts: HealthFacts) -> Iterator[Waiting]:
    """The entries whose newest record, among those that were read, is a failed slot."""
    seen: set[str] = set()
    for each in facts.newest:
        if each.entry in seen or each.outcome is Outcome.NOTE:
            continue
        seen.add(each.entry)
        lately = facts.now_ms - each.at_ms < FAILED_FOR_MS
        if each.outcome is Outcome.FAILED and lately and not each.reason.startswith(CIRCUIT_OPEN):
            yield Waiting(each.entry, each.at_ms, each.reason, failed=True)


def _calendars(facts: HealthFacts) -> Iterator[Finding]:
    """The entries that fire on all days although they name a calendar."""
    for code, found, why in (
        (EventCode.CALENDAR_MISSING, facts.missing_calendars, "which does not exist"),
        (EventCode.CALENDAR_ENDED, facts.ended_calendars, "whose days are all past"),
    ):
        for each in found[:NAMED]:
            yield warning(
                code,
                f"entry {each.entry!r} names the calendar {each.why!r}, {why}: it fires every day",
                entry=each.entry,
                since_ms=each.since_ms,
            )
        if len(found) > NAMED:
            yield warning(code, f"{_counted(len(found) - NAMED)} more name a calendar {why}")


def _circuits(facts: HealthFacts) -> Finding:
    verb = "is" if facts.circuit_count == 1 else "are"
    names = sorted(entry for entry, _ in facts.circuits)[:NAMED]
    more = facts.circuit_count - len(names)
    rest = f" and {more} more" if more > 0 else ""
    return error(
        EventCode.CIRCUIT_OPENED,
        f"{_counted(facts.circuit_count)} {verb} failing: {', '.join(map(repr, names))}{rest}",
        entry=names[0] if facts.circuit_count == 1 and names else "",
        since_ms=min((since_ms for _, since_ms in facts.circuits), default=None),
    )


def _refused(entries: Sequence[str]) -> Finding:
    more = len(entries) - NAMED
    rest = f" and {more} more" if more > 0 else ""
    return warning(
        EventCode.ENTRY_REFUSED,
        f"{_counted(len(entries))} of beat_schedule cannot be stored: "
        f"{', '.join(map(repr, sorted(entries)[:NAMED]))}{rest}",
        entry=entries[0] if len(entries) == 1 else "",
    )


def _quarantined(facts: HealthFacts) -> Iterator[Finding]:
    named = sorted(facts.quarantined)[:NAMED]
    for entry in named:
        yield warning(
            EventCode.ENTRY_QUARANTINED,
            f"entry {entry!r} is quarantined and does not fire",
            entry=entry,
        )
    if facts.quarantined_count > len(named):
        more = facts.quarantined_count - len(named)
        yield warning(EventCode.ENTRY_QUARANTINED, f"{_counted(more)} more are quarantined")


# -- what is stored ---------------------------------------------------------------------------


def _accounts(facts: HealthFacts) -> Iterator[Finding]:
    if facts.dead:
        what = plural(facts.dead, "firing or request was", "firings or requests were")
        yield error(
            EventCode.DEAD_LETTERS,
            f"{what} given up: see `celery -A proj habeat dead list`, then resend or purge",
        )
    if facts.accounting_off:
        yield error(
            EventCode.ACCOUNTING_OFF,
            f"the accounting is off by {facts.accounting_off}: each claimed firing must be "
            "settled, given up or in flight",
        )
    if facts.lost_ms is not None and facts.now_ms - facts.lost_ms < LOST_FOR_MS:
        yield error(
            EventCode.DATA_LOST,
            f"Redis lost data {_age(facts, facts.lost_ms)} ago: it was emptied, or restored to an "
            "older state; entries made through the API may be gone",
            since_ms=facts.lost_ms,
        )
    yield from _inconsistent(facts)


def _inconsistent(facts: HealthFacts) -> Iterator[Finding]:
    """What shows that another program deleted keys of habeat's."""
    for each in facts.repaired:
        yield error(
            EventCode.KEYS_REPAIRED,
            f"{each.where} repaired keys {_age(facts, each.since_ms)} ago: {each.what}",
            since_ms=each.since_ms,
        )
    if facts.undefined:
        yield error(
            EventCode.ENTRIES_GONE,
            f"{_counted(facts.undefined)} lost their definitions in Redis, and can't fire",
            next_step="`load` your last export; find out what deleted them",
        )
    if facts.unplaced:
        yield error(
            EventCode.ENTRIES_GONE,
            f"{_counted(facts.unplaced)} lost their positions in Redis, and can't fire",
            next_step="`resume` them; find out what deleted the positions",
        )


def _counted(count: int) -> str:
    return plural(count, "entry", "entries")


def _age(facts: HealthFacts, since_ms: int) -> str:
    seconds = max(0, facts.now_ms - since_ms) // 1_000
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
