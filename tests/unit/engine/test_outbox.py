"""The outbox: claim, publish, settle; what is lost on the way, and who may resend it."""

from __future__ import annotations

import pytest

from habeat.core.backoff import pause_ms
from habeat.core.entry import Delivery
from habeat.engine.outbox import LEAST_TRUST_MS
from habeat.engine.recovery import ATTEMPTS_CAP, RECOVER_BATCH
from habeat.ports import BrokerUnavailable, PublishRefused
from tests.unit.engine.world import AT_MOST_ONCE, Kept, World


def test_one_slot_is_claimed_published_and_settled() -> None:
    world = World()
    world.add("a")
    world.tick()
    assert world.publisher.names == ["a"]
    assert world.store.inflight == {}
    assert world.store.calls.index("claim") < world.store.calls.index("settle")


def test_nothing_is_claimed_while_the_broker_is_away() -> None:
    world = World()
    world.add("a")
    world.publisher.down = True
    world.run(5_000)
    assert world.store.count("claim") == 0
    world.publisher.down = False
    world.run(2_000)
    assert world.publisher.names == ["a"]


def test_a_lost_reply_of_settle_does_not_resend() -> None:
    world = World()
    world.add("a")
    world.store.fault("settle", "reply", "reply", "reply")
    world.run(5_000)
    assert world.publisher.sent == [(world.publisher.sent[0][0], 1)]
    assert [what for _, what in world.store.outcomes("a")] == ["sent"]


def test_a_lost_request_of_settle_does_not_resend() -> None:
    world = World()
    world.add("a")
    world.store.fault("settle", *["request"] * 5)
    world.run(10_000)
    assert len(world.publisher.sent) == 1
    assert world.store.inflight == {}


def test_a_lost_reply_of_claim_is_recovered_once() -> None:
    world = World()
    world.add("a")
    world.store.fault("claim", "reply")
    world.run(3_000)
    assert len(world.publisher.sent) == 1
    assert world.store.inflight == {}


def test_a_lost_request_of_claim_costs_nothing() -> None:
    world = World()
    world.add("a")
    world.store.fault("claim", "request")
    world.run(3_000)
    assert len(world.publisher.sent) == 1


def test_a_stop_in_a_batch_finishes_one_message_and_leaves_the_rest_to_the_heir() -> None:
    world = World()
    for n in range(5):
        world.add(f"e{n}")

    def stop() -> None:
        world.stop = True

    world.publisher.on_publish = stop
    world.tick()
    assert len(world.publisher.sent) == 1
    assert len(world.store.inflight) == 4  # settled is what left, and that only


def test_a_stop_during_the_claim_does_not_lose_what_may_go_only_once() -> None:
    """Left in flight it would be buried as ambiguous, and a SIGTERM is not a fault."""
    world = World()
    world.add("once", delivery=AT_MOST_ONCE)
    world.store.before["claim"] = lambda: setattr(world, "stop", True)
    world.tick()
    assert world.publisher.names == ["once"]
    assert world.store.inflight == {}


def test_at_most_once_is_claimed_alone() -> None:
    world = World()
    world.add("a", ago_ms=5)
    world.add("once", ago_ms=4, delivery=AT_MOST_ONCE)
    world.add("b", ago_ms=3)
    sizes: list[int] = []
    claim = world.store.claim
    world.store.claim = lambda f, c, *, atomic: (  # type: ignore[method-assign]
        sizes.append(len(c)) or claim(f, c, atomic=atomic)
    )
    world.tick()
    assert sizes == [1, 1, 1]
    assert sorted(world.publisher.names) == ["a", "b", "once"]


def test_at_most_once_is_never_sent_again() -> None:
    world = World()
    world.add("once", delivery=AT_MOST_ONCE)
    world.publisher.fails["once"] = [BrokerUnavailable("reset after the last byte")]
    world.run(5_000)
    assert world.publisher.sent == []
    assert [what for _, what in world.store.outcomes("once")] == ["ambiguous"]
    assert world.store.inflight == {}


def test_what_only_this_process_can_send_is_sent_at_most_once() -> None:
    world = World()
    world.add("own")
    world.publisher.unrepeatable.add("own")
    world.publisher.fails["own"] = [BrokerUnavailable("reset")]
    world.run(5_000)
    assert [what for _, what in world.store.outcomes("own")] == ["ambiguous"]


def test_i9_a_refused_message_is_tried_up_to_the_cap_and_no_more() -> None:
    world = World()
    world.add("bad", every_ms=3_600_000)
    world.publisher.fails["bad"] = [PublishRefused("no exchange")] * 100
    started = world.now_ms
    for _ in range(1_000):
        if not world.store.dead:
            world.tick()
    assert len(world.publisher.timeouts) == 1 + ATTEMPTS_CAP
    waited_ms = sum(pause_ms(attempt) for attempt in range(1, ATTEMPTS_CAP + 1))
    assert waited_ms <= world.now_ms - started <= 330_000
    assert [what for _, what in world.store.outcomes("bad")] == ["failed"]


def test_a_refused_message_does_not_hold_up_the_others() -> None:
    world = World()
    world.add("bad", ago_ms=2)
    world.add("good", ago_ms=1)
    world.publisher.fails["bad"] = [PublishRefused("no exchange")] * 100
    world.tick()
    assert world.publisher.names == ["good"]


