"""The planner: its cache, what is set aside, and that no backlog costs the lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from habeat.core.data_loss import Loss
from habeat.core.entry import Misfire, Policies
from habeat.engine.planning import CACHED_DEFINITIONS, LOOK_AGAIN_MS, Planner
from habeat.ports import DueEntry
from habeat.schedules import Interval, Once, Schedule
from habeat.testing.asking import ImmediateAsker
from tests.unit.engine.world import Row, World


@dataclass(frozen=True, repr=False)
class Walked(Schedule):
    """Every second, one by one, and each look takes a while of the world's clock."""

    kind: ClassVar[str] = "test-walked"
    clock: Any
    looks_ms: float = 0.002
    every_ms: int = 1_000

    def next_after_ms(self, after_ms: int) -> int | None:
        self.clock.advance(self.looks_ms)
        return (after_ms // self.every_ms + 1) * self.every_ms

    def describe(self) -> str:
        return "walked"


def test_a_definition_is_read_once_until_it_changes() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=1_000)
    world.run(5_000)
    assert world.catalog.decoded == 1
    world.store.rows["a"].raw = b"a changed"
    world.run(3_000)
    assert world.catalog.decoded == 2


def test_the_cache_is_bounded() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=100)
    row = world.store.rows["a"]
    cache = world.engine._planner._cache
    for n in range(CACHED_DEFINITIONS + 50):
        row.raw = f"a {n}".encode()
        cache[f"x{n}", ""] = world.catalog.entries["a"]
    world.run(500)
    assert len(cache) <= CACHED_DEFINITIONS


def test_an_entry_disabled_by_hand_is_taken_off_and_nothing_is_said_of_its_slots() -> None:
    """habeat's own edits take it off the index themselves; this one only wrote the definition."""
    world = World(atomic=True)
    world.add("off", every_ms=1_000, enabled=False)
    world.add("a", every_ms=1_000)
    world.run(3_500)
    assert world.store.outcomes("off") == []
    assert world.store.count("defer") == 1
    assert len(world.store.outcomes("a")) >= 3
    enabled = replace(world.catalog.entries["off"], enabled=True)
    world.catalog.entries["off"] = enabled
    world.store.rows["off"].raw = b"off on"
    world.run(LOOK_AGAIN_MS)
    assert world.store.outcomes("off"), "by hand it is enabled again"


def test_what_makes_room_in_the_cache_is_not_of_the_same_page() -> None:
    world = World(atomic=True)
    for name in ("old", "new"):
        world.add(name, every_ms=1_000)
    cache = world.engine._planner._cache
    world.run(1_500)
    for key in [key for key in cache if key[0] == "new"]:
        del cache[key]
    for n in range(CACHED_DEFINITIONS - len(cache)):
        cache[f"x{n}", ""] = world.catalog.entries["old"]
    world.run(3_000)
    assert world.store.count("quarantine") == 0
    assert len(world.store.outcomes("old")) == len(world.store.outcomes("new")) >= 4


def test_an_unreadable_entry_is_set_aside_once_and_the_others_fire() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=1_000)
    world.add("bad", every_ms=1_000)
    world.store.rows["bad"].raw = b"garbage"
    world.run(5_000)
    assert world.store.count("quarantine") == 1
    assert world.store.rows["bad"].raw == b"garbage"
    assert len(world.store.outcomes("a")) >= 5


def test_a_definition_that_is_too_large_is_set_aside_and_not_even_fetched() -> None:
    world = World(atomic=True)
    world.add("a")
    fetched: list[str] = []

    def fetch(names: Sequence[str]) -> Sequence[bytes | None]:
        fetched.extend(names)
        return world.store.definitions(names)

    planner = Planner(world.catalog, Policies(), fetch, ImmediateAsker())
    fine = DueEntry("a", 5, world.store.rows["a"].digest, world.store.rows["a"].cursor_ms)
    large = DueEntry("large", 5, "large:70000", 1)
    planned = planner.plan([large, fine], now_ms=10, loss=Loss(), limit=5)
    ((item, why),) = planned.unreadable
    assert (item.name, fetched) == ("large", ["a"])
    assert why == "it has 70000 bytes, more than habeat_definition_bytes allows"


@pytest.mark.parametrize("what", ["cursor", "definition"])
def test_an_entry_without_state_or_definition_is_set_aside(what: str) -> None:
    world = World(atomic=True)
    world.add("a")
    world.add("b")
    if what == "cursor":
        world.store.rows["a"].cursor_ms = None
    else:
        world.store.rows["a"].raw = b""
    world.run(2_000)
    assert [outcome for _, outcome in world.store.outcomes("a")] == ["quarantined"]
    assert [outcome for _, outcome in world.store.outcomes("b")] == ["sent"]


