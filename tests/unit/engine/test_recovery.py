"""Resending: when, by whom, with which attempt number, and what it learns from the claim."""

from __future__ import annotations

import pytest

from habeat.engine.recovery import ATTEMPTS_CAP
from habeat.ports import BrokerUnavailable, PublishRefused
from tests.unit.engine.world import AT_MOST_ONCE, Kept, World


def intent_of(world: World, token: str, attempts: int = 0) -> None:
    slot_ms = world.now_ms
    world.store.inflight[f"old@{slot_ms}"] = Kept(
        token, attempts, slot_ms, "at_least_once", f"old@{slot_ms}".encode()
    )


def test_a_resend_says_the_number_of_its_attempt() -> None:
    world = World()
    world.add("a", every_ms=3_600_000)
    world.publisher.fails["a"] = [PublishRefused("no")] * 2
    world.run(5_000)
    ((_, attempt),) = world.publisher.sent
    assert attempt == 3


def test_what_another_had_resent_continues_counting() -> None:
    world = World()
    intent_of(world, "1:dead", attempts=4)
    world.run(1_000)
    ((_, attempt),) = world.publisher.sent
    assert attempt == 6


def test_who_leads_again_resends_at_once_and_not_when_it_had_planned_to() -> None:
    """The pause between two looks is that of one token."""
    world = World()
    intent_of(world, "1:dead")
    world.engine._guarded()
    assert len(world.publisher.sent) == 1
    intent_of(world, "1:dead")
    world.store.inflight = {k + "9": v for k, v in world.store.inflight.items()}
    world.election.resign()
    world.engine._guarded()
    assert world.store.count("acquire") == 2
    assert len(world.publisher.sent) == 2


@pytest.mark.parametrize("delivery", ["at_least_once", AT_MOST_ONCE])
def test_what_is_abandoned_is_no_failure_of_the_tick(
    delivery: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    slot_ms = world.now_ms
    world.store.inflight[f"old@{slot_ms}"] = Kept(
        "1:dead", ATTEMPTS_CAP, slot_ms, delivery, f"old@{slot_ms}".encode()
    )
    world.add("a", ago_ms=0)
    world.tick()
    assert "given up" in caplog.text
    assert "a tick failed" not in caplog.text
    assert world.publisher.names == ["a"]


def test_what_is_given_up_all_the_time_is_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the firings of a task whose own code declines to send, twice a second."""
    world = World()

    def give_up(entry: str) -> None:
        field = f"{entry}@{world.now_ms}"
        world.store.inflight[field] = Kept(
            "1:dead", ATTEMPTS_CAP, world.now_ms, AT_MOST_ONCE, field.encode()
        )

    begun_ms = world.now_ms
    while world.now_ms < begun_ms + 62_000:
        give_up("often")
        world.run(500)
    give_up("another")
    world.run(500)
    lines = [line for line in caplog.messages if "was given up" in line]
    assert [("'often'" in line, "more since" in line) for line in lines] == [
        (True, False),
        (True, True),
        (False, False),
    ]


def test_the_end_of_an_old_leaders_trust_is_waited_for_and_no_longer() -> None:
    world = World()
    intent_of(world, "1:frozen")
    ends_ms = world.now_ms + 2_345
    world.store.untrusted["1:frozen"] = ends_ms
    at: list[int] = []
    world.publisher.on_publish = lambda: at.append(world.now_ms)
    world.run(6_000)
    assert len(at) == 1
    assert ends_ms <= at[0] <= ends_ms + 400


def test_a_connection_is_not_waited_for_longer_than_a_publish() -> None:
    world = World(publish_timeout_ms=1_500)
    asked: list[int] = []
    world.publisher.connect = asked.append  # type: ignore[method-assign]
    world.add("a")
    world.tick()
    assert asked
    assert max(asked) <= 1_500


def test_what_is_planned_again_after_a_refused_claim_goes_at_once() -> None:
    """By the outbox, too: an edit during the claim does not put the slot off."""
    world = World()
    world.add("a", every_ms=3_600_000)
    world.store.before["claim"] = lambda: setattr(world.store.rows["a"], "raw", b"a edited")
    started = world.now_ms
    at: list[int] = []
    world.publisher.on_publish = lambda: at.append(world.now_ms)
    world.run(2_000)
    assert len(at) == 1
    assert at[0] - started < 100


def test_a_broker_that_fails_in_a_resend_leaves_the_intent() -> None:
    world = World()
    intent_of(world, "1:dead")
    world.publisher.fails["old"] = [BrokerUnavailable("reset")]
    world.run(5_000)
    assert len(world.publisher.sent) == 1
    assert world.store.inflight == {}
