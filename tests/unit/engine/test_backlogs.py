"""What has piled up: its order, its pace, and that none of it is forgotten or sent too fast."""

from __future__ import annotations

from habeat.core.circuit import OPENS_AFTER
from habeat.core.entry import Misfire, Policies
from habeat.ports import PublishRefused, RenderFailed
from tests.unit.engine.world import World


def test_a_backlog_leaves_at_its_pace_and_not_at_the_loops() -> None:
    world = World(atomic=True)
    world.add(
        "a",
        ago_ms=40_000,
        every_ms=1_000,
        misfire=Misfire.ALL,
        misfire_grace_ms=500,
        misfire_pace=10.0,
    )
    started = world.now_ms
    world.run(2_000)
    sent = len(world.store.outcomes("a"))
    passed_s = (world.now_ms - started) / 1_000
    assert 10 <= sent <= 10 * passed_s + 5


def test_several_slots_that_never_render_all_end_in_the_ledger() -> None:
    """The attempts belong to the oldest; later ones wait behind it until the circuit opens."""
    world = World(atomic=True)
    world.add("bad", ago_ms=3_000, every_ms=1_000, end_ms=world.now_ms)
    world.publisher.render_fails["bad"] = [RenderFailed("never")] * 1_000
    world.run(40_000)
    assert {what for _, what in world.store.outcomes("bad")} == {"failed"}
    assert sum(count for *_, count in world.store.ledger) == 4
    assert len(world.publisher.rendered) == OPENS_AFTER


def test_later_slots_are_not_built_while_the_oldest_cannot_be() -> None:
    world = World(atomic=True)
    world.add("bad", ago_ms=3_000, every_ms=1_000, end_ms=world.now_ms)
    world.publisher.render_fails["bad"] = [RenderFailed("once")]
    world.run(5_000)
    slots = [slot for slot, _ in world.store.outcomes("bad")]
    assert slots == sorted(slots)
    assert len(slots) == 4
    assert len(world.publisher.rendered) == 1 + 4


def test_an_edit_between_plan_and_skip_claims_nothing_that_was_planned_before_it() -> None:
    world = World(atomic=True)
    world.add("a", ago_ms=300_000, every_ms=60_000)
    world.add("b")
    world.store.before["skip"] = lambda: setattr(world.store.rows["a"], "raw", b"a edited")
    world.tick()
    assert [name for name, *_ in world.store.ledger] == ["b"]
    assert world.publisher.rendered == ["b"]


def test_redis_is_not_asked_for_intents_at_every_tick() -> None:
    """One that the broker refuses is looked at when its pause is over, however busy it is."""
    world = World()
    world.add("busy", every_ms=100)
    world.add("bad", every_ms=3_600_000)
    world.publisher.fails["bad"] = [PublishRefused("no exchange")] * 100
    world.run(8_000)
    assert len(world.publisher.names) >= 70
    assert world.store.count("recover") == 3  # after 1, 3 and 7 s
    assert world.store.count("mark") <= world.store.count("recover")


def test_slots_beyond_the_grace_and_within_it_in_one_plan_keep_their_order() -> None:
    world = World(atomic=True, policies=Policies(misfire_grace_ms=2_000))
    world.add("a", ago_ms=10_000, every_ms=1_000)
    world.run(500)
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert slots == sorted(slots)
    outcomes = [what for _, what in world.store.outcomes("a")]
    assert outcomes == ["missed", "sent", "sent", "sent", "sent"]
    assert sum(count for *_, count in world.store.ledger) == 11
