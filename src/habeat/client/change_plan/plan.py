"""What changes between two schedules, in a window of time: the whole of it, and its digest.

The digest identifies the change and not the moment: it covers the definitions of the entries whose
slots change, before and after, and what is newly wrong. So a digest that was acknowledged stays
right while the window moves on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from habeat.client.change_plan.pile_ups import DueCounts, PileUps
from habeat.client.change_plan.saved import SavedSchedule, facts
from habeat.client.change_plan.slot_changes import Budget, EntryChange, compare
from habeat.client.change_plan.window import Window
from habeat.core.entry import Entry
from habeat.schedules.custom import Code
from habeat.schedules.schedule import moment

#: The most slots that one plan enumerates, for all changed entries together.
SLOTS_MOST = 1_000_000
DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class UnknownTask:
    """An entry whose task the code does not register; `new` if that was otherwise before."""

    entry: str
    task: str
    new: bool


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """What a change does to the slots with ``start <= slot < end``.

    `never` has the entries without a slot in the window, and the first one after it, None if there
    is none at all. `broken` has those that beat does not schedule, `newly_broken` those of them
    that it scheduled before. `not_counted` entries are missing in the pile-ups.
    """

    start: datetime
    end: datetime
    entries_before: int
    entries_after: int
    changes: tuple[EntryChange, ...]
    unknown_tasks: tuple[UnknownTask, ...]
    never: Mapping[str, datetime | None]
    broken: Mapping[str, str]
    newly_broken: tuple[str, ...]
    pile_ups: tuple[PileUps, ...]
    not_counted: int
    digest: str

    @property
    def changed(self) -> bool:
        """Whether there is anything to acknowledge."""
        news = any(unknown.new for unknown in self.unknown_tasks)
        return bool(self.changes or self.newly_broken or news)

    def total(self, figure: str) -> int:
        """The sum of one figure of all changes: "appear", "vanish" or "move"."""
        return sum(int(getattr(change, figure)) for change in self.changes)


def compare_schedules(
    before: SavedSchedule,
    after: SavedSchedule,
    window: Window,
    *,
    most_per_second: int,
    most_per_minute: int,
) -> ChangePlan:
    """The plan of the change from `before` to `after`."""
    changes = _changes(before.entries, after.entries, window)
    counts = DueCounts(window)
    counts.count(before.entries, after.entries)
    newly_broken = tuple(sorted(name for name in after.broken if name not in before.broken))
    unknown = tuple(
        UnknownTask(name, task, before.unknown.get(name) != task)
        for name, task in sorted(after.unknown.items())
    )
    return ChangePlan(
        start=moment(window.start_ms),
        end=moment(window.end_ms),
        entries_before=len(before.entries),
        entries_after=len(after.entries),
        changes=changes,
        unknown_tasks=unknown,
        never=_never(after.entries, window),
        broken=after.broken,
        newly_broken=newly_broken,
        pile_ups=(
            counts.pile_ups("second", most_per_second),
            counts.pile_ups("minute", most_per_minute),
        ),
        not_counted=counts.left_out,
        digest=_digest(before, after, changes, newly_broken, unknown),
    )


def _changes(
    before: Mapping[str, Entry], after: Mapping[str, Entry], window: Window
) -> tuple[EntryChange, ...]:
    budget = Budget(SLOTS_MOST)
    names = sorted({*before, *after})
    found = (compare(each, before.get(each), after.get(each), window, budget) for each in names)
    return tuple(change for change in found if change is not None)


def _never(entries: Mapping[str, Entry], window: Window) -> dict[str, datetime | None]:
    found: dict[str, datetime | None] = {}
    for name, entry in sorted(entries.items()):
        if not entry.enabled or isinstance(entry.schedule, Code):
            continue
        try:
            slot_ms = entry.next_slot_ms(window.start_ms - 1)
        except Exception:  # of a schedule: `check` reports it
            continue
        if slot_ms is None or slot_ms >= window.end_ms:
            found[name] = None if slot_ms is None else moment(slot_ms)
    return found


def _digest(
    before: SavedSchedule,
    after: SavedSchedule,
    changes: tuple[EntryChange, ...],
    newly_broken: tuple[str, ...],
    unknown: tuple[UnknownTask, ...],
) -> str:
    definitions = [
        [change.name, *(_facts(each.entries.get(change.name)) for each in (before, after))]
        for change in changes
    ]
    news = [[each.entry, each.task] for each in unknown if each.new]
    whole = json.dumps([definitions, newly_broken, news], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:DIGEST_CHARS]


def _facts(entry: Entry | None) -> dict[str, object] | None:
    return None if entry is None else facts(entry)