def test_many_unreadable_entries_do_not_fill_every_batch() -> None:
    world = World(atomic=True)
    for n in range(700):
        world.add(f"bad{n}", ago_ms=5_000)
        world.store.rows[f"bad{n}"].raw = b"garbage %d" % n
    world.add("good")
    world.run(3_000)
    assert [what for _, what in world.store.outcomes("good")] == ["sent"]


def test_an_entry_that_only_other_code_can_resolve_waits_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(atomic=True)
    world.add("theirs")
    world.add("mine")
    world.catalog.unresolved.add("theirs")
    world.run(100_000)
    assert world.store.outcomes("theirs") == []
    assert caplog.text.count("'theirs' waits") == 1
    assert world.store.count("defer") <= 5
    world.catalog.unresolved.clear()
    world.run(31_000)
    assert world.store.outcomes("theirs")


def test_a_schedule_that_raises_is_its_own_trouble() -> None:
    @dataclass(frozen=True, repr=False)
    class Broken(Walked):
        def next_after_ms(self, after_ms: int) -> int | None:
            raise ZeroDivisionError("in somebody's schedule class")

    world = World(atomic=True)
    world.add("good", every_ms=1_000)
    bad = world.add("bad")
    world.catalog.entries["bad"] = replace(bad, schedule=Broken(world.clock))
    world.run(5_000)
    assert len(world.store.outcomes("good")) >= 5


def test_an_entry_that_stands_at_a_wrong_instant_is_put_where_it_belongs() -> None:
    world = World(atomic=True)
    world.add("a", schedule=Once(world.now_ms + 10_000))
    world.store.rows["a"].due_ms = world.now_ms - 5
    world.run(9_000)
    assert world.store.outcomes("a") == []
    assert world.store.count("defer") == 1
    world.run(2_000)
    assert [what for _, what in world.store.outcomes("a")] == ["sent"]


def test_an_exhausted_entry_is_looked_at_no_more() -> None:
    world = World(atomic=True)
    world.add("once", schedule=Once(world.now_ms))
    world.run(5_000)
    assert world.store.rows["once"].due_ms is None
    assert world.store.count("definitions") == 1


@pytest.mark.parametrize("misfire", list(Misfire))
@pytest.mark.parametrize("ttl_ms", [1_000, pytest.param(6_000, marks=pytest.mark.slow)])
def test_no_backlog_is_so_long_that_it_costs_the_lease(misfire: Misfire, ttl_ms: int) -> None:
    """Two days of 300 rules that must be walked: more work than a lease is trusted for."""
    world = World(ttl_ms=ttl_ms, atomic=True, policies=Policies(misfire=misfire, misfire_limit=2))
    for n in range(300):
        schedule = Walked(world.clock, every_ms=60_000)
        entry = world.add(f"e{n:03}", schedule=schedule)
        cursor_ms = world.now_ms - 2 * 86_400_000 + n
        world.store.rows[entry.name] = Row(
            entry.name.encode(), cursor_ms, (cursor_ms // 60_000 + 1) * 60_000
        )
    began = world.now_ms
    for _ in range(400):
        world.engine.tick()
        if all((row.due_ms or 0) > world.now_ms for row in world.store.rows.values()):
            break
    behind = [row for row in world.store.rows.values() if (row.due_ms or 0) <= world.now_ms]
    assert len(behind) == 0, f"{len(behind)} entries are behind after {world.now_ms - began} ms"
    assert world.store.count("acquire") == 1


def test_an_edit_between_plan_and_claim_is_planned_again() -> None:
    world = World(atomic=True)
    world.add("a")

    def edit() -> None:
        world.store.rows["a"].raw = b"a edited"

    world.store.before["claim"] = edit
    world.run(1_000)
    assert [what for _, what in world.store.outcomes("a")] == ["sent"]
    assert world.store.count("claim") == 2


def test_an_edit_between_plan_and_skip_drops_the_firings_planned_behind_it() -> None:
    world = World(atomic=True)
    world.add("a", ago_ms=300_000, every_ms=60_000)
    world.store.before["skip"] = lambda: setattr(world.store.rows["a"], "raw", b"a edited")
    world.run(1_000)
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert len(slots) == len(set(slots))
    assert sum(count for *_, count in world.store.ledger) == 6


def test_a_removal_between_plan_and_claim_is_the_end_of_it() -> None:
    world = World(atomic=True)
    world.add("a")
    world.store.before["claim"] = lambda: world.store.rows.pop("a") and None
    world.run(3_000)
    assert world.store.ledger == []
    assert world.store.count("claim") == 1


def test_an_interval_behind_by_a_year_is_one_record() -> None:
    world = World(atomic=True)
    entry = world.add("a", schedule=Interval(1_000, 0))
    cursor_ms = world.now_ms - 365 * 86_400_000
    world.store.rows["a"] = Row(b"a", cursor_ms, entry.next_slot_ms(cursor_ms))
    world.tick()
    missed = [row for row in world.store.ledger if row[2] == "missed"]
    assert len(missed) == 1
    assert missed[0][4] > 31_000_000
