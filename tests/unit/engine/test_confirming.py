"""Messages whose confirmation is awaited after the next one has been handed over."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.ports import BrokerUnavailable, PublishRefused
from tests.unit.engine.world import AT_MOST_ONCE, World


def later(*names: str, **given: Any) -> World:
    """A world with these entries due, in this order, whose broker confirms later."""
    world = World(**given)
    world.publisher.confirms_later = True
    for number, name in enumerate(names):
        world.add(name, ago_ms=len(names) - number)
    return world


def settled(world: World) -> list[str]:
    return [name for name, *_ in world.store.ledger if name]


def test_the_next_is_handed_over_before_the_confirmation_of_one_is_waited_for() -> None:
    world = later("a", "b", "c")
    seen: list[tuple[list[str], list[str]]] = []
    publisher = world.publisher
    publisher.on_publish = lambda: seen.append((publisher.names[:], publisher.confirmed[:]))
    world.tick()
    assert seen == [([], []), (["a"], []), (["a", "b"], ["a"])]
    assert publisher.confirmed == ["a", "b", "c"]
    assert world.store.inflight == {}


def test_nothing_is_settled_that_is_not_confirmed() -> None:
    world = later("a", "b")
    flying: list[int] = []
    world.publisher.on_publish = lambda: flying.append(len(world.store.inflight))
    world.tick()
    assert flying == [2, 2]
    assert sorted(settled(world)) == ["a", "b"]


def test_at_the_end_of_a_turn_nothing_is_on_its_way() -> None:
    world = later("a")
    world.tick()
    assert world.publisher.confirmed == ["a"]
    assert world.store.inflight == {}


def test_one_that_is_not_confirmed_stays_in_flight_and_is_sent_again() -> None:
    world = later("a", "b")
    world.publisher.unconfirmed["a"] = BrokerUnavailable("reset")
    world.tick()
    assert "a" in {field.partition("@")[0] for field in world.store.inflight}
    world.run(5_000)
    assert world.publisher.names.count("a") == 2
    assert world.store.inflight == {}


def test_the_last_one_is_not_settled_either_if_it_is_not_confirmed() -> None:
    world = later("a", "b")
    world.publisher.unconfirmed["b"] = BrokerUnavailable("reset")
    world.tick()
    assert settled(world) == ["a"]
    world.run(5_000)
    assert world.publisher.names == ["a", "b", "b"]


def test_one_that_is_refused_afterwards_does_not_hold_up_the_others() -> None:
    world = later("bad", "good", "other")
    world.publisher.unconfirmed["bad"] = PublishRefused("no exchange")
    world.tick()
    assert settled(world) == ["good", "other"]
    world.run(5_000)
    assert world.publisher.names == ["bad", "good", "other", "bad"]
    assert world.store.inflight == {}


def test_one_that_is_refused_at_once_does_not_lose_the_confirmation_before_it() -> None:
    world = later("good", "bad")
    world.publisher.fails["bad"] = [PublishRefused("no exchange")]
    world.tick()
    assert settled(world) == ["good"]
    assert world.publisher.confirmed == ["good"]


def test_one_that_was_confirmed_is_settled_though_the_one_before_it_was_not() -> None:
    """The second goes out on a new connection, to a place that is new to it."""
    world = later("a", "b", "c")
    publisher = world.publisher
    publisher.unconfirmed["a"] = BrokerUnavailable("closed")

    def at_once() -> None:
        publisher.confirms_later = publisher.names != ["a"]

    publisher.on_publish = at_once
    world.tick()
    assert publisher.names == ["a", "b"]
    assert settled(world) == ["b"]


def test_what_was_handed_over_is_confirmed_before_the_next_claim() -> None:
    world = later("a", "b")
    publisher = world.publisher
    world.add("once", delivery=AT_MOST_ONCE)
    unconfirmed: list[set[str]] = []

    def claims() -> None:
        unconfirmed.append(set(publisher.names) - set(publisher.confirmed))
        world.store.before["claim"] = claims

    world.store.before["claim"] = claims
    world.tick()
    assert publisher.names == ["a", "b", "once"]
    assert unconfirmed == [set(), set()]


@pytest.mark.parametrize("ttl_ms", [1_000, 2_000, 6_000])
def test_a_broker_that_does_not_confirm_does_not_cost_the_lease(
    ttl_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = later("a", "b", "c", ttl_ms=ttl_ms, publish_timeout_ms=30_000)
    world.publisher.confirm_takes_ms = 60_000
    world.run(100_000)
    assert world.store.count("acquire") == 1
    assert "stepping down" not in caplog.text


def test_a_stop_waits_for_the_confirmation_of_what_it_has_sent() -> None:
    world = later("a", "b", "c")
    world.publisher.on_publish = lambda: setattr(world, "stop", len(world.publisher.names) == 1)
    world.tick()
    assert world.publisher.confirmed == world.publisher.names == ["a", "b"]
    assert len(world.store.inflight) == 1
