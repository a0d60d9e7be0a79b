"""An entry whose messages take long to build holds up the others a few times, then rarely."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest

from habeat.core.circuit import FIRST_PAUSE_MS, LONGEST_PAUSE_MS, SLOW_OPENS_AFTER
from tests.unit.engine.test_requests import ask
from tests.unit.engine.world import World

SLOW_MS = 500


def late(world: World, name: str) -> list[int]:
    """A list that gets the lateness of each firing of the entry when it is claimed."""
    found: list[int] = []
    record = world.store.record

    def recorded(entry: str, slot: Any, outcome: str, *rest: Any) -> None:
        if entry == name and outcome == "sent":
            found.append(world.now_ms - int(str(slot).partition("#")[0]))
        record(entry, slot, outcome, *rest)

    world.store.record = recorded  # type: ignore[method-assign]
    return found


def builds(world: World) -> list[int]:
    """A list that gets the instants at which messages of slow entries are built."""
    found: list[int] = []
    run = world.publisher._run_code

    def noted(name: str) -> int | None:
        if world.publisher.code_takes_ms.get(name, 0) > 200:
            found.append(world.now_ms)
        return run(name)

    world.publisher._run_code = noted  # type: ignore[method-assign]
    return found


def slow(world: World, *names: str, every_ms: int = 1_000) -> None:
    for name in names:
        world.add(name, every_ms=every_ms)
        world.publisher.code_takes_ms[name] = SLOW_MS


@pytest.fixture(params=["atomic", "outbox", "own way"])
def world(request: pytest.FixtureRequest) -> World:
    made = World(atomic=request.param == "atomic")
    if request.param == "own way":
        made.publisher.unrepeatable = {"bad"}
    made.add("good", every_ms=1_000)
    made.run(2_500)
    return made


def test_it_is_sent_a_few_times_and_then_probed_ever_more_seldom(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    slow(world, "bad")
    built = builds(world)
    world.run(1_500_000)
    assert caplog.text.count("'bad'") == 1, "named once"
    assert f"'bad' took too long {SLOW_OPENS_AFTER} times in a row" in caplog.text
    assert "500 ms" in caplog.text
    pauses = [after - before for before, after in itertools.pairwise(built)]
    assert len(built) <= SLOW_OPENS_AFTER + 7
    assert max(pauses[: SLOW_OPENS_AFTER - 1]) <= 2_500
    probes = pauses[SLOW_OPENS_AFTER - 1 :]
    assert probes[0] >= FIRST_PAUSE_MS - 1_000
    assert probes == sorted(probes)
    assert max(probes) <= LONGEST_PAUSE_MS + 2_000
    assert world.store.open_circuits["bad"].count == len(built)
    outcomes = [what for _, what in world.store.outcomes("bad")]
    assert outcomes.count("sent") == len(built), "what was built is sent"
    assert "failed" in outcomes


def test_the_others_are_late_by_one_slow_message_for_each_pause(world: World) -> None:
    slow(world, "bad")
    built, lateness = builds(world), late(world, "good")
    world.run(300_000)
    assert len(lateness) >= 299
    assert max(lateness) <= SLOW_MS + 50
    assert sum(each > 50 for each in lateness) <= len(built)


def test_what_is_due_at_the_same_time_leaves_before_it() -> None:
    """Only once it is known to be slow: the first time, it may come first."""
    world = World(atomic=True)
    world.add("good", every_ms=1_000)
    slow(world, "a bad one")
    lateness = late(world, "good")
    world.run(60_500)
    assert len(lateness) >= 59
    assert max(lateness[2:]) <= 50
    assert "a bad one" in world.store.open_circuits


@pytest.mark.parametrize("atomic", [True, False])
def test_with_many_slow_ones_too_a_turn_builds_one_of_them(atomic: bool) -> None:
    """The first time it is not known yet that they are slow."""
    world = World(atomic=atomic)
    for name in ("good", *(f"more{number}" for number in range(20))):
        world.add(name, every_ms=1_000)
    world.run(3_500)
    slow(world, *[f"bad{number}" for number in range(5)])
    world.run(6_000)
    lateness, built = late(world, "good"), builds(world)
    tick, turns = world.engine.tick, []

    def counted() -> None:
        before = len(built)
        tick()
        turns.append(len(built) - before)

    world.engine.tick = counted  # type: ignore[method-assign]
    world.run(120_000)
    assert sum(turns) >= 10
    assert max(turns) == 1
    assert max(lateness) <= SLOW_MS + 50
    assert len(world.store.open_circuits) == 5
    assert world.store.count("acquire") == 1


def test_a_quick_one_that_was_slow_before_is_sent_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    slow(world, "bad")
    world.run(10_000)
    assert "bad" in world.store.open_circuits
    world.publisher.code_takes_ms["bad"] = 1
    with caplog.at_level(logging.WARNING):
        world.run(FIRST_PAUSE_MS + 40_000)
    assert world.store.open_circuits == {}
    assert caplog.text.count("is sent again") == 1
    assert [what for _, what in world.store.outcomes("bad")][-5:] == ["sent"] * 5


def test_an_edit_lets_it_try_again(world: World) -> None:
    slow(world, "bad")
    world.run(10_000)
    world.store.open_circuits.clear()  # as write.lua does
    built = builds(world)
    world.run(20_000)
    assert len(built) == SLOW_OPENS_AFTER
    assert "bad" in world.store.open_circuits


def test_one_that_is_slow_now_and_then_is_left_alone(world: World) -> None:
    """The process may have been stopped while its message was built."""
    slow(world, "bad")
    for _ in range(20):
        world.publisher.code_takes_ms["bad"] = SLOW_MS
        world.run(2_000)
        world.publisher.code_takes_ms["bad"] = 1
        world.run(2_000)
    assert world.store.count("keep_circuits") == 0
    assert {what for _, what in world.store.outcomes("bad")} == {"sent"}


def test_where_all_are_slow_no_entry_is_set_aside_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(atomic=True)
    slow(world, *"abcd", every_ms=10_000)
    with caplog.at_level(logging.WARNING):
        world.run(100_000)
        assert world.store.open_circuits == {}
        assert caplog.text.count("messages of most entries take more than") == 1
        for name in "abcd":
            world.publisher.code_takes_ms[name] = 1
        world.run(100_000)
    assert caplog.text.count("are built in time again") == 1
    outcomes = {what for name in "abcd" for _, what in world.store.outcomes(name)}
    assert outcomes == {"sent"}


def test_alone_it_holds_up_no_other() -> None:
    world = World(atomic=True)
    slow(world, "bad", every_ms=2_000)
    world.run(60_000)
    assert world.store.open_circuits == {}
    assert len(world.store.outcomes("bad")) >= 29


def test_a_host_that_is_slow_at_everything_sets_no_entry_aside() -> None:
    """Messages that habeat builds itself count for the comparison, too."""
    world = World(atomic=True)
    for name in "abcde":
        world.add(name, every_ms=10_000)
    world.publisher.render_takes_ms = 60
    slow(world, "bad", every_ms=10_000)
    world.run(100_000)
    assert world.store.open_circuits == {}


def test_requests_of_a_slow_entry_open_no_circuit_and_go_one_a_turn() -> None:
    world = World(atomic=True)
    world.add("good", every_ms=1_000)
    world.run(2_500)
    slow(world, "bad", every_ms=3_600_000)
    world.store.rows["bad"].due_ms = world.now_ms + 3_600_000
    lateness, built = late(world, "good"), builds(world)
    for number in range(20):
        ask(world, f"r{number}", kind="trigger", entry="bad")
    world.run(60_000)
    assert len(built) == 20
    assert world.store.requests == {}
    assert world.store.open_circuits == {}
    assert max(lateness) <= SLOW_MS + 50


def test_slow_ones_with_much_to_do_take_turns() -> None:
    world = World(atomic=True)
    world.add("good", every_ms=1_000)
    world.run(2_500)
    for name in ("bad", "worse"):
        slow(world, name, every_ms=3_600_000)
        world.store.rows[name].due_ms = world.now_ms + 3_600_000
        for number in range(20):
            ask(world, f"{name}{number:02}", kind="trigger", entry=name)
    world.run(60_000)
    built = [name for name in world.publisher.rendered if name != "good"]
    assert sorted(built) == ["bad"] * 20 + ["worse"] * 20
    assert abs(built[:20].count("bad") - 10) <= 2


def test_requests_of_slow_entries_do_not_delay_those_of_others() -> None:
    world = World(atomic=True)
    world.add("good", every_ms=3_600_000)
    world.run(2_500)
    slow(world, "bad", every_ms=3_600_000)
    world.store.rows["bad"].due_ms = world.now_ms + 3_600_000
    for number in range(20):
        ask(world, f"bad{number:02}", kind="trigger", entry="bad")
    world.run(3_000)
    before = world.publisher.rendered.count("good")
    ask(world, "good", kind="trigger", entry="good")
    world.run(1_100)
    assert world.publisher.rendered.count("good") == before + 1
    assert len(world.store.requests) >= 10


@pytest.mark.parametrize("atomic", [True, False])
def test_one_that_takes_longer_than_the_lease_is_set_aside_too(atomic: bool) -> None:
    """Each of its ticks ends with the lease lost."""
    world = World(ttl_ms=1_000, atomic=atomic)
    world.add("good", every_ms=1_000)
    world.run(2_500)
    slow(world, "bad")
    world.publisher.code_takes_ms["bad"] = 3_000
    built, lateness = builds(world), late(world, "good")
    world.run(130_000)
    assert "bad" in world.store.open_circuits
    assert len(built) == SLOW_OPENS_AFTER + 2, "and two probes"
    assert len(lateness) >= 125
    assert sum(each > 50 for each in lateness) <= 4 * len(built)
