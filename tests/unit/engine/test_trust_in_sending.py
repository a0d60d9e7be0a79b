"""How the loop stays within its trust period while it sends, and so keeps its lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from habeat.ports import BrokerUnavailable, Parcel
from tests.unit.engine.world import AT_MOST_ONCE, OnItsWay, World


def during(world: World, name: str, act: Callable[[], None]) -> None:
    """Have something happen while a call of the store is under way, after it was carried out."""
    whole = getattr(world.store, name)

    def slow(*given: Any, **options: Any) -> Any:
        reply = whole(*given, **options)
        act()
        return reply

    setattr(world.store, name, slow)


@pytest.mark.parametrize("late_ms", [4_960, 5_000, 5_500])
def test_a_message_is_not_begun_when_the_renewal_before_it_answered_too_late(late_ms: int) -> None:
    """Redis accepted, but so early that little or nothing of the trust period is left."""
    world = World()
    world.add("a")
    during(world, "claim", lambda: world.clock.advance(3_000))

    def renewed_slowly() -> None:
        if world.store.calls[-1] == "renew":
            world.clock.advance(late_ms)

    during(world, "tick", renewed_slowly)
    world.tick()
    assert "renew" in world.store.calls
    assert world.publisher.sent == []
    assert len(world.store.inflight) == 1  # kept, to be recovered


def test_a_burst_longer_than_the_trust_leaves_in_one_go() -> None:
    """The lease is renewed between messages: none waits for recovery."""
    world = World()
    for n in range(30):
        world.add(f"e{n:02}")
    world.publisher.takes_ms = 400
    world.tick()
    assert len(world.publisher.sent) == 30
    assert world.store.count("recover") == world.store.count("mark") == 0
    assert world.store.count("acquire") == 1


@pytest.mark.parametrize("ttl_ms", [1_000, 2_000, 6_000])
def test_a_broker_that_hangs_does_not_cost_the_lease(
    ttl_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What a step outside Redis may take leaves time for a renewal."""
    world = World(ttl_ms=ttl_ms, publish_timeout_ms=30_000)

    def hang(timeout_ms: int) -> None:
        world.clock.advance(timeout_ms)
        raise BrokerUnavailable("timed out")

    world.publisher.connect = hang  # type: ignore[method-assign]
    world.add("a")
    world.run(30_000)
    assert world.store.count("acquire") == 1
    assert "stepping down" not in caplog.text


@pytest.mark.parametrize("ttl_ms", [1_000, 2_000, 6_000])
def test_a_publish_that_hangs_does_not_cost_the_lease(
    ttl_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(ttl_ms=ttl_ms, publish_timeout_ms=30_000)

    def hang(parcels: Sequence[Parcel], timeout_ms: int) -> OnItsWay:
        world.clock.advance(timeout_ms)
        trouble = BrokerUnavailable("timed out")
        return OnItsWay(world.publisher, ["a"] * len(parcels), [trouble] * len(parcels))

    world.publisher.publish = hang  # type: ignore[method-assign]
    world.add("a")
    world.run(10_000)
    assert world.store.count("acquire") == 1
    assert "stepping down" not in caplog.text


@pytest.mark.parametrize("atomic", [True, False])
def test_a_stop_during_a_claim_begins_no_other(atomic: bool) -> None:
    world = World(atomic=atomic)
    for n in range(250):
        world.add(f"e{n:03}")
    world.store.before["claim"] = lambda: setattr(world, "stop", True)
    world.tick()
    assert world.store.count("claim") == 1


def test_a_stop_begins_no_other_firing_that_may_go_only_once() -> None:
    world = World()
    for n in range(3):
        world.add(f"once{n}", delivery=AT_MOST_ONCE)
    world.publisher.on_publish = lambda: setattr(world, "stop", True)
    world.tick()
    assert len(world.publisher.sent) == 1
    assert world.store.count("claim") == 1
    assert world.store.inflight == {}


def test_a_stop_during_a_resend_leaves_the_other_intents_as_they_are() -> None:
    """If it were marked and not sent, each clean stop would use up an attempt."""
    world = World()
    for n in range(4):
        world.add(f"e{n}", every_ms=3_600_000)
        world.publisher.fails[f"e{n}"] = [BrokerUnavailable("reset")]
    world.run(200)
    world.publisher.fails.clear()
    before = len(world.store.inflight)
    assert before >= 1
    marks = world.store.count("mark")
    world.publisher.on_publish = lambda: setattr(world, "stop", True)
    for _ in range(20):
        if not world.stop:
            world.tick()
            world.clock.advance(200)
    assert world.store.count("mark") == marks + 1


def test_each_message_is_settled_before_the_next_one_leaves() -> None:
    """A crash in the middle of a burst then repeats one message instead of fifty."""
    world = World()
    for n in range(5):
        world.add(f"e{n}")
    settled: list[int] = []
    world.publisher.on_publish = lambda: settled.append(world.store.count("settle"))
    world.tick()
    assert settled == [0, 1, 2, 3, 4]
    assert world.store.inflight == {}
