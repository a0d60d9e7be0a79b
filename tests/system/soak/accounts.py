"""Slots, records and messages held against each other: each slot once in the ledger, each record
of a message that left with that message, and no message without one.

Pure, and built for an hour: a few dozen bytes for each firing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.system.soak.lives import Life

LEFT = ("sent", "late")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the ledger: a slot, or a run of them."""

    entry: str
    first_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """A message that came again. Times in wall-clock seconds; epochs of the leases it was sent
    under, the earlier copy's first."""

    entry: str
    slot_ms: int
    at_s: float
    earlier_epoch: int
    epoch: int


@dataclass
class Accounts:
    """Everything that was seen, as it came."""

    lives: dict[str, Life] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    copies: list[Copy] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    messages: int = 0
    _left: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _runs: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    _arrived: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def recorded(self, record: Record) -> None:
        """One record of the ledger; notes are of no slot."""
        if record.outcome == "note":
            return
        self.outcomes[record.outcome] += record.count
        if record.outcome not in LEFT or record.count != 1:
            self._runs[record.entry].append(record)
            return
        if record.first_ms in self._left[record.entry]:
            self._problem(f"{_named(record)} stands in the ledger twice")
        self._left[record.entry].add(record.first_ms)

    def arrived(self, entry: str, slot_ms: int, epoch: int, at_s: float) -> None:
        """One message."""
        self.messages += 1
        seen = self._arrived[entry]
        if slot_ms in seen:
            self.copies.append(Copy(entry, slot_ms, at_s, seen[slot_ms], epoch))
        seen[slot_ms] = epoch

    def close(self, cursors: dict[str, int]) -> int:
        """At the end: `cursors` of the entries that exist. Returns how many slots there were."""
        slots = 0
        for name, life in self.lives.items():
            if not life.is_over:
                if name not in cursors:
                    self._problem(f"entry {name} has no cursor")
                    continue
                life.ended(cursors[name], cursors[name])
            slots += self._close_life(name, life)
        for name in {*self._left, *self._runs, *self._arrived} - self.lives.keys():
            self._problem(f"something is recorded of {name}, which the test never made")
        return slots

    def _close_life(self, name: str, life: Life) -> int:
        left, runs = self._left[name], self._runs[name]
        covered: Counter[int] = Counter(left)
        expected = [slot for stretch in life.stretches for slot in stretch.slots()]
        for run in runs:
            inside = _in_run(life, run)
            if len(inside) != run.count:
                self._problem(f"{run} counts {run.count} slots, and there are {len(inside)} in it")
            covered.update(inside)
        for slot in expected:
            if not covered[slot]:
                self._problem(f"slot {name}@{slot} is in no record of the ledger")
        for slot, times in covered.items():
            if times > 1:
                self._problem(f"slot {name}@{slot} is in {times} records of the ledger")
            if not life.has(slot):
                self._problem(f"the ledger has {name}@{slot}, which is no slot of that entry")
        arrived = self._arrived[name].keys()
        for slot in sorted(left - arrived):
            self._problem(f"slot {name}@{slot} is recorded as sent, and no message came")
        # Whether the message of an abandoned firing had left is not known.
        given_up = {r.first_ms for r in runs if r.outcome in ("ambiguous", "failed")}
        for slot in sorted(arrived - left - given_up):
            self._problem(f"a message came for {name}@{slot}, which is not recorded as sent")
        return len(expected)

    def _problem(self, text: str) -> None:
        self.problems.append(text)


def _in_run(life: Life, run: Record) -> list[int]:
    found: list[int] = []
    for stretch in life.stretches:
        every, offset = stretch.every_ms, stretch.offset_ms
        low = max(stretch.after_ms + 1, run.first_ms)
        high = run.last_ms if stretch.until_ms is None else min(stretch.until_ms, run.last_ms)
        begin = -(-(low - offset) // every) * every + offset
        found += range(begin, high + 1, every)
    return found


def _named(record: Record) -> str:
    return f"slot {record.entry}@{record.first_ms} ({record.outcome})"
