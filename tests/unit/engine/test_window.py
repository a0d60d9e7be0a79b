"""How many messages the outbox has on their way: few when little is due, a window in a burst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from habeat.engine.outbox import LITTLE, PACKET_BYTES
from habeat.ports import Answered, BrokerUnavailable, PublishRefused, StoreUnavailable
from tests.unit.engine.world import AT_MOST_ONCE, FakePublisher, OnItsWay, World


def burst(count: int, **given: Any) -> World:
    world = World(**given)
    for n in range(count):
        world.add(f"e{n:03}")
    return world


def unsettled(world: World) -> list[int]:
    """Called at each packet: how many messages, this one included, had left and were not settled.

    In this world a settling that has been sent has been done.
    """
    found: list[int] = []
    publish = world.publisher.publish

    def counting(parcels: Any, timeout_ms: int) -> OnItsWay:
        handed = publish(parcels, timeout_ms)
        sent = {envelope for envelope, _ in world.publisher.sent}
        found.append(len(sent & set(world.store.inflight)))
        return handed

    world.publisher.publish = counting  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize(("later", "most"), [(False, 1), (True, 2)])
def test_while_little_is_due_each_message_leaves_by_itself(later: bool, most: int) -> None:
    world = burst(LITTLE)
    world.publisher.confirms_later = later
    found = unsettled(world)
    world.tick()
    assert world.publisher.windows == [1] * LITTLE
    assert max(found) == most
    assert world.store.inflight == {}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("window", [1, 2, 7, 50])
def test_in_a_burst_no_more_are_under_way_than_the_window(window: int, later: bool) -> None:
    world = burst(230, window=window)
    world.publisher.confirms_later = later
    found = unsettled(world)
    world.tick(2)
    assert len(world.publisher.sent) == 230
    assert window - (later and window % 2 and window > 1) <= max(found) <= window
    assert world.store.inflight == {}


def test_a_burst_takes_a_few_calls_and_not_one_for_each_message() -> None:
    world = burst(450)
    world.tick(3)
    assert len(world.publisher.sent) == 450
    assert world.store.count("claim") == 9
    assert len(world.publisher.windows) == 12, "the last batch of each turn leaves in two"
    assert world.store.count("settle") == 12


def test_the_next_claim_is_sent_before_the_present_batch_is_published() -> None:
    world = burst(150)
    claims: list[int] = []
    world.publisher.on_publish = lambda: claims.append(world.store.count("claim"))
    world.tick()
    assert claims[0] == 2
    assert max(claims) == 3


def test_large_messages_leave_in_smaller_packets() -> None:
    world = burst(40)
    render = world.publisher.render

    def large(*given: Any) -> Any:
        rendered = render(*given)
        object.__setattr__(rendered, "envelope", rendered.envelope.ljust(PACKET_BYTES // 3))
        return rendered

    world.publisher.render = large  # type: ignore[method-assign]
    world.tick()
    assert len(world.publisher.sent) == 40
    assert max(world.publisher.windows) == 3


def test_one_refused_message_of_a_packet_stays_in_flight_and_the_rest_is_settled() -> None:
    world = burst(100)
    world.publisher.fails["e030"] = [PublishRefused("WRONGTYPE")]
    world.tick()
    assert [field.partition("@")[0] for field in world.store.inflight] == ["e030"]
    world.run(3_000)
    assert len(world.publisher.sent) == len(set(world.publisher.sent)) == 100
    assert world.store.inflight == {}


def cut_off(world: World, after: int) -> None:
    """The connection fails in the second packet: so many of its answers came before."""
    publish = world.publisher.publish

    def failing(parcels: Sequence[Any], timeout_ms: int) -> OnItsWay:
        handed = publish(parcels, timeout_ms)
        if len(world.publisher.windows) != 2:
            return handed
        lost = BrokerUnavailable("reset")
        known: list[Answered] = [None] * after + [lost] * (len(parcels) - after)
        return OnItsWay(world.publisher, handed.names, known)

    world.publisher.publish = failing  # type: ignore[method-assign]


def test_of_a_packet_that_was_cut_off_what_was_answered_is_settled() -> None:
    world = burst(150)
    cut_off(world, 7)
    world.tick()
    first, second = world.publisher.windows[:2]
    assert len(world.publisher.windows) == 2, "nothing more is published when the broker fails"
    settled = [name for name, *_ in world.store.ledger if name]
    assert len(settled) == first + 7
    claimed = world.store.count("claim")
    world.publisher.down = True
    world.tick(3)
    assert world.store.count("claim") == claimed, "nothing more is claimed either"
    world.publisher.down = False
    world.run(5_000)
    assert world.store.inflight == {}
    names = world.publisher.names
    assert len(set(names)) == 150
    assert len(names) == 150 + second - 7, "only what was not answered is sent again"


def test_a_settling_whose_answer_is_lost_is_sent_again() -> None:
    world = burst(40)
    send = world.store.send_settle
    lost: list[int] = []

    def unanswered(*given: Any) -> Any:
        sent = send(*given)
        if not lost:
            lost.append(1)
            world.store.inflight.update(kept)  # it never got there
            object.__setattr__(sent, "result", _raises(StoreUnavailable("unreachable", "reset")))
        return sent

    kept: dict[str, Any] = {}
    world.publisher.on_publish = lambda: kept.update(world.store.inflight)
    world.store.send_settle = unanswered  # type: ignore[method-assign]
    world.run(5_000)
    assert len(world.publisher.sent) == 40, "what has left is settled, not sent again"
    assert world.store.inflight == {}


def _raises(error: Exception) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_a_stop_finishes_the_packets_under_way_and_settles_them() -> None:
    world = burst(200)
    world.publisher.confirms_later = True
    found = unsettled(world)

    def stop() -> None:
        world.stop = len(world.publisher.windows) == 3

    world.publisher.on_publish = stop
    world.tick()
    sent = {envelope for envelope, _ in world.publisher.sent}
    assert len(world.publisher.windows) == 3
    assert not sent & set(world.store.inflight), "what has left is settled"
    assert world.store.inflight, "what was claimed and has not left is for the heir"
    assert max(found) <= 50


def test_a_stop_while_a_claim_is_under_way_begins_no_packet() -> None:
    world = burst(30)
    world.store.before["claim"] = lambda: setattr(world, "stop", True)
    world.tick()
    assert world.publisher.sent == []
    assert len(world.store.inflight) == 30


def test_what_may_go_only_once_is_claimed_with_nothing_else_under_way() -> None:
    world = burst(30)
    world.add("once", ago_ms=-1, delivery=AT_MOST_ONCE)
    world.clock.advance(1)
    flying: list[tuple[int, int]] = []
    claim = world.store.claim

    def noting(fence: Any, claims: Any, *, atomic: bool) -> Any:
        flying.append((len(claims), len(world.store.inflight)))
        return claim(fence, claims, atomic=atomic)

    world.store.claim = noting  # type: ignore[method-assign]
    world.tick()
    assert flying == [(30, 0), (1, 0)]
    assert len(world.publisher.sent) == 31


def test_a_packet_ends_inside_the_trust_window() -> None:
    world = burst(100, ttl_ms=2_000, publish_timeout_ms=30_000)
    world.publisher.takes_ms = 400
    left: list[int] = []
    world.publisher.on_publish = lambda: left.append(
        world.election.trust.left_ms(world.clock.us // 1_000) if world.election.trust else -1
    )
    world.run(20_000)
    assert len(set(world.publisher.names)) == len(world.publisher.sent) == 100
    assert all(
        timeout <= trust for timeout, trust in zip(world.publisher.timeouts, left, strict=True)
    )


def test_the_fake_broker_confirms_in_order() -> None:
    """What the tests above rely on: a packet's answers stand in the order of its messages."""
    world = burst(3)
    assert isinstance(world.publisher, FakePublisher)
    world.publisher.confirms_later = True
    world.tick()
    assert world.publisher.confirmed == world.publisher.names
