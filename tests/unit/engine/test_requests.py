"""Requests: triggers and backfills go once, whatever is lost on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from habeat.ports import BrokerUnavailable
from tests.unit.engine.world import World


def ask(world: World, request: str, **fields: Any) -> None:
    world.store.requests[request] = json.dumps({"at_ms": world.now_ms, **fields}).encode()


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("lost", ["", "request", "reply"])
def test_a_trigger_fires_once(atomic: bool, lost: str) -> None:
    world = World(atomic=atomic)
    world.add("a", every_ms=3_600_000)
    world.tick()
    ask(world, "r1", kind="trigger", entry="a")
    if lost:
        world.store.fault("claim", lost)
    world.run(5_000)
    assert world.store.requests == {}
    assert len(world.store.outcomes("a")) == 2
    assert len(world.publisher.sent) in (0, 2)


@pytest.mark.parametrize("lost", ["", "request", "reply"])
def test_a_backfill_sends_each_of_its_slots_once(lost: str) -> None:
    world = World()
    world.add("a", every_ms=60_000)
    world.tick()
    first = (world.store.rows["a"].cursor_ms or 0) - 3_600_000
    ask(
        world,
        "r1",
        kind="backfill",
        entry="a",
        cursor_ms=first - 1,
        end_ms=first + 20 * 60_000,
        pace=10.0,
    )
    world.store.fault("claim", *["", lost] * 5)
    world.run(20_000)
    slots = [int(e.rpartition("@")[2].partition("#")[0]) for e, _ in world.publisher.sent]
    old = [slot for slot in slots if slot < first + 3_600_000]
    assert sorted(old) == list(range(first, first + 20 * 60_000 + 1, 60_000))
    assert world.store.requests == {}


def test_a_request_that_cannot_be_read_is_put_aside_and_hides_nothing() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=1_000)
    world.store.requests["bad"] = b"garbage"
    ask(world, "gone", kind="trigger", entry="nobody")
    world.run(3_000)
    assert world.store.requests == {}
    assert len(world.store.outcomes("a")) >= 3


def test_a_request_waits_for_the_broker() -> None:
    world = World()
    world.add("a", every_ms=3_600_000)
    world.tick()
    ask(world, "r1", kind="trigger", entry="a")
    world.publisher.down = True
    world.run(5_000)
    assert world.store.requests
    world.publisher.down = False
    world.run(2_000)
    assert len(world.publisher.sent) == 2


def test_a_failed_publish_of_a_request_is_resent_with_the_same_identity() -> None:
    world = World()
    world.add("a", every_ms=3_600_000)
    world.tick()
    ask(world, "r1", kind="trigger", entry="a")
    world.publisher.fails["a"] = [BrokerUnavailable("reset")]
    world.run(5_000)
    assert [envelope.endswith("#r1") for envelope, _ in world.publisher.sent] == [False, True]


def test_a_request_for_a_schedule_that_raises_is_put_aside() -> None:
    """Otherwise, it would make every later tick fail."""
    from dataclasses import dataclass, replace

    from habeat.schedules import Interval

    @dataclass(frozen=True, repr=False)
    class Broken(Interval):
        def next_after_ms(self, after_ms: int) -> int | None:
            raise ZeroDivisionError("in somebody's schedule class")

    world = World(atomic=True)
    world.add("good", every_ms=1_000)
    bad = world.add("bad", every_ms=3_600_000)
    world.tick()
    world.catalog.entries["bad"] = replace(bad, schedule=Broken(1_000))
    world.engine._planner._cache.clear()
    ask(world, "r1", kind="backfill", entry="bad", cursor_ms=0, end_ms=10**13, pace=10.0)
    world.run(5_000)
    assert world.store.requests == {}
    assert len(world.store.outcomes("good")) >= 5
    assert world.chores.seen.count(True) >= 5
