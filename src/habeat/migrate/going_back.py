"""Write habeat's schedule into another scheduler: `migrate --to`.

habeat's side is only read, so it can be repeated, and so the way back stays open until the keys are
purged. Three things are done to the other scheduler:

1. Every entry that it can express is written with its last run (see `returning`). If the other
   scheduler has run it after habeat, as when this is repeated, what it has sent counts as handled:
   a last run never moves back.
2. Entries that it still has under the name of one that is not written would run as they were before
   the switch: they are disabled.
3. Entries that only it has may have been removed in habeat, or were never carried. Those that would
   run at once are disabled, because no beat has run them for a while. The others are left. Both are
   named.

See decision 0060.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from habeat.client.calls import RetryingCalls
from habeat.client.purging import check_stopped
from habeat.client.selection import entries_of, pages_of
from habeat.client.status import Status, read_status
from habeat.core.entry import Entry
from habeat.errors import HabeatError
from habeat.migrate.found import SourceEntry
from habeat.migrate.plan import AHEAD_MS
from habeat.migrate.returning import Abilities, NotReturned, Returned, Spent, returned
from habeat.printable import plural
from habeat.schedules import Interval
from habeat.schedules.schedule import moment, to_ms

#: For this many entries, reading them may take a second longer.
PER_SECOND = 500


class Step(enum.StrEnum):
    """What becomes of an entry."""

    WRITE = "write"  # the other scheduler gets it with its last run
    LAST_RUN = "last run"  # beat_schedule has it: only the last run is written
    DISABLE = "disable"  # it must not run there
    LEAVE = "leave"  # only the other scheduler has it
    SPENT = "spent"  # it has no more slots
    REFUSE = "refuse"  # it cannot be written


@dataclass(frozen=True, slots=True)
class BackRow:
    """One entry: what becomes of it, its first slot in the other scheduler, and why."""

    name: str
    action: Step
    first_slot: datetime | None = None
    why: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoingBack:
    """What became of the entries, or would become of them if not `written`.

    `prefix` is habeat's key prefix. `warnings` are sentences about what habeat had not finished.
    """

    prefix: str
    target: str
    rows: Sequence[BackRow]
    written: bool
    warnings: tuple[str, ...] = ()


class Target(Protocol):
    """Another scheduler's store. Its errors are HabeatErrors."""

    place: str
    abilities: Abilities

    def enabled(self) -> Mapping[str, bool]:
        """The names of all that it has, and whether each is enabled."""

    def last_runs(self) -> Mapping[str, datetime]:
        """When each entry that it has ran last there, if it has."""

    def others(self, names: Sequence[str], now: datetime) -> Sequence[SourceEntry]:
        """Those of these entries that can be read."""

    def write(self, entries: Sequence[Returned]) -> Mapping[str, str]:
        """Write these entries; the reasons for those that could not be written, by name."""

    def disable(self, names: Sequence[str]) -> None:
        """Disable these entries, which it has."""


def gone_back(
    calls: RetryingCalls,
    target: Target,
    *,
    dry_run: bool,
    force: bool = False,
    prefix: str = "",
    sent_until_ms: int | None = None,
) -> GoingBack:
    """Write the entries whose names begin with `prefix`; with `dry_run`, only say what would be.

    Slots up to `sent_until_ms` count as handled. Raises BeatsAlive while a beat of habeat runs,
    unless `force` is true, and the target's errors.
    """
    status = _status(calls)
    if not (dry_run or force):
        check_stopped(calls.location.prefix, status)
    plan = _planned(calls, target, status, prefix, sent_until_ms)
    if not dry_run:
        target.disable(plan.disabled)
        plan.correct(target.write(plan.written))
    after = status if dry_run or force else _status(calls)
    rows = sorted(plan.rows.values(), key=lambda row: row.name)
    warnings = (*_unfinished(status), *_pending(calls), *_started(after, dry_run=dry_run))
    return GoingBack(calls.location.prefix, target.place, rows, not dry_run, warnings)


def _planned(
    calls: RetryingCalls, target: Target, status: Status, prefix: str, sent_until_ms: int | None
) -> _Plan:
    there, last_runs = dict(target.enabled()), target.last_runs()
    reading = calls.bounded(status.entries.total / PER_SECOND)
    now = moment(reading.read(lambda session: session.inspection.now_ms()))
    plan = _Plan(target.abilities, there, now)
    for entry in _entries(reading, prefix):
        plan.add(entry, _handled_ms(entry, last_runs.get(entry.name), sent_until_ms, now))
        reading.check(f"{len(plan.rows)} entries were read")
    plan.add_others(target, prefix)
    return plan


def _status(calls: RetryingCalls) -> Status:
    grace_ms = calls.location.policies.misfire_grace_ms
    return calls.read(lambda session: read_status(session.inspection, grace_ms))


def _entries(calls: RetryingCalls, prefix: str) -> Iterator[Entry]:
    for page in pages_of(calls):
        yield from entries_of(calls, [name for name in page if name.startswith(prefix)])


