"""A leader that is asked to step down: when it does, and what it leaves behind."""

from __future__ import annotations

import pytest

from habeat.core.controls import STEP_DOWN, StepDown, controls_of
from habeat.ports import StoredControls
from tests.unit.engine.world import World


def asked(world: World, *, token: str = "", ms: int = 10_000, by: str = "ann@host") -> None:
    """Ask the present leader to step down."""
    wanted = StepDown(token or world.store.lease, "", world.store.now_ms + ms, by)
    world.store.controls = StoredControls("new", {STEP_DOWN: wanted.stored()})
    world.line.says = ["step_down"]


def test_a_leader_steps_down_at_its_next_tick_and_stays_away() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.run(3_000)
    asked(world)
    world.tick(2)
    assert not world.election.leading
    assert world.store.lease == ""
    sent = len(world.publisher.sent)
    world.run(4_000)  # less than a TTL: others would have time to take the lease
    assert not world.election.leading
    assert len(world.publisher.sent) == sent


def test_it_leads_again_if_no_other_replica_wants_the_lease() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.run(3_000)
    asked(world)
    world.run(9_000)
    assert world.election.leading, "one that is asked only once steps down only once"
    slots = [int(envelope.rpartition("@")[2]) for envelope, _ in world.publisher.sent]
    assert len(slots) == len(set(slots))
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000)), "no slot is lost or doubled"


def test_what_was_sent_is_settled_before_the_lease_is_released() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.run(2_500)
    world.store.fault("settle", "request")
    world.run(1_000)
    asked(world)
    world.tick(3)
    assert world.store.lease == ""
    assert not world.store.inflight
    last = len(world.store.calls) - 1 - world.store.calls[::-1].index("settle")
    assert last < world.store.calls.index("release")


@pytest.mark.parametrize("wrong", ["another token", "too late"])
def test_a_request_for_another_leader_or_one_that_has_expired_does_nothing(wrong: str) -> None:
    world = World()
    world.run(2_000)
    if wrong == "too late":
        asked(world, ms=0)
    else:
        asked(world, token="1:other")
    world.run(3_000)
    assert world.election.leading
    assert world.store.count("release") == 0


def test_who_asked_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.run(2_000)
    asked(world, by="ann\n\x1b[31m@host")
    world.tick(2)
    [line] = [each.getMessage() for each in caplog.records if "stepping down" in each.getMessage()]
    assert line.isprintable()
    assert "as asked by ann" in line


@pytest.mark.parametrize(
    "stored", ["", "x", "|", "1:a|b|c|d", "1:a||" + "9" * 20 + "|me", "1:a|" + "b" * 999 + "|1|me"]
)
def test_a_request_that_cannot_be_read_is_none(stored: str) -> None:
    assert controls_of("s", {STEP_DOWN: stored}).step_down is None


def test_a_request_is_read_back_as_it_was_stored() -> None:
    wanted = StepDown("1:a", "b", 5, "who|ever")
    assert controls_of("s", {STEP_DOWN: wanted.stored()}).step_down == wanted


def test_a_request_that_names_the_leader_itself_is_void() -> None:
    assert StepDown("1:a", "b", 5, "me").is_for("1:a", 0)
    assert not StepDown("1:a", "a", 5, "me").is_for("1:a", 0)