def keep_in_flight(world: World, count: int, name: str = "bad") -> None:
    for n in range(count):
        field = f"{name}@{n}"
        world.store.inflight[field] = Kept("1:old", 0, world.now_ms, "", field.encode())


def test_a_batch_full_of_refused_messages_keeps_its_pace() -> None:
    """A hundred of them must not use up their attempts within ten busy ticks."""
    world = World()
    keep_in_flight(world, RECOVER_BATCH + 20)
    world.publisher.fails["bad"] = [PublishRefused("no exchange")] * 10_000
    world.run(3_500)
    assert world.store.dead == []
    assert max(kept.attempts for kept in world.store.inflight.values()) <= 5


def test_a_long_backlog_of_intents_leaves_without_a_pause() -> None:
    world = World()
    keep_in_flight(world, 3 * RECOVER_BATCH, "ok")
    world.run(1_500)
    assert len(world.publisher.sent) == 3 * RECOVER_BATCH
    assert len({envelope for envelope, _ in world.publisher.sent}) == 3 * RECOVER_BATCH


def test_the_intents_of_a_leader_that_may_live_are_left_alone() -> None:
    world = World()
    keep_in_flight(world, 1, "theirs")
    world.store.untrusted["1:old"] = world.now_ms + 4_000
    world.run(3_900)
    assert world.publisher.sent == []
    world.run(1_200)
    assert world.publisher.names == ["theirs"]


def test_an_intent_that_was_settled_meanwhile_is_not_called_abandoned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    keep_in_flight(world, 1, "theirs")
    world.store.before["mark"] = world.store.inflight.clear
    world.tick()
    assert world.publisher.sent == []
    assert "given up" not in caplog.text


def test_a_message_is_not_begun_when_the_trust_left_is_too_short() -> None:
    """The renewal before it is lost on the way, and the window almost over."""
    world = World()
    world.add("a")
    world.tick(0)

    def late() -> None:
        world.clock.advance(5_000 - LEAST_TRUST_MS + 1)
        world.store.fault("renew", "request")

    world.store.fault("claim", "")
    original = world.store._claim

    def slow(token: str, claim: object, atomic: bool) -> str:
        word = original(token, claim, atomic)  # type: ignore[arg-type]
        late()
        return word

    world.store._claim = slow  # type: ignore[method-assign]
    world.tick()
    assert world.publisher.sent == []
    assert len(world.store.inflight) == 1


def test_a_publish_ends_inside_the_trust_window() -> None:
    world = World(ttl_ms=2_000, window=1)
    for n in range(30):
        world.add(f"e{n:02}")
    world.publisher.takes_ms = 400
    left: list[int] = []
    world.publisher.on_publish = lambda: left.append(
        world.election.trust.left_ms(world.clock.us // 1_000) if world.election.trust else -1
    )
    world.run(15_000)
    assert len(left) == 30
    assert all(
        timeout <= trust for timeout, trust in zip(world.publisher.timeouts, left, strict=True)
    )
    assert len(set(world.publisher.sent)) == len(world.publisher.sent) == 30


def test_a_leader_that_lost_its_lease_in_a_batch_sends_no_more_than_its_trust_allows() -> None:
    world = World()
    for n in range(10):
        world.add(f"e{n}")

    def stolen_then_frozen() -> None:
        if len(world.publisher.sent) == 3:
            world.store.lease = "9:other"
            world.store.lease_ends_us = world.clock.us + 10**9
            world.clock.advance(18_000)

    world.publisher.on_publish = stolen_then_frozen
    world.tick()
    assert len(world.publisher.sent) == 4  # the one whose write was frozen, and no more
    assert not world.election.leading


@pytest.mark.parametrize("ttl_ms", [1_000, 2_000, 6_000])
def test_the_broker_is_not_called_well_again_before_it_was_asked(
    ttl_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A claimed slot is in flight, nothing is due: a quiet tick proves nothing of the broker."""
    world = World(ttl_ms=ttl_ms)
    world.add("a", every_ms=3_600_000)
    world.tick(2)
    world.add("b", every_ms=3_600_000)
    world.publisher.fails["b"] = [BrokerUnavailable("connection reset")]
    world.tick()
    world.publisher.down = True
    world.run(10_000)
    assert "takes messages again" not in caplog.text
    assert world.engine.broker_failures >= 3, "it never hands over to a standby"
    world.publisher.down = False
    world.run(3_000)
    assert world.publisher.names == ["a", "b"]
    assert caplog.text.count("takes messages again") == 1


@pytest.mark.parametrize("ttl_ms", [1_000, 2_000, 6_000])
def test_a_failing_broker_does_not_cost_the_lease(
    ttl_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The pause between two tries is never longer than a renewal may wait."""
    world = World(ttl_ms=ttl_ms)
    world.add("a")
    world.publisher.down = True
    world.run(20_000)
    assert world.store.count("acquire") == 1
    assert "stepping down" not in caplog.text


def test_delivery_follows_the_setting_unless_the_entry_says_so() -> None:
    from habeat.core.entry import Policies

    world = World(policies=Policies(delivery=Delivery.AT_MOST_ONCE))
    world.add("plain")
    world.add("sure", delivery=Delivery.AT_LEAST_ONCE)
    for name in ("plain", "sure"):
        world.publisher.fails[name] = [PublishRefused("no")]
    world.run(4_000)
    assert world.publisher.names == ["sure"]
    assert [what for _, what in world.store.outcomes("plain")] == ["ambiguous"]
