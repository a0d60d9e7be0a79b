"""What the machine has found, as plain sequences of calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import habeat
from tests.verification.stateful.world import World

START_MS = 1_774_000_000_000
MINUTE = 60_000


@pytest.fixture(params=[True, False], ids=["atomic", "outbox"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(START_MS, atomic=request.param)
    made.run_leader()
    yield made
    made.close()


def test_a_firing_that_has_expired_uses_up_no_run(world: World) -> None:
    """It was counted in the plan: the entry was exhausted, and had never run."""
    entry = world.client.add("a", "task", habeat.every(60, offset=0), max_runs=1, deadline=5)
    first_ms = entry.state.next_slot_ms or 0
    world.clock.now_ms = first_ms + 20_000
    world.run_leader()
    found = world.client.get("a")
    assert (found.condition, found.state.due_ms) == ("active", first_ms + MINUTE)
    world.clock.now_ms = first_ms + MINUTE
    world.run_leader()
    assert [message.slot_ms for message, _ in world.arrived()] == [first_ms + MINUTE]
    assert world.client.get("a").condition == "exhausted"


def test_what_cannot_be_read_and_is_paused_is_not_quarantined(world: World) -> None:
    """Put back by hand, it is paused, and no more: the leader has never come upon it."""
    entry = world.client.add("a", "task", habeat.every(60, offset=0))
    definition = world.definition("a")
    world.spoil("a", "garbage")
    assert world.client.pause("a", "why").condition == "quarantined"
    world.clock.now_ms = (entry.state.due_ms or 0) + 1_000
    world.run_leader()
    world.mend("a", definition)
    assert world.client.get("a").condition == "paused"
    assert world.client.resume("a").condition == "active"


def test_what_cannot_be_read_is_listed_with_the_entries_of_the_api(world: World) -> None:
    """A filter over the stored text left it out: rubbish does not say whose it is."""
    world.client.add("a", "task", habeat.every(60, offset=0))
    world.spoil("a", "garbage")
    assert [entry.name for entry in world.client.list(owner="api")] == ["a"]
    assert list(world.client.list(owner="config")) == []


def test_a_pause_that_cannot_be_ended_does_not_keep_another_from_its_end(world: World) -> None:
    until = datetime.fromtimestamp(START_MS / 1_000 + 60, UTC)
    for name in ("a", "b"):
        world.client.add(name, "task", habeat.every(60, offset=0))
        world.client.pause(name, until=until)
    world.spoil("a", "garbage")
    world.clock.now_ms = START_MS + 2 * MINUTE
    world.run_leader()
    assert [entry.condition for entry in world.client.list()] == ["quarantined", "active"]


def test_a_pause_that_could_not_be_ended_is_over_within_a_minute_of_the_repair(
    world: World,
) -> None:
    """A definition that is put back by hand tells no leader; the next try finds it."""
    world.client.add("a", "task", habeat.every(600, offset=0))
    definition = world.definition("a")
    world.spoil("a", "garbage")
    world.client.pause("a", until=datetime.fromtimestamp(START_MS / 1_000 + 10, UTC))
    world.clock.now_ms = START_MS + MINUTE
    world.run_leader()
    world.mend("a", definition)
    world.run_leader()
    assert world.client.get("a").condition == "paused"
    world.clock.now_ms += MINUTE
    world.run_leader()
    assert world.client.get("a").condition == "active"
