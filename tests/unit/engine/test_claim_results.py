"""What becomes of a claim that was not simply granted, word by word."""

from __future__ import annotations

import pytest

from habeat.core.firing import Firing
from habeat.engine.circuits import Circuits
from habeat.engine.claim_results import ClaimResults
from habeat.ports import Claim, Expected, Next, Rendered
from tests.unit.engine.world import World

ACCOUNTED = {"ok", "mine settled", "duplicate"}


def claim_of(world: World) -> Claim:
    firing = Firing("a", world.now_ms, world.now_ms)
    return Claim(
        firing, Expected("", world.now_ms, 0), Next(None, None), Rendered(b"m"), "at_least_once"
    )


@pytest.mark.parametrize("word", ["ok", "mine settled", "duplicate", "early", "replan", "gone"])
def test_what_is_accounted_for_is_not_planned_again(word: str) -> None:
    world = World()
    world.tick()
    judged = ClaimResults(world.publisher, Circuits(world.store)).judge(
        world.engine._lead, claim_of(world), word, world.now_ms * 1_000
    )
    assert judged is (word in ACCOUNTED)


def test_an_early_answer_is_what_the_time_is_from_then_on() -> None:
    """Redis' clock has stepped back by five seconds within a tick."""
    world = World()
    world.tick()
    lead, stepped_ms = world.engine._lead, world.now_ms - 5_000
    verdicts = ClaimResults(world.publisher, Circuits(world.store))
    verdicts.judge(lead, claim_of(world), "replan", stepped_ms * 1_000)
    assert lead.now_ms() == world.now_ms
    verdicts.judge(lead, claim_of(world), "early", stepped_ms * 1_000)
    assert lead.now_ms() == stepped_ms


def test_a_claim_that_turns_out_to_be_in_flight_already_is_sent_now() -> None:
    """The answer to it was lost before; it must not wait for recovery, nor count as a resend."""
    world = World()
    world.add("a")
    world.store.words["a"] = "mine inflight"
    world.tick()
    ((_, attempt),) = world.publisher.sent
    assert attempt == 1
    assert world.store.count("mark") == 0


def test_a_claim_that_is_settled_already_is_not_sent() -> None:
    world = World()
    world.add("a")
    world.store.words["a"] = "mine settled"
    world.tick()
    assert world.publisher.sent == []
