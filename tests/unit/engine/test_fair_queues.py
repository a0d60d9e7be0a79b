"""No entry waits for another's requests, refused messages or failing triggers."""

from __future__ import annotations

import pytest

from habeat.core.backoff import pause_ms
from habeat.engine import dispatch
from habeat.engine.dispatch import Dispatched
from habeat.engine.prefetch import DUE_PER_TICK
from habeat.engine.rendering import FAILED_REQUESTS
from habeat.ports import PublishRefused, RenderFailed
from tests.unit.engine.test_requests import ask
from tests.unit.engine.world import Kept, World


def sent_to(world: World, name: str) -> int:
    return world.publisher.names.count(name)


def test_many_triggers_that_fail_do_not_delay_one_that_does_not() -> None:
    world = World()
    world.publisher.render_takes_ms = 100
    world.publisher.render_fails["bad"] = [RenderFailed("no")] * 500
    for name in ("bad", "good"):
        world.add(name, every_ms=3_600_000)
        world.store.rows[name].due_ms = None
    for n in range(200):
        ask(world, f"bad{n}", kind="trigger", entry="bad")
    ask(world, "r", kind="trigger", entry="good")
    world.tick(3)
    assert sent_to(world, "good") == 1
    assert world.publisher.rendered.count("bad") <= 3 * FAILED_REQUESTS


def test_every_failing_trigger_is_tried_once_and_ends_with_its_record() -> None:
    world = World()
    world.publisher.render_fails["bad"] = [RenderFailed("no")] * 500
    world.add("bad", every_ms=3_600_000)
    world.store.rows["bad"].due_ms = None
    for n in range(40):
        ask(world, f"bad{n}", kind="trigger", entry="bad")
    world.run(5_000)
    assert world.store.requests == {}
    assert world.publisher.rendered.count("bad") == 40
    assert [what for _, what in world.store.outcomes("bad")] == ["failed"] * 40


def test_paced_backfills_cost_nothing_while_they_wait() -> None:
    """Each is decoded when its next slot is due, and not at every tick."""
    world = World(atomic=True)
    decoded: list[bytes] = []
    decode = world.catalog.decode_request

    def counted(stored: bytes) -> object:
        decoded.append(stored)
        return decode(stored)

    world.catalog.decode_request = counted  # type: ignore[method-assign, assignment]
    now_ms = world.now_ms
    for n in range(150):
        world.add(f"e{n}", every_ms=60_000, ago_ms=0)
        world.store.rows[f"e{n}"].due_ms = None
        begin = now_ms - 3_600_000
        ask(
            world,
            f"r{n}",
            kind="backfill",
            entry=f"e{n}",
            cursor_ms=begin,
            end_ms=now_ms - 60_000,
            pace=0.5,
        )
    world.run(6_000)
    assert len(world.store.ledger) >= 150 * 3
    assert len(decoded) <= len(world.store.ledger) + 150


def test_a_backlog_is_continued_at_once_though_a_request_waits_for_its_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the slots left for the next turn counts, whatever the requests say after them.

    One tick reads the whole backlog, so nothing else says that some of it is left. The turn is
    shorter than the longest wait, else there would be no time left to wait wrongly.
    """
    monkeypatch.setattr(dispatch, "TURN_MS", 200)
    world = World()
    world.publisher.takes_ms = 250
    world.add("paced", every_ms=36_000_000)
    begin_ms = world.now_ms - 300 * 36_000_000
    order = {"cursor_ms": begin_ms, "end_ms": world.now_ms - 36_000_000, "pace": 0.1}
    ask(world, "r", kind="backfill", entry="paced", **order)
    world.tick(2)
    assert sent_to(world, "paced") == 2, "the next one waits for its pace"
    backlog = DUE_PER_TICK - 10
    for n in range(backlog):
        world.add(f"e{n}", every_ms=36_000_000)
    world.line.waits.clear()
    turns = 0
    while len(set(world.publisher.names)) < 1 + backlog:
        assert not any(wait > 0 for wait in world.line.waits)
        world.tick()
        turns += 1
    assert 1 < turns < 20


def test_results_of_two_sendings_add_up() -> None:
    left = Dispatched(3, complete=True, unfinished=True)
    both = left & Dispatched(2, complete=False)
    assert both == Dispatched(5, complete=False, unfinished=True)


def test_refused_entries_do_not_delay_anothers_resend() -> None:
    world = World()
    for n in range(60):
        name = f"bad{n}"
        world.publisher.fails[name] = [PublishRefused("no")] * 1_000
        for slot in range(5):
            world.store.inflight[f"{name}@{slot}"] = Kept(
                "1:old", 0, world.now_ms, "", f"{name}@{slot}".encode()
            )
    world.store.inflight["good@1"] = Kept("1:old", 0, world.now_ms, "", b"good@1")
    world.run(1_500)
    assert sent_to(world, "good") == 1


def test_an_entry_whose_messages_are_refused_has_few_attempts_in_a_turn() -> None:
    world = World()
    world.publisher.fails["bad"] = [PublishRefused("no")] * 1_000
    for slot in range(50):
        world.store.inflight[f"bad@{slot}"] = Kept(
            "1:old", 0, world.now_ms, "", f"bad@{slot}".encode()
        )
    world.engine._guarded()
    assert len(world.publisher.timeouts) == 3


def test_a_request_that_redis_refuses_ends_with_its_record() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.tick()
    ask(world, "r1", kind="trigger", entry="a")
    world.store.words["a"] = "error WRONGTYPE"
    claims = world.store.count("claim")
    world.run(5_000)
    assert world.store.count("claim") - claims == 1
    assert world.store.requests == {}
    assert world.store.outcomes("a")[-1][1] == "failed"


@pytest.mark.parametrize(("attempts", "wanted"), [(0, 0), (1, 1_000), (6, 32_000), (99, 60_000)])
def test_pauses_double_up_to_a_minute(attempts: int, wanted: int) -> None:
    assert pause_ms(attempts) == wanted
