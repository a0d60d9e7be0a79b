"""What is due within a second is prepared, held, and claimed when it is due; nothing is early."""

from __future__ import annotations

import math
from typing import Any

import pytest

from habeat.core.data_loss import Loss
from habeat.engine.dispatch import TURN_MS
from habeat.engine.prefetch import ASKED_AT_MOST, NEAR_US, PREPARED_AT_MOST, Prefetch, ahead_ms
from tests.unit.engine.world import World


def foreseeing(*, atomic: bool = True, **other: Any) -> World:
    world = World(atomic=atomic, **other)
    world.publisher.foresees = True
    return world


def lead(world: World) -> None:
    world.tick(2)
    assert world.election.leading


def soon(world: World, name: str = "a") -> int:
    """An entry of a leader's, 700 ms before it is due; when that is."""
    lead(world)
    world.add(name, every_ms=60_000)
    due_ms = world.store.rows[name].due_ms
    assert due_ms is not None
    world.store.clock.advance(due_ms - world.now_ms - 700)
    return due_ms


def test_it_is_prepared_before_and_claimed_at_its_millisecond() -> None:
    world = foreseeing()
    due_ms = soon(world)
    claimed_ms: list[int] = []
    world.store.before["claim"] = lambda: claimed_ms.append(world.now_ms)
    world.tick()
    assert world.publisher.foreseen == ["a"]
    assert world.store.outcomes("a") == [(due_ms, "sent")]
    assert claimed_ms == [due_ms]


def test_what_is_held_is_built_again_once_other_code_wants_to_see_it() -> None:
    """A receiver connects in the second before the slot."""
    world = foreseeing()
    due_ms = soon(world)

    def connects() -> None:
        assert world.publisher.foreseen == ["a"]
        world.publisher.foresees = False
        world.publisher.rendered.clear()

    world.store.before["renew"] = connects
    world.tick(3)
    assert world.publisher.rendered == ["a"]
    assert world.store.outcomes("a") == [(due_ms, "sent")]


def test_what_cannot_be_made_unseen_is_built_when_it_is_due() -> None:
    world = World(atomic=True)
    due_ms = soon(world)
    ticks = world.store.count("tick")
    claimed_ms: list[int] = []
    world.store.before["claim"] = lambda: claimed_ms.append(world.now_ms)
    world.tick()
    assert world.publisher.rendered == []
    world.tick()
    assert world.store.outcomes("a") == [(due_ms, "sent")]
    assert claimed_ms == [due_ms]
    assert world.store.count("tick") == ticks + 2, "to look ahead again would find the same"


def test_who_wakes_the_leader_is_heard_before_the_held_are_due() -> None:
    """An entry is added, and due before what is prepared already."""
    world = foreseeing()
    due_ms = soon(world, "later")

    def client_adds(timeout_ms: int) -> frozenset[str]:
        world.line.wait = waits  # type: ignore[method-assign]
        world.clock.advance(100)
        world.add("now", ago_ms=1_000)
        return frozenset({"changed"})

    waits = world.line.wait
    world.line.wait = client_adds  # type: ignore[method-assign]
    world.tick(3)
    sent = [name for name, _, what, *_ in world.store.ledger if what == "sent"]
    assert sent.index("now") < sent.index("later")
    assert world.publisher.foreseen.count("later") == 1, "it was prepared already"
    assert world.store.outcomes("later") == [(due_ms, "sent")]


def test_an_edit_of_what_is_held_is_seen_by_its_claim() -> None:
    world = foreseeing()
    due_ms = soon(world)
    row = world.store.rows["a"]
    raw = row.raw

    def edits(timeout_ms: int) -> frozenset[str]:
        row.raw = raw + b" edited"
        return waits(timeout_ms)

    waits = world.line.wait
    world.line.wait = edits  # type: ignore[method-assign]
    world.tick(3)
    assert world.store.outcomes("a") == [(due_ms, "sent")]
    assert world.publisher.rendered.count("a") == 2, "what had been prepared was of no use"


def test_a_stop_while_holding_claims_nothing() -> None:
    world = foreseeing(atomic=False)
    soon(world)

    def stops(timeout_ms: int) -> frozenset[str]:
        world.stop = True
        return waits(timeout_ms)

    waits = world.line.wait
    world.line.wait = stops  # type: ignore[method-assign]
    world.tick()
    assert world.store.count("claim") == 0
    assert not world.store.inflight


def test_another_lease_epoch_makes_its_own_messages() -> None:
    world = foreseeing()
    due_ms = soon(world)
    world.line.wait, waits = (lambda ms: frozenset({"x"})), world.line.wait  # type: ignore[method-assign]
    world.tick()
    world.election.resign()
    world.line.wait = waits  # type: ignore[method-assign]
    world.tick(3)
    assert world.publisher.foreseen == ["a", "a"]
    assert world.store.outcomes("a") == [(due_ms, "sent")]


def test_holding_costs_neither_the_lease_nor_the_end_of_a_tick() -> None:
    assert ahead_ms(6_000, 1_000) == 1_000
    assert ahead_ms(1_200, 1_000) == 200
    assert ahead_ms(60_000, 300) == 300


def test_no_more_is_prepared_than_may_be_kept() -> None:
    assert PREPARED_AT_MOST == 10_000
    world = foreseeing()
    prefetch: Prefetch = world.engine._prefetch
    prefetch._found = dict.fromkeys(range(PREPARED_AT_MOST))  # type: ignore[arg-type]
    assert not prefetch.has_room


