"""The loop while the whole schedule is paused: what is sent, skipped and logged."""

from __future__ import annotations

import json
import logging

import pytest

from habeat.core.controls import PAUSE, stored_pauses
from habeat.core.holds import PAUSED_ALL, Pause
from habeat.ports import StoredControls
from tests.unit.engine.world import World


def pause(world: World, *pauses: Pause, stamp: str = "new") -> None:
    stored = stored_pauses(pauses, world.store.now_ms)
    world.store.controls = StoredControls(stamp, {PAUSE: stored})
    world.line.says = ["changed"]


def sent_slots(world: World) -> list[int]:
    return [int(envelope.rpartition("@")[2]) for envelope, _ in world.publisher.sent]


@pytest.mark.parametrize("atomic", [True, False])
def test_nothing_is_claimed_while_the_schedule_is_paused_and_each_slot_is_skipped(
    atomic: bool,
) -> None:
    world = World(atomic=atomic)
    world.add("a", every_ms=1_000)
    world.run(3_000)
    since_ms = world.store.now_ms
    pause(world, Pause(since_ms))
    before = len(world.store.ledger)
    world.run(5_000)
    ended_ms = world.store.now_ms
    new = world.store.ledger[before:]
    assert {(what, why) for _, _, what, why, _ in new} == {("skipped", PAUSED_ALL)}
    assert sum(count for *_, count in new) in (4, 5)
    pause(world, Pause(since_ms, ended_ms, over=True), stamp="newer")
    world.run(3_000)
    slots = sorted(int(slot) for _, slot, *_ in world.store.ledger)
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000)), "each has one outcome"
    after = [what for _, _, what, *_ in world.store.ledger[before + len(new) :]]
    assert set(after) == {"sent"}
    assert len(after) >= 2


def test_a_claim_that_was_prepared_before_the_pause_is_not_sent() -> None:
    """It is held until it is due, and the pause is written meanwhile."""
    world = World(atomic=True)
    world.add("a", every_ms=1_000)
    world.run(2_500)
    claim = world.store.send_claim
    paused: list[int] = []

    def paused_before(*args: object, **named: object) -> object:
        if not paused:
            paused.append(world.store.now_ms)
            pause(world, Pause(world.store.now_ms))
        return claim(*args, **named)  # type: ignore[arg-type]

    world.store.send_claim = paused_before  # type: ignore[assignment, method-assign]
    sent = len(world.publisher.sent) + len(world.store.ledger)
    world.run(3_000)
    assert paused
    late = world.store.ledger[sent - len(world.publisher.sent) :]
    assert {what for _, _, what, *_ in late} == {"skipped"}


def test_a_pause_ends_by_itself() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.run(2_000)
    now_ms = world.store.now_ms
    pause(world, Pause(now_ms, now_ms + 3_000))
    world.run(6_000)
    sent = [slot for slot in sent_slots(world) if slot > now_ms]
    assert sent
    assert min(sent) >= now_ms + 3_000
    assert len(sent) >= 2


def test_requests_wait_until_the_pause_is_over() -> None:
    world = World()
    world.add("a", every_ms=3_600_000)
    world.run(1_000)
    now_ms = world.store.now_ms
    pause(world, Pause(now_ms, now_ms + 5_000))
    before = len(world.publisher.sent)
    world.store.requests["r1"] = json.dumps(
        {"kind": "trigger", "entry": "a", "at_ms": now_ms}
    ).encode()
    world.run(4_000)
    assert len(world.publisher.sent) == before
    world.run(3_000)
    assert len(world.publisher.sent) == before + 1


def test_the_pause_is_logged_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    world = World()
    world.run(2_000)
    now_ms = world.store.now_ms
    pause(world, Pause(now_ms, now_ms + 3_000, "deploy\n\x1b", "ann@host"))
    world.run(8_000)
    lines = [each.getMessage() for each in caplog.records if "paus" in each.getMessage()]
    assert len(lines) == 2
    assert "the schedule is paused by ann@host: deploy" in lines[0]
    assert lines[0].isprintable()
    assert lines[1] == "habeat: the pause of the schedule is over"


def test_a_stored_pause_that_cannot_be_read_stops_nothing() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.run(2_000)
    world.store.controls = StoredControls("new", {PAUSE: "garbage"})
    sent = len(world.publisher.sent)
    world.run(3_000)
    assert len(world.publisher.sent) >= sent + 2


def test_a_claim_that_is_held_does_not_take_the_stamp_of_a_renewal() -> None:
    """The pause is written while the leader waits, and no message says so; a renewal finds it."""
    world = World(atomic=True)
    world.publisher.foresees = True
    world.add("a", every_ms=1_000)
    world.run(2_500)
    paused: list[int] = []

    def act() -> None:
        paused.append(world.store.now_ms)
        pause(world, Pause(world.store.now_ms))
        world.line.says = []

    world.store.before["renew"] = act
    world.run(3_000)
    assert paused
    late = [what for _, slot, what, *_ in world.store.ledger if int(slot) > paused[0]]
    assert late
    assert set(late) == {"skipped"}
