"""From what a tick found due to what is to be done about it.

For every due entry: its definition (from a bounded cache, by the digest of what is stored, so
an edit is never missed), then catch-up, then two lists: runs of slots that will not fire, and
firings to render and claim. Within one entry, skips always come before firings: what is lost,
beyond its grace or expired is older than what fires. An entry that cannot be read is set
aside; one that only another deploy's code can resolve waits; neither holds up the others.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from habeat.core.catchup import Effort, Step, has_expired, plan
from habeat.core.entry import Entry, Policies
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.history import Loss
from habeat.core.order import Order
from habeat.errors import DefinitionError
from habeat.ports import DueEntry, Skip

#: As many as are looked ahead at: what a burst needs is then read once, a second before it.
CACHED_DEFINITIONS = LOOKED_AT_MOST = 10_000
#: An entry that was disabled by hand may be enabled by hand.
LOOK_AGAIN_MS = 30_000
#: Slots enumerated in one tick; what is left waits for the next, under a lease just renewed.
SLOTS_PER_TICK = 20_000

MISSING_CODE = (
    "it has parts that only code can express, and this replica's beat_schedule lacks them"
)


class Catalog(Protocol):
    """Where definitions come from: stored text, and what only code can express."""

    def decode(self, name: str, stored: bytes) -> Entry:
        """The entry written as `stored`; DefinitionError if it cannot be read."""
        ...

    def resolve(self, entry: Entry) -> Entry | None:
        """The entry with the parts that only code has; None if this code has them not."""
        ...

    def decode_order(self, stored: bytes) -> Order:
        """The order written as `stored`; DefinitionError."""
        ...

    def encode_order(self, order: Order) -> bytes:
        """The order as stored."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedFiring:
    """A firing with the facts that must still hold when it is claimed."""

    entry: Entry
    due: DueEntry
    firing: Firing
    planned_due_ms: int
    cursor_ms: int
    next_slot_ms: int | None
    next_due_ms: int | None
    #: What is left of the order that this firing is part of; empty for the schedule's own.
    remains: bytes = b""


@dataclass(slots=True)
class Plan:
    """What one tick will do."""

    skips: list[Skip] = field(default_factory=list)
    firings: list[PlannedFiring] = field(default_factory=list)
    unreadable: list[tuple[DueEntry, str]] = field(default_factory=list)
    unresolved: list[tuple[DueEntry, str]] = field(default_factory=list)
    misplaced: list[tuple[DueEntry, int | None]] = field(default_factory=list)
    next_due_ms: int | None = None
    #: Firings that are not due yet, but so soon that they are better prepared now.
    ahead: list[PlannedFiring] = field(default_factory=list)
    #: When to look again for what cannot be prepared, and not before.
    again_ms: int | None = None

    def note_again(self, due_ms: int | None) -> None:
        """Remember the earliest instant at which to look for what is not prepared."""
        if due_ms is not None and (self.again_ms is None or due_ms < self.again_ms):
            self.again_ms = due_ms

    def note_next(self, due_ms: int | None) -> None:
        """Remember the earliest instant at which something is due again."""
        if due_ms is not None and (self.next_due_ms is None or due_ms < self.next_due_ms):
            self.next_due_ms = due_ms


