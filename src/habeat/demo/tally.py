"""The final count: which slots the schedules have, and which of them the worker ran.

It does not rely on the beats. What should have run is computed from the definitions stored in
Redis: every slot after an entry's creation, up to the last counted moment. What did run is what the
worker's task recorded. Both are sets of (entry, slot), which are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from habeat.core.entry import Entry
from habeat.schedules.schedule import to_ms

Slots = set[tuple[str, int]]

#: How many slots of each kind are named as examples.
NAMED = 5


@dataclass(frozen=True)
class Tally:
    """Four counts of slots, and the number of runs of slots that were never due."""

    expected: int
    executed: int
    duplicated: int
    missed: int
    unexpected: int
    by_entry: Mapping[str, tuple[int, int]]
    examples: tuple[str, ...]

    @property
    def flawless(self) -> bool:
        """Whether every slot ran exactly once, and nothing else ran."""
        return not self.duplicated and not self.missed and not self.unexpected


def count(entries: Iterable[Entry], runs: Mapping[tuple[str, str], int], until_ms: int) -> Tally:
    """Compare runs by (entry, slot in ISO 8601) with the slots up to `until_ms`."""
    entries = list(entries)
    expected = slots_of(entries, until_ms)
    ran = {(entry, _slot_ms(slot)): times for (entry, slot), times in runs.items()}
    counted = {key for key in ran if key[1] <= until_ms}
    missed = expected - counted
    unexpected = counted - expected
    repeated = {key for key, times in ran.items() if times > 1}
    due, done = Counter(name for name, _ in expected), Counter(name for name, _ in counted)
    return Tally(
        expected=len(expected),
        executed=len(expected & counted),
        duplicated=sum(times - 1 for times in ran.values()),
        missed=len(missed),
        unexpected=len(unexpected),
        by_entry={entry.name: (due[entry.name], done[entry.name]) for entry in entries},
        examples=(
            *_named("missed", missed),
            *_named("ran more than once", repeated),
            *_named("ran but was never due", unexpected),
        ),
    )


def slots_of(entries: Iterable[Entry], until_ms: int) -> Slots:
    """Every (entry, slot) after the entry's creation, up to and including `until_ms`."""
    slots: Slots = set()
    for entry in entries:
        slot_ms = entry.next_slot_ms(entry.created_ms)
        while slot_ms is not None and slot_ms <= until_ms:
            slots.add((entry.name, slot_ms))
            slot_ms = entry.next_slot_ms(slot_ms)
    return slots


def _slot_ms(text: str) -> int:
    return to_ms("slot", datetime.fromisoformat(text))


def _named(what: str, slots: Slots) -> list[str]:
    first = sorted(slots, key=lambda each: each[1])[:NAMED]
    return [f"{what}: {entry} at {slot_ms}" for entry, slot_ms in first]