def test_a_tick_ends_though_the_backlog_is_long() -> None:
    """Each message takes 30 ms: what is not sent in a second is left for the next turn."""
    world = World(atomic=False, publish_timeout_ms=1_000, window=1)
    world.publisher.takes_ms = 30
    lead(world)
    for number in range(200):
        world.add(f"e{number}", ago_ms=1_000)
    before_ms = world.now_ms
    world.tick()
    assert TURN_MS <= world.now_ms - before_ms <= TURN_MS + 2 * 50 * 30 + 100
    assert 0 < len(world.publisher.sent) < 200
    world.run(10_000)
    assert len({name for name, _ in world.publisher.sent}) == 200


def test_a_slow_tick_makes_nothing_late() -> None:
    """Its answer takes long and sets our clock behind; a short call corrects it."""
    world = foreseeing()
    due_ms = soon(world)
    claimed_ms: list[int] = []
    world.store.before["claim"] = lambda: claimed_ms.append(world.now_ms)
    world.store.after["tick"] = lambda: world.clock.advance(40)
    world.tick()
    assert claimed_ms == [due_ms]
    assert world.store.count("renew") == 1, "the time is asked for once in a turn"


def test_the_time_is_asked_for_as_late_as_its_answer_allows() -> None:
    """At first a quarter of a second before; then twice as long before as the answer took."""
    world = foreseeing()
    due_ms = soon(world)
    early_ms, late_ms = [], []
    for turn, takes_ms in enumerate((0, 30, 30, 400, 0, 0)):
        slot_ms = due_ms + turn * 60_000
        asked_ms, claimed_ms = asked_and_claimed(world, takes_ms)
        early_ms.append(slot_ms - asked_ms)
        late_ms.append(claimed_ms - slot_ms)
    assert early_ms == [250, 5, 60, 60, 250, 5]
    assert late_ms == [0, 30, 30, 400, 0, 0], "never by more than the answer was on its way"


def asked_and_claimed(world: World, takes_ms: float) -> tuple[int, int]:
    """When the time was requested, how long the answer takes, and when the claim was sent."""
    asked_ms: list[int] = []
    claimed_ms: list[int] = []
    world.store.before["renew"] = lambda: asked_ms.append(world.now_ms)
    world.store.after["renew"] = lambda: world.clock.advance(takes_ms)
    world.store.before["claim"] = lambda: claimed_ms.append(world.now_ms)
    while not claimed_ms:
        world.tick()
    return asked_ms[0], claimed_ms[0]


def test_the_time_is_not_asked_for_when_that_would_make_it_late() -> None:
    world = foreseeing()
    due_ms = soon(world)
    asked_and_claimed(world, 30)
    while world.now_ms < due_ms + 57_000:
        world.tick()
    world.clock.advance(60_000 - 20 + due_ms - world.now_ms)
    claimed_ms: list[int] = []
    world.store.before["claim"] = lambda: claimed_ms.append(world.now_ms)
    asked = world.store.count("renew")
    world.tick()
    assert claimed_ms == [due_ms + 60_000]
    assert world.store.count("renew") == asked


def test_of_several_answers_the_quickest_tells_the_time() -> None:
    """The previous answer took 1.2 ms, and had set our clock that far behind."""
    world = foreseeing()
    due_ms = soon(world)
    asked = world.store.count("observe")
    assert asked_and_claimed(world, 1.2)[1] == due_ms
    assert 0 < world.store.count("observe") - asked <= ASKED_AT_MOST


def test_a_far_server_is_not_asked_what_it_would_answer_too_late() -> None:
    world = foreseeing()
    soon(world)
    asked = world.store.count("observe")
    asked_and_claimed(world, 2 * NEAR_US / 1_000 + 1)
    assert world.store.count("observe") == asked


@pytest.mark.parametrize("way_ms", [0.3, 1, 1.9, 3, 3.9])
def test_no_answer_is_waited_for_beyond_the_instant(way_ms: float) -> None:
    """Every answer takes that long to come back, so our clock is at most that far behind."""
    world = foreseeing()
    due_ms = soon(world)
    answer = world.store.observe

    def late(*given: Any) -> Any:
        found = answer(*given)
        world.clock.advance(way_ms)
        return found

    world.store.observe = late  # type: ignore[method-assign]
    claimed_ms = asked_and_claimed(world, way_ms)[1]
    assert claimed_ms - due_ms <= math.ceil(way_ms)


def test_a_clock_that_was_set_back_ends_the_holding() -> None:
    """Otherwise, a single replica would neither renew nor register for an hour."""
    world = foreseeing()
    soon(world)
    world.store.before["renew"] = lambda: setattr(world.store, "skew_ms", -3_600_000)
    before_ms = world.clock.wall_ms()
    world.tick()
    assert world.store.count("claim") == 0
    assert world.clock.wall_ms() - before_ms <= 1_000


def test_nothing_is_asked_any_more_by_one_who_is_to_stop() -> None:
    world = foreseeing()
    soon(world)
    asked = world.store.count("observe")
    world.store.after["observe"] = lambda: setattr(world, "stop", True)
    world.tick()
    assert world.store.count("observe") == asked + 1
    assert world.store.count("claim") == 0


def test_a_loss_heard_of_while_holding_is_looked_into_first() -> None:
    world = foreseeing()
    due_ms = soon(world)
    world.store.before["renew"] = lambda: setattr(world.store, "loss", Loss(due_ms, due_ms))
    world.tick()
    assert world.store.count("claim") == 0
    assert world.now_ms < due_ms, "it looks at once"
    world.clock.advance(1_000)
    world.tick()
    assert world.store.outcomes("a") == [(due_ms, "missed")]
