"""A scheduler that is moved by hand, with the planner of beat on a clock for tests.

It keeps what Redis keeps for a leader: each entry's stored definition, cursor and due time. It
goes from one due time to the next, has `engine.planning.Planner` decide, and applies the decisions
as the scripts would. Leases, brokers and their failures are not part of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from habeat.beat.declared.offline import OfflineSchedule, read_offline
from habeat.beat.definition_source import BeatDefinitionSource
from habeat.beat.message.send_path import evaluated, expires_of_task
from habeat.client.given import entry_given
from habeat.core.data_loss import NO_LOSS
from habeat.core.entry import Entry, EntryState
from habeat.engine.plan import Plan, PlannedFiring
from habeat.engine.planning import LOOKED_AT_MOST, Planner
from habeat.engine.prefetch import FIRINGS_PER_TICK
from habeat.entries import changes
from habeat.entries.codec import digest_of
from habeat.errors import (
    BulkError,
    DefinitionError,
    EntryExists,
    EntryNotFound,
    HabeatError,
    ValidationError,
)
from habeat.ports import DueEntry, Skip
from habeat.ports.entries import Position, Stored
from habeat.testing.asking import ImmediateAsker
from habeat.testing.clock import Clock
from habeat.testing.firings import Firing, Skipped
from habeat.testing.times import Instant, instant_ms, shown, span_of

#: How many firings one call may have.
FIRINGS_MAX = 1_000_000


@dataclass(slots=True)
class _Row:
    """What Redis would hold of one entry."""

    stored: bytes
    digest: str
    cursor_ms: int
    timezone: str
    due_ms: int | None = None
    fired: int = 0


class ManualScheduler:
    """The entries of an app, or given ones, and a clock that you move.

    `app` is a Celery app with a beat_schedule. `entries` are further ones, as `Client.add_many`
    takes them, or `Entry` objects. They begin with the first call of `run_until`, `advance` or
    `stop`: the first slot of each is strictly after what the clock shows then, as for an entry that
    has just been added. Times without an offset are local times of `timezone`, which is the app's
    unless it is given.

    Raises BulkError if beat would not schedule an entry, and SettingsError for a setting that
    cannot work.
    """

    def __init__(
        self,
        app: Any = None,
        entries: Iterable[Entry | Mapping[str, Any]] = (),
        *,
        clock: Clock | None = None,
        at: Instant | None = None,
        timezone: str | None = None,
    ) -> None:
        read = OfflineSchedule() if app is None else _usable(read_offline(app))
        self.timezone = timezone or read.timezone
        self.clock = _clock(clock, at, self.timezone)
        #: Runs of slots that will never fire, in the order in which that was decided.
        self.skipped: list[Skipped] = []
        self._running = True
        self._limits = read.limits
        #: Entries that begin with the first run; None afterwards.
        self._waiting: dict[str, Entry] | None = dict(read.declared.entries)
        self._rows: dict[str, _Row] = {}
        self._heap: list[tuple[int, str]] = []
        self._definitions = BeatDefinitionSource(
            read.declared,
            limits=read.limits,
            expires_of=lambda task: None if app is None else expires_of_task(app, task),
        )
        self._planner = Planner(self._definitions, read.policies, self._fetch, ImmediateAsker())
        for given in entries:
            self._add(given if isinstance(given, Entry) else self._given(given))

    # -- entries ----------------------------------------------------------------------------

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of the entries."""
        return tuple(sorted(self._rows if self._waiting is None else self._waiting))

    def add(self, name: str, task: Any, schedule: Any, **fields: Any) -> None:
        """Add an entry, with the arguments of `Client.add`; EntryExists, ValidationError."""
        self._add(self._given({"name": name, "task": task, "schedule": schedule, **fields}))

    def remove(self, name: str) -> None:
        """Remove an entry; EntryNotFound."""
        if name not in self.entries:
            raise EntryNotFound(name)
        (self._rows if self._waiting is None else self._waiting).pop(name)

    def _given(self, item: Mapping[str, Any]) -> Entry:
        return entry_given(item, self.timezone, self._limits)

    def _add(self, entry: Entry) -> None:
        if entry.name in self.entries:
            raise EntryExists(entry.name, "api", "remove it first, or choose another name")
        if self._waiting is None:
            self._begin(entry)
        else:
            self._waiting[entry.name] = entry

    def _begin_all(self) -> None:
        waiting, self._waiting = self._waiting, None
        for entry in (waiting or {}).values():
            self._begin(entry)

    def _begin(self, entry: Entry) -> None:
        """Store an entry now, as its first write to Redis does."""
        absent, now_ms = Stored(entry.name, "", None, EntryState()), self.clock.now_ms
        if entry.owner == "config":
            write = changes.seeded(absent, entry, now_ms, 1)
        else:
            write = changes.addition(absent, entry, now_ms).write
        self._store(entry, write.definition, write.position)

    def _store(self, entry: Entry, definition: bytes, position: Position | None) -> None:
        assert position is not None, "an added entry has a position"
        zone = getattr(entry.schedule, "tz", None) or self.timezone
        row = _Row(definition, digest_of(definition), position.cursor_ms, timezone=zone)
        self._rows[entry.name] = row
        self._place(entry.name, row, position.due_ms)

    def _fetch(self, names: Sequence[str]) -> Sequence[bytes | None]:
        return [row.stored if (row := self._rows.get(name)) else None for name in names]

    # -- time -------------------------------------------------------------------------------

    def run_until(self, until: Instant) -> list[Firing]:
        """Move the clock to `until`; the firings on the way, in the order of sending.

        Slots exactly at `until` are among them. While stopped, nothing fires. Raises
        ValidationError if `until` is before the clock's time, and DefinitionError if a schedule
        fails.
        """
        until_ms = instant_ms("until", until, self.timezone)
        if until_ms < self.clock.now_ms:
            allowed = f"the clock's time ({self.clock.now}) or later"
            raise ValidationError("until", shown(until_ms, self.timezone), allowed)
        return self._run(until_ms)

    def advance(self, span: float | timedelta = 0, **units: float) -> list[Firing]:
        """The same for a span: seconds, a timedelta, or units such as ``hours=3``."""
        length_ms = span_of(span, units)
        if length_ms < 0:
            raise ValidationError("span", timedelta(milliseconds=length_ms), "0 or more")
        return self._run(self.clock.now_ms + length_ms)

    def stop(self) -> None:
        """Stop, as if every beat were down: time passes, and nothing fires."""
        self._begin_all()
        self._running = False

    def start(self) -> None:
        """Run again; the next call of `run_until` or `advance` begins with the catch-up."""
        self._running = True

    def _run(self, until_ms: int) -> list[Firing]:
        self._begin_all()
        fired: list[Firing] = []
        turns = 0
        while self._running and (due_ms := self._first_due_ms()) is not None:
            if due_ms > until_ms:
                break
            self.clock.set(max(due_ms, self.clock.now_ms))
            fired += self._turn()
            turns += 1
            if max(turns, len(fired)) > FIRINGS_MAX:
                allowed = f"a period with at most {FIRINGS_MAX} firings"
                raise ValidationError("until", shown(until_ms, self.timezone), allowed)
        self.clock.set(until_ms)
        return fired

    def _first_due_ms(self) -> int | None:
        while self._heap:
            due_ms, name = self._heap[0]
            row = self._rows.get(name)
            if row is not None and row.due_ms == due_ms:
                return due_ms
            heapq.heappop(self._heap)  # it was planned again since, or removed
        return None

    def _place(self, name: str, row: _Row, due_ms: int | None) -> None:
        row.due_ms = due_ms
        if due_ms is not None:
            heapq.heappush(self._heap, (due_ms, name))

    # -- one turn ---------------------------------------------------------------------------

    def _turn(self) -> list[Firing]:
        """Plan what is due now, and apply the plan."""
        due = self._due()
        planned = self._planner.plan(
            due, now_ms=self.clock.now_ms, loss=NO_LOSS, limit=FIRINGS_PER_TICK
        )
        _check(planned)
        for skip in planned.skips:
            self._skip(skip)
        for item, due_ms in planned.misplaced:
            self._rows[item.name].due_ms = due_ms
        fired = [self._fire(each) for each in planned.firings]
        for item in due:  # those that are due again, or still
            self._place(item.name, self._rows[item.name], self._rows[item.name].due_ms)
        return fired

    def _due(self) -> list[DueEntry]:
        found: dict[str, DueEntry] = {}
        while self._heap and self._heap[0][0] <= self.clock.now_ms and len(found) < LOOKED_AT_MOST:
            due_ms, name = heapq.heappop(self._heap)
            row = self._rows.get(name)
            if row is not None and row.due_ms == due_ms:
                found[name] = DueEntry(name, due_ms, row.digest, row.cursor_ms, row.fired)
        return list(found.values())

    def _skip(self, skip: Skip) -> None:
        row, run = self._rows[skip.entry], skip.run
        row.cursor_ms, row.due_ms = max(row.cursor_ms, skip.new_cursor_ms), skip.next.due_ms
        first, last = (shown(at_ms, row.timezone) for at_ms in (run.first_ms, run.last_ms))
        self.skipped.append(
            Skipped(
                skip.entry, first, last, run.count, outcome=run.outcome.value, reason=run.reason
            )
        )

    def _fire(self, planned: PlannedFiring) -> Firing:
        entry, firing = planned.entry, planned.firing
        row = self._rows[entry.name]
        row.cursor_ms, row.due_ms = firing.slot_ms, planned.next.due_ms
        row.fired += 1
        parts = self._definitions.code_parts(entry)
        args, kwargs = evaluated(parts.get("args", entry.args), parts.get("kwargs", entry.kwargs))
        at = partial(shown, timezone=row.timezone)
        return Firing(
            name=entry.name,
            task=entry.task_name,
            slot=at(firing.slot_ms),
            effective=at(firing.effective_ms),
            sent=at(self.clock.now_ms),
            args=tuple(args),
            kwargs=kwargs,
            options=dict(parts.get("options", entry.options)),
            catch_up=firing.misfire,
        )


def _clock(clock: Clock | None, at: Instant | None, timezone: str) -> Clock:
    if clock is None and at is not None:
        return Clock(at, timezone)
    if clock is None or at is not None:
        raise ValidationError("at", at, "either a clock or the instant at which it begins")
    return clock


def _usable(read: OfflineSchedule) -> OfflineSchedule:
    """What was read, if beat would start with it and schedule all of it."""
    why = {**read.problems, **read.declared.broken}
    if why:
        errors = {name: HabeatError(text) for name, text in why.items()}
        raise BulkError(errors, max(read.given, len(errors)))
    return read


def _check(planned: Plan) -> None:
    """DefinitionError for an entry that beat would set aside, or try again later."""
    bad = [*planned.unreadable, *planned.unresolved, *((d, w) for d, w, _ in planned.failing)]
    for item, why in bad:
        raise DefinitionError(item.name, why)