def _handled_ms(
    entry: Entry, their_run: datetime | None, sent_until_ms: int | None, now: datetime
) -> int | None:
    """Until when slots count as handled beside habeat's cursor; None if no later than that.

    An impossible last run is left out. A period whose slots are not those of the other scheduler
    continues at the one nearest to a whole period after the last run there.
    """
    if their_run is None or their_run > now + timedelta(milliseconds=AHEAD_MS):
        return sent_until_ms
    their_ms = to_ms("last_run_at", their_run)
    if their_ms <= entry.state.cursor_ms:
        return sent_until_ms
    if isinstance(entry.schedule, Interval):
        their_ms += (entry.schedule.every_ms + 1) // 2 - 1
    return max(their_ms, sent_until_ms or 0)


def _unfinished(status: Status) -> Iterator[str]:
    if status.in_flight:
        yield (
            f"{plural(status.in_flight, 'claimed firing')} may not have been sent: to have that "
            "settled, start one beat of habeat, stop it with SIGTERM, and run this again"
        )


def _pending(calls: RetryingCalls) -> Iterator[str]:
    """Triggers and backfills that no beat has carried out: the other scheduler knows of none."""
    count = calls.read(lambda session: len(session.entries.requests()))
    if count:
        yield (
            f"{plural(count, 'trigger or backfill has', 'triggers or backfills have')} not been "
            "carried out, and the other beat cannot do it: start one beat of habeat until they "
            "are, stop it with SIGTERM, and run this again"
        )


def _started(status: Status, *, dry_run: bool) -> Iterator[str]:
    """A beat of habeat that runs now would send what the other one sends."""
    if status.replicas:
        where = ", ".join(replica.where for replica in status.replicas)
        again = "stop it before --apply" if dry_run else "stop it, and run this again"
        yield f"a beat of habeat runs: {where}; {again}"


class _Plan:
    """What becomes of each entry, and what is written for it."""

    def __init__(self, target: Abilities, there: dict[str, bool], now: datetime) -> None:
        self._target, self._there, self._now = target, there, now
        self._here: set[str] = set()
        self.rows: dict[str, BackRow] = {}
        self.written: list[Returned] = []
        self.disabled: list[str] = []

    def add(self, entry: Entry, sent_until_ms: int | None) -> None:
        """Decide about an entry of habeat."""
        self._here.add(entry.name)
        try:
            found = returned(entry, self._target, sent_until_ms)
        except NotReturned as error:
            self._not_written(entry.name, error)
            return
        self.written.append(found)
        step = Step.LAST_RUN if found.declared else Step.WRITE
        self.rows[entry.name] = BackRow(
            entry.name,
            step,
            found.first_slot if found.enabled else None,
            self._why(found),
            tuple(self._notes(found)),
        )

    def _why(self, found: Returned) -> str:
        if not found.enabled:
            return "disabled"
        if found.first_slot is not None and found.first_slot <= self._now:
            return "due: it runs as soon as the other beat starts"
        return ""

    def _notes(self, found: Returned) -> Iterator[str]:
        if not (found.declared or self._target.keeps):
            yield f"write it into beat_schedule: {self._target.name} drops every other entry"
        yield from (f"without {each}" for each in found.lost)

    def _not_written(self, name: str, error: NotReturned) -> None:
        notes = (error.advice,) if error.advice else ()
        step = Step.SPENT if isinstance(error, Spent) else Step.REFUSE
        if self._there.get(name):
            self.disabled.append(name)
            if step is Step.SPENT:
                step = Step.DISABLE
            else:
                notes = (*notes, f"its old definition in {self._target.name} is disabled")
        self.rows[name] = BackRow(name, step, None, error.why, notes)

    def add_others(self, target: Target, prefix: str) -> None:
        """Decide about the enabled entries that only the other scheduler has."""
        names = [
            name
            for name, enabled in self._there.items()
            if enabled and name not in self._here and name.startswith(prefix)
        ]
        readable = {each.name: each for each in target.others(names, self._now)}
        for name in names:
            next_run = _next_run(readable[name]) if name in readable else None
            self._other(name, next_run)

    def _other(self, name: str, next_run: datetime | None) -> None:
        why = "habeat has no entry of this name"
        if next_run is not None and next_run <= self._now:
            self.disabled.append(name)
            notes = ("it would run at once; enable it there if it should run",)
            self.rows[name] = BackRow(name, Step.DISABLE, None, why, notes)
        else:
            notes = ("delete it there if it was removed here",)
            self.rows[name] = BackRow(name, Step.LEAVE, next_run, why, notes)

    def correct(self, refused: Mapping[str, str]) -> None:
        """Note the entries that the other scheduler did not take."""
        for name, why in refused.items():
            self.rows[name] = BackRow(name, Step.REFUSE, None, why)


def _next_run(entry: SourceEntry) -> datetime | None:
    """When the other scheduler would run one of its entries; None if never, or if unknown."""
    schedule, last_run = entry.arguments.get("schedule"), entry.last_run_at
    if last_run is None:
        return entry.first_run_at
    if isinstance(schedule, timedelta):
        return last_run + schedule
    if isinstance(schedule, int | float):
        return last_run + timedelta(seconds=schedule)
    try:
        found: datetime | None = schedule.next_after(last_run) if schedule is not None else None
    except HabeatError:
        return None
    return found
