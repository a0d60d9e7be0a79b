"""The plan of one tick: the planner fills it, and the loop carries it out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from habeat.core.catchup import Step
from habeat.core.entry import Entry
from habeat.core.expiry import has_expired
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.ports import DueEntry, Expected, Next, Skip


@dataclass(frozen=True, slots=True)
class PlannedFiring:
    """A firing, with the facts that must still hold when it is claimed."""

    entry: Entry
    #: The entry as the tick found it; `expected` is its position after the steps planned before.
    due: DueEntry
    firing: Firing
    expected: Expected
    next: Next
    #: What remains of the request this firing belongs to; empty for firings of the schedule.
    remains: bytes = b""


@dataclass(frozen=True, slots=True)
class CalendarCheck:
    """A calendar of an entry that does not exist, and one that has no days left; "" for none.

    `until_ms` is when the entry is due next, and its calendars are looked at again.
    """

    entry: str
    missing: str
    ended: str
    until_ms: int | None = None


@dataclass(slots=True)
class Plan:
    """What one tick will do."""

    skips: list[Skip] = field(default_factory=list)
    firings: list[PlannedFiring] = field(default_factory=list)
    unreadable: list[tuple[DueEntry, str]] = field(default_factory=list)
    unresolved: list[tuple[DueEntry, str]] = field(default_factory=list)
    #: Entries that fail on their own: why, and how long they wait (ms).
    failing: list[tuple[DueEntry, str, int]] = field(default_factory=list)
    #: Entries that had failed and now work again.
    recovered: list[str] = field(default_factory=list)
    #: Entries whose stored due time is wrong, and the right one (None: never due).
    misplaced: list[tuple[DueEntry, int | None]] = field(default_factory=list)
    #: What was found of the calendars of each entry that names some.
    calendars: list[CalendarCheck] = field(default_factory=list)
    next_due_ms: int | None = None
    #: Firings that will be due so soon that their messages are prepared now.
    ahead: list[PlannedFiring] = field(default_factory=list)
    #: Whether any of them were sent.
    sent_ahead: bool = False
    #: When to look again for work that could not be prepared.
    again_ms: int | None = None

    def note_again(self, due_ms: int | None) -> None:
        """Note when to look for unprepared work; the earliest instant counts."""
        if due_ms is not None and (self.again_ms is None or due_ms < self.again_ms):
            self.again_ms = due_ms

    def add(self, other: Plan) -> None:
        """Add the plan of one more entry."""
        self.skips += other.skips
        self.firings += other.firings
        self.unreadable += other.unreadable
        self.unresolved += other.unresolved
        self.failing += other.failing
        self.recovered += other.recovered
        self.misplaced += other.misplaced
        self.ahead += other.ahead
        self.calendars += [replace(each, until_ms=other.next_due_ms) for each in other.calendars]
        self.note_next(other.next_due_ms)
        self.note_again(other.again_ms)

    def is_time(self, due_ms: int | None, now_ms: int) -> bool:
        """Whether other work is due now; if it will be due later, that instant is noted."""
        if due_ms is None or due_ms <= now_ms:
            return due_ms is not None
        self.note_again(due_ms)
        return False

    def note_next(self, due_ms: int | None) -> None:
        """Note when something is due; the earliest instant counts."""
        if due_ms is not None and (self.next_due_ms is None or due_ms < self.next_due_ms):
            self.next_due_ms = due_ms


def due_after(entry: Entry, step: Step) -> int | None:
    """When the entry is due again after a step; a backlog is spread out by its pace."""
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
    """Add one step to the plan as a skip or a firing; an expired firing becomes a skip."""
    what = step.what
    if isinstance(what, Firing) and has_expired(entry, what, now_ms):
        what = SkippedRun(what.slot_ms, what.slot_ms, 1, Outcome.SKIPPED, "expired")
    if isinstance(what, Firing):
        result.firings.append(PlannedFiring(entry, item, what, expected, after))
    else:
        result.skips.append(Skip(entry.name, expected, after, what, step.cursor_ms))
