"""What one tick will do: a value that the planner fills and the loop carries out."""

from __future__ import annotations

from dataclasses import dataclass, field

from habeat.core.catchup import Step, has_expired
from habeat.core.entry import Entry
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.ports import DueEntry, Expected, Next, Skip


@dataclass(frozen=True, slots=True)
class PlannedFiring:
    """A firing with the facts that must still hold when it is claimed."""

    entry: Entry
    #: As the tick found the entry; `expected` is where its earlier steps have brought it since.
    due: DueEntry
    firing: Firing
    expected: Expected
    next: Next
    #: What is left of the order that this firing is part of; empty for the schedule's own.
    remains: bytes = b""


@dataclass(slots=True)
class Plan:
    """What one tick will do."""

    skips: list[Skip] = field(default_factory=list)
    firings: list[PlannedFiring] = field(default_factory=list)
    unreadable: list[tuple[DueEntry, str]] = field(default_factory=list)
    unresolved: list[tuple[DueEntry, str]] = field(default_factory=list)
    #: What fails by itself: why, and how long it waits.
    failing: list[tuple[DueEntry, str, int]] = field(default_factory=list)
    #: Entries that had failed and no longer do.
    recovered: list[str] = field(default_factory=list)
    misplaced: list[tuple[DueEntry, int | None]] = field(default_factory=list)
    next_due_ms: int | None = None
    #: Firings that are not due yet, but so soon that they are better prepared now.
    ahead: list[PlannedFiring] = field(default_factory=list)
    #: Whether any of them have been sent.
    sent_ahead: bool = False
    #: When to look again for what cannot be prepared, and not before.
    again_ms: int | None = None

    def note_again(self, due_ms: int | None) -> None:
        """Remember the earliest instant at which to look for what is not prepared."""
        if due_ms is not None and (self.again_ms is None or due_ms < self.again_ms):
            self.again_ms = due_ms

    def add(self, other: Plan) -> None:
        """Add what was planned for one more entry."""
        self.skips += other.skips
        self.firings += other.firings
        self.unreadable += other.unreadable
        self.unresolved += other.unresolved
        self.failing += other.failing
        self.recovered += other.recovered
        self.misplaced += other.misplaced
        self.ahead += other.ahead
        self.note_next(other.next_due_ms)
        self.note_again(other.again_ms)

    def is_time(self, due_ms: int | None, now_ms: int) -> bool:
        """Whether something else is due; if it will be, that is remembered."""
        if due_ms is None or due_ms <= now_ms:
            return due_ms is not None
        self.note_again(due_ms)
        return False

    def note_next(self, due_ms: int | None) -> None:
        """Remember the earliest instant at which something is due again."""
        if due_ms is not None and (self.next_due_ms is None or due_ms < self.next_due_ms):
            self.next_due_ms = due_ms


def due_after(entry: Entry, step: Step) -> int | None:
    """When the entry is due again after a step; a backlog keeps to its pace."""
    if step.next_slot_ms is None:
        return None
    return max(entry.effective_ms(step.next_slot_ms), step.not_before_ms)


def add_step(
    result: Plan,
    entry: Entry,
    item: DueEntry,
    *,
    step: Step,
    expected: Expected,
    after: Next,
    now_ms: int,
) -> None:
    """Sort one step into skips or firings; a firing that has expired is a skip."""
    what = step.what
    if isinstance(what, Firing) and has_expired(entry, what, now_ms):
        what = SkippedRun(what.slot_ms, what.slot_ms, 1, Outcome.SKIPPED, "expired")
    if isinstance(what, Firing):
        result.firings.append(PlannedFiring(entry, item, what, expected, after))
    else:
        result.skips.append(Skip(entry.name, expected, after, what, step.cursor_ms))
