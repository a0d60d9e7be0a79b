"""Requests among the loop's other work: their pace, and what becomes of those that cannot go."""

from __future__ import annotations

from habeat.ports import RenderFailed
from tests.unit.engine.test_requests import ask
from tests.unit.engine.world import World


def test_a_backfill_neither_waits_for_the_schedule_nor_makes_the_loop_hot() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.tick()
    end_ms = world.now_ms - 7_200_000
    ask(
        world,
        "r1",
        kind="backfill",
        entry="a",
        cursor_ms=end_ms - 20 * 3_600_000,
        end_ms=end_ms,
        pace=5.0,
    )
    started, ticks = world.now_ms, world.store.count("tick")
    world.run(2_000)
    sent = len(world.store.outcomes("a")) - 1
    passed_s = (world.now_ms - started) / 1_000
    assert 5 * passed_s - 3 <= sent <= 5 * passed_s + 2
    assert world.store.count("tick") - ticks <= 3 * sent + 5


def test_a_backfill_without_a_slot_is_put_aside() -> None:
    """If it stayed in its place, it would be looked at forever."""
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.tick()
    moment = world.now_ms - 7_200_000
    ask(world, "r1", kind="backfill", entry="a", cursor_ms=moment, end_ms=moment + 1)
    world.run(2_000)
    assert world.store.requests == {}
    assert [what for _, what in world.store.outcomes("a")] == ["sent", "failed"]


def test_a_backfill_that_waits_for_its_time_is_kept() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.tick()
    end_ms = world.now_ms - 7_200_000
    later_ms = world.now_ms + 5_000
    ask(
        world,
        "r1",
        kind="backfill",
        entry="a",
        cursor_ms=end_ms - 7_200_000,
        end_ms=end_ms,
        not_before_ms=later_ms,
    )
    world.run(4_000)
    assert len(world.store.outcomes("a")) == 1
    assert list(world.store.requests) == ["r1"]
    world.run(3_000)
    assert len(world.store.outcomes("a")) == 3


def test_a_request_that_cannot_be_rendered_is_put_aside_and_the_schedule_continues() -> None:
    """The attempts of a slot belong to the slot: a request does not defer its entry."""
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.tick()
    before = (world.store.rows["a"].cursor_ms, world.store.rows["a"].due_ms)
    world.publisher.render_fails["a"] = [RenderFailed("no")]
    ask(world, "r1", kind="trigger", entry="a")
    world.run(1_000)
    assert world.store.requests == {}
    assert (world.store.rows["a"].cursor_ms, world.store.rows["a"].due_ms) == before
    assert [what for _, what in world.store.outcomes("a")] == ["sent", "failed"]
    assert world.store.count("defer") == 0


def test_a_request_that_redis_refuses_puts_no_entry_off() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.tick()
    due_ms = world.store.rows["a"].due_ms
    ask(world, "r1", kind="trigger", entry="a")
    world.store.words["a"] = "error WRONGTYPE"
    world.tick()
    assert world.store.rows["a"].due_ms == due_ms
    assert world.store.count("defer") == 0


def test_a_slot_that_redis_refuses_waits_a_second() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.store.words["a"] = "error WRONGTYPE"
    before_ms = world.now_ms
    world.engine._guarded()
    due_ms = world.store.rows["a"].due_ms
    assert due_ms is not None
    assert 1_000 <= due_ms - before_ms < 1_500


def test_what_cannot_be_rendered_waits_a_second_and_then_four() -> None:
    world = World(atomic=True)
    world.add("bad", every_ms=3_600_000)
    world.publisher.render_fails["bad"] = [RenderFailed("no")] * 3
    tries: list[int] = []
    render = world.publisher.render

    def noted(*given: object) -> object:
        tries.append(world.now_ms)
        return render(*given)  # type: ignore[arg-type]

    world.publisher.render = noted  # type: ignore[method-assign, assignment]
    world.run(20_000)
    assert len(tries) == 3
    assert 1_000 <= tries[1] - tries[0] < 1_200
    assert 4_000 <= tries[2] - tries[1] < 4_200
    assert [what for _, what in world.store.outcomes("bad")] == ["failed"]


def test_tries_of_one_slot_do_not_count_for_the_next() -> None:
    world = World(atomic=True)
    world.add("bad", every_ms=10_000)
    world.publisher.render_fails["bad"] = [RenderFailed("no")] * 2
    world.run(8_000)
    assert [what for _, what in world.store.outcomes("bad")] == ["sent"]
    world.publisher.render_fails["bad"] = [RenderFailed("no")] * 2
    world.run(12_000)
    assert [what for _, what in world.store.outcomes("bad")] == ["sent", "sent"]