class Planner:
    """Plans ticks; keeps nothing but the definitions it read last."""

    def __init__(
        self,
        catalog: Catalog,
        defaults: Policies,
        fetch: Callable[[Sequence[str]], Sequence[bytes | None]],
    ) -> None:
        self._catalog = catalog
        self._defaults = defaults
        self._fetch = fetch
        self._cache: OrderedDict[tuple[str, str], Entry | DefinitionError] = OrderedDict()
        self._effort = Effort()

    def plan(self, due: Sequence[DueEntry], *, now_ms: int, loss: Loss, limit: int) -> Plan:
        """What to do about `due` at `now_ms` (Redis time), at most `limit` firings."""
        self._load(due)
        result = Plan()
        self._effort = Effort()
        for item in due:
            found = self._entry(item)
            if isinstance(found, DefinitionError):
                if item.due_ms > now_ms:
                    result.note_again(item.due_ms)
                else:
                    result.unreadable.append((item, found.why))
            elif item.due_ms > now_ms:
                self._plan_ahead(result, found, item, loss)
            elif limit > len(result.firings) and self._effort.slots < SLOTS_PER_TICK:
                room = limit - len(result.firings)
                self._plan_found(result, found, item, now_ms, loss, room)
            else:
                result.note_next(item.due_ms)
        return result

    def _plan_ahead(self, result: Plan, found: Entry, item: DueEntry, loss: Loss) -> None:
        """Plan an entry as of the moment at which it will be due, if all it does is fire once.

        One with a backlog, or one that was put off, is left until then.
        """
        then = Plan()
        self._plan_found(then, found, item, item.due_ms, loss, 2)
        if len(then.firings) == 1 and not then.skips:
            result.ahead += then.firings
            result.note_next(then.next_due_ms)
        else:
            result.note_again(item.due_ms)

    def _plan_found(
        self,
        result: Plan,
        found: Entry,
        item: DueEntry,
        now_ms: int,
        loss: Loss,
        room: int,
    ) -> None:
        """Plan one entry; whatever is wrong with its schedule is its own trouble."""
        try:
            entry = self._catalog.resolve(found)
            if entry is None:
                result.unresolved.append((item, MISSING_CODE))
                return
            self._plan_entry(result, entry, item, now_ms, loss, room)
        except Exception as error:
            result.unresolved.append((item, f"its schedule fails: {error!r}"))

    def find(self, name: str) -> Entry:
        """The entry of this name as stored now; DefinitionError if there is none to use."""
        stored = self._fetch([name])[0]
        if stored is None:
            raise DefinitionError(name, "there is none")
        entry = self._catalog.resolve(self._catalog.decode(name, stored))
        if entry is None:
            raise DefinitionError(name, MISSING_CODE)
        return entry

    def _load(self, due: Sequence[DueEntry]) -> None:
        missing: list[DueEntry] = []
        for item in due:
            if _key(item) in self._cache:
                self._cache.move_to_end(_key(item))  # what makes room must not be of this page
            elif item.digest:
                missing.append(item)
        if not missing:
            return
        for item, stored in zip(missing, self._fetch([item.name for item in missing]), strict=True):
            if stored is not None:
                digest = hashlib.sha1(stored, usedforsecurity=False).hexdigest()
                self._cache[item.name, digest] = self._decoded(item.name, stored)
        while len(self._cache) > max(CACHED_DEFINITIONS, len(due)):
            self._cache.popitem(last=False)

    def _decoded(self, name: str, stored: bytes) -> Entry | DefinitionError:
        try:
            return self._catalog.decode(name, stored)
        except DefinitionError as error:
            return error
        except Exception as error:  # whatever it is, it is this entry's own trouble
            return DefinitionError(name, type(error).__name__)

    def _entry(self, item: DueEntry) -> Entry | DefinitionError:
        if not item.digest:
            return DefinitionError(item.name, "there is none: it was evicted or deleted by hand")
        if item.cursor_ms is None:
            return DefinitionError(item.name, "its state (cursor) is gone or garbled")
        found = self._cache.get(_key(item))
        return found or DefinitionError(item.name, "it changed while it was read")

    def _plan_entry(
        self,
        result: Plan,
        entry: Entry,
        item: DueEntry,
        now_ms: int,
        loss: Loss,
        room: int,
    ) -> None:
        assert item.cursor_ms is not None
        if not entry.enabled:  # by hand, for an edit of ours takes it off the index itself
            result.misplaced.append((item, now_ms + LOOK_AGAIN_MS))
            return
        policies = entry.policies(self._defaults)
        steps = plan(
            entry,
            policies,
            cursor_ms=item.cursor_ms,
            now_ms=now_ms,
            loss=loss,
            fired=item.fired,
            limit=room,
            effort=self._effort,
        )
        cursor_ms, due_ms = item.cursor_ms, item.due_ms
        for step in steps:
            next_due_ms = due_after(entry, step)
            add_step(result, entry, item, step, cursor_ms, due_ms, next_due_ms, now_ms)
            cursor_ms = step.cursor_ms
            due_ms = next_due_ms if next_due_ms is not None else due_ms
        if steps:
            result.note_next(next_due_ms)
            return
        following_ms = None if entry.runs_left(item.fired) == 0 else entry.next_slot_ms(cursor_ms)
        right_due_ms = None if following_ms is None else entry.effective_ms(following_ms)
        result.note_next(right_due_ms)
        result.misplaced.append((item, right_due_ms))


def due_after(entry: Entry, step: Step) -> int | None:
    """When the entry is due again after a step; a backlog keeps to its pace."""
    if step.next_slot_ms is None:
        return None
    return max(entry.effective_ms(step.next_slot_ms), step.not_before_ms)


def _key(item: DueEntry) -> tuple[str, str]:
    return item.name, item.digest


def add_step(
    result: Plan,
    entry: Entry,
    item: DueEntry,
    step: Step,
    cursor_ms: int,
    due_ms: int,
    next_due_ms: int | None,
    now_ms: int,
) -> None:
    """Sort one step into skips or firings; a firing that has expired is a skip."""
    what = step.what
    if isinstance(what, Firing) and has_expired(entry, what, now_ms):
        what = SkippedRun(what.slot_ms, what.slot_ms, 1, Outcome.SKIPPED, "expired")
    if isinstance(what, Firing):
        result.firings.append(
            PlannedFiring(entry, item, what, due_ms, cursor_ms, step.next_slot_ms, next_due_ms)
        )
    else:
        result.skips.append(
            Skip(
                entry.name,
                item.digest,
                due_ms,
                cursor_ms,
                step.cursor_ms,
                step.next_slot_ms,
                next_due_ms,
                what.outcome.value,
                what.reason,
                what.first_ms,
                what.count,
            )
        )
