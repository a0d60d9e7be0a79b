"""A manual scheduler fires what beat's whole loop fires, through runs and outages."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from habeat import cron, crontab, every
from habeat.core.entry import Entry
from habeat.entries.draft import new_entry
from habeat.testing import ManualScheduler
from tests.unit.engine.world import START_MS, Row, World

MINUTE_MS = 60_000
#: How long the scheduler runs, and how long it is down, one after the other. None ends at a slot:
#: the loop may send it a millisecond later.
SPANS_MS = [607_300, 35 * MINUTE_MS + 500, 305_100, 31_000, 20 * MINUTE_MS + 500, 10_000, 60_000]


def entries() -> list[Entry]:
    schedules: dict[str, Any] = {
        "often": every(20),
        "minutely": cron("* * * * *"),
        "berlin": crontab(minute="*/7", tz="Europe/Berlin"),
    }
    policies: dict[str, dict[str, Any]] = {
        "default": {},
        "skip": {"misfire": "skip", "misfire_grace": 5},
        "all": {"misfire": "all", "misfire_limit": 10, "misfire_pace": 5},
        "window": {"misfire": "all", "misfire_window": 600},
        "offset": {"jitter": 3, "spread": 2},
        "few": {"max_runs": 4, "misfire": "all"},
        "expiring": {"options": {"expires": 30}},
    }
    return [
        new_entry(f"{when} {how}", {"task": "t", "schedule": schedule, **fields}, "UTC")
        for when, schedule in schedules.items()
        for how, fields in policies.items()
    ]


def of_the_loop() -> tuple[Counter[tuple[str, int]], Counter[str]]:
    """What beat's loop sends, by entry and slot, and how many slots of each entry it does not."""
    world = World(atomic=True)
    for entry in entries():
        world.catalog.entries[entry.name] = entry
        slot_ms = entry.next_slot_ms(START_MS)
        assert slot_ms is not None
        due_ms = entry.effective_ms(slot_ms)
        world.store.rows[entry.name] = Row(entry.name.encode(), START_MS, due_ms)
    for number, span_ms in enumerate(SPANS_MS):
        if number % 2:
            world.clock.advance(span_ms)
        else:
            world.run(START_MS + sum(SPANS_MS[: number + 1]) - world.now_ms)
    sent: Counter[tuple[str, int]] = Counter()
    unsent: Counter[str] = Counter()
    for name, slot, outcome, _, count in world.store.ledger:
        if outcome in ("sent", "late"):
            sent[name, int(slot)] += 1
        else:
            unsent[name] += count
    return sent, unsent


def of_the_manual_scheduler() -> tuple[Counter[tuple[str, int]], Counter[str]]:
    scheduler = ManualScheduler(entries=entries(), at=datetime.fromtimestamp(START_MS / 1_000, UTC))
    sent: Counter[tuple[str, int]] = Counter()
    for number, span_ms in enumerate(SPANS_MS):
        (scheduler.stop if number % 2 else scheduler.start)()
        fired = scheduler.advance(span_ms / 1_000)
        sent.update((each.name, round(each.slot.timestamp() * 1_000)) for each in fired)
    unsent: Counter[str] = Counter()
    for each in scheduler.skipped:
        unsent[each.name] += each.count
    return sent, unsent


@pytest.fixture(scope="module")
def both() -> Any:
    return of_the_loop(), of_the_manual_scheduler()


def test_the_same_slots_are_sent(both: Any) -> None:
    (by_loop, _), (by_hand, _) = both
    assert set(by_loop.values()) == {1}
    assert by_hand == by_loop
    assert len({name for name, _ in by_hand}) == len(entries())


def test_the_same_number_of_slots_is_not_sent(both: Any) -> None:
    (_, by_loop), (_, by_hand) = both
    assert by_hand == by_loop
