"""Seconds and minutes in which many firings are due, before and after a change.

Firings are counted per second of their effective times. Entries with the same slots are counted
together, and intervals by steps: ten thousand entries that fire each second cost no more than one.
What is left when the work is at its limit is not counted, and the result says how many entries.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nlargest
from typing import Literal

from habeat.client.change_plan.saved import facts
from habeat.client.change_plan.window import Window
from habeat.client.simulation import due_times
from habeat.core.entry import Entry
from habeat.schedules.custom import Code
from habeat.schedules.schedule import moment

SECOND_MS = 1_000
#: The work of one plan: one firing of an interval costs 1, one that has to be enumerated more.
WORK_MOST = 24_000_000
ENUMERATED_COST = 8
PEAKS = 3
NAMES = 5

Unit = Literal["second", "minute"]


@dataclass(frozen=True, slots=True)
class Peak:
    """One of the fullest seconds or minutes: how many firings are due, and some of the entries."""

    at: datetime
    before: int
    after: int
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PileUps:
    """How many seconds (or minutes) have more than `most` firings, and the fullest after it."""

    unit: Unit
    most: int
    before: int
    after: int
    peaks: tuple[Peak, ...] = ()


@dataclass(slots=True)
class _Group:
    """Entries with the same due times."""

    sample: Entry
    before: int = 0
    after: int = 0
    names: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return max(self.before, self.after)


class DueCounts:
    """Firings per second of the window, before and after the change."""

    def __init__(self, window: Window) -> None:
        self._start_ms = window.start_ms
        self._end_ms = window.end_ms
        seconds = -(-(window.end_ms - window.start_ms) // SECOND_MS)
        zeros = bytes(array("I").itemsize * seconds)
        self.before, self.after = array("I", zeros), array("I", zeros)
        #: Firings that are due in every second.
        self._always = [0, 0]
        self._work = 0
        #: How many entries were not counted.
        self.left_out = 0
        self._groups: Sequence[_Group] = ()

    def count(self, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
        """Count all entries, those with few firings first."""
        self._groups = sorted(_groups(before, after), key=self._gap_ms, reverse=True)
        for group in self._groups:
            self._add(group)

    def _gap_ms(self, group: _Group) -> int:
        """About how long it is between two firings."""
        try:
            first_ms = group.sample.next_slot_ms(self._start_ms)
            second_ms = None if first_ms is None else group.sample.next_slot_ms(first_ms)
        except Exception:  # of a schedule: `_add` leaves it out
            return 0
        if first_ms is None or second_ms is None:
            return self._end_ms - self._start_ms
        return second_ms - first_ms

    def _add(self, group: _Group) -> None:
        entry = group.sample
        if isinstance(entry.schedule, Code) or self._work >= WORK_MOST:
            self.left_out += group.size
            return
        try:
            due = due_times(entry, self._start_ms, self._end_ms)
            if isinstance(due, range):
                self._add_steps(group, due)
            else:
                self._add_each(group, due)
        except Exception:  # of a schedule: what was counted of it so far does no harm
            self.left_out += group.size

    def _add_steps(self, group: _Group, due: range) -> None:
        in_each, rest = divmod(SECOND_MS, due.step)
        if due.step <= SECOND_MS and not rest:
            self._always[0] += group.before * in_each
            self._always[1] += group.after * in_each
        elif self._work + len(due) > WORK_MOST:
            self.left_out += group.size
        else:
            self._work += len(due)
            self._increment(group, due)

    def _add_each(self, group: _Group, due: Iterable[int]) -> None:
        room = (WORK_MOST - self._work) // ENUMERATED_COST
        found = array("q")
        for due_ms in due:
            if len(found) >= room:
                self.left_out += group.size
                break
            found.append(due_ms)
        self._work += len(found) * ENUMERATED_COST
        self._increment(group, found)

    def _increment(self, group: _Group, due: Iterable[int]) -> None:
        start_ms, before, after = self._start_ms, self.before, self.after
        if group.before == group.after:  # most are unchanged
            for due_ms in due:
                at = (due_ms - start_ms) // SECOND_MS
                before[at] += group.before
                after[at] += group.after
            return
        for counts, weight in ((before, group.before), (after, group.after)):
            for due_ms in due if weight else ():
                counts[(due_ms - start_ms) // SECOND_MS] += weight

    def pile_ups(self, unit: Unit, most: int) -> PileUps:
        """The seconds or minutes with more than `most` firings."""
        width = 1 if unit == "second" else 60
        before, after = (self._per(width, counts) for counts in (self.before, self.after))
        bases = [always * width for always in self._always]
        peaks: tuple[Peak, ...] = ()
        if max(after, default=0) + bases[1] > most:
            places = nlargest(PEAKS, range(len(after)), key=after.__getitem__)
            peaks = tuple(
                self._peak(at, width, before[at] + bases[0], after[at] + bases[1])
                for at in places
                if after[at] + bases[1] > most
            )
        over = [
            _over(counts, most - base) for counts, base in ((before, bases[0]), (after, bases[1]))
        ]
        return PileUps(unit, most, over[0], over[1], peaks)

    def _per(self, width: int, counts: array[int]) -> Sequence[int]:
        if width == 1:
            return counts
        return [sum(counts[at : at + width]) for at in range(0, len(counts), width)]

    def _peak(self, at: int, width: int, before: int, after: int) -> Peak:
        from_ms = self._start_ms + at * width * SECOND_MS
        until_ms = from_ms + width * SECOND_MS
        names: list[str] = []
        for group in self._groups:
            if len(names) >= NAMES:
                break
            if group.after and _is_due(group.sample, from_ms, until_ms):
                names += group.names
        return Peak(moment(from_ms), before, after, tuple(names[:NAMES]))


def _over(counts: Sequence[int], most: int) -> int:
    """How many of these are more than `most`."""
    if max(counts, default=0) <= most:  # so it is nearly always, and this is the fast way
        return 0
    return len(counts) if most < 0 else sum(count > most for count in counts)


def _is_due(entry: Entry, from_ms: int, until_ms: int) -> bool:
    try:
        return any(True for _ in due_times(entry, from_ms, until_ms))
    except Exception:  # of a schedule: it was left out
        return False


def _groups(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Iterable[_Group]:
    groups: dict[str, _Group] = {}
    for side, entries in enumerate((before, after)):
        for name, entry in entries.items():
            if not entry.enabled:
                continue
            group = groups.setdefault(_key(entry), _Group(entry))
            if side:
                group.after += 1
                group.names.append(name)
            else:
                group.before += 1
    return groups.values()


def _key(entry: Entry) -> str:
    """The same for entries with the same due times; offsets depend on the name."""
    known = facts(entry)
    if entry.jitter_ms or entry.spread_ms:
        known["name"] = entry.name
    return json.dumps(known, sort_keys=True)
