"""The loop: how a tick handles trouble, how long it waits, and that it keeps running."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from habeat.core.data_loss import Loss
from habeat.core.entry import Misfire, Policies
from habeat.ports import BrokerUnavailable, StoreUnavailable
from tests.unit.engine.world import World


def test_an_idle_leader_renews_once_a_second_and_does_nothing_else() -> None:
    world = World()
    world.run(30_000)
    calls = set(world.store.calls)
    assert calls == {"observe", "acquire", "circuits", "tick"}
    assert world.store.count("circuits") == 1
    assert world.store.count("tick") <= 31
    assert world.store.count("acquire") == 1


def test_the_cadence_is_the_grid_whatever_a_publish_takes() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.publisher.takes_ms = 50
    world.run(20_000)
    slots = [int(envelope.rpartition("@")[2]) for envelope, _ in world.publisher.sent]
    assert {b - a for a, b in pairwise(slots)} == {1_000}
    assert len(slots) >= 20


def test_a_wake_message_ends_the_wait() -> None:
    world = World()
    world.tick(2)
    world.add("new")
    world.line.says = ["changed"]
    world.tick()
    before = world.clock.us
    world.tick()
    assert world.publisher.names == ["new"]
    assert world.line.waits[-1] <= 1_000
    assert world.clock.us - before <= 1_000_000


@pytest.mark.parametrize("ms", [100, 1_000, 60_000])
def test_i6_nothing_fires_early_by_redis_time(ms: int) -> None:
    world = World(atomic=True)
    world.add("a", every_ms=ms)
    early: list[int] = []
    claim = world.store._claim

    def watched(token: str, wanted: object, atomic: bool) -> str:
        early.append(world.store.now_ms - wanted.firing.effective_ms)  # type: ignore[attr-defined]
        return claim(token, wanted, atomic)  # type: ignore[arg-type]

    world.store._claim = watched  # type: ignore[method-assign]
    world.run(max(5_000, 2 * ms))
    assert early
    assert min(early) >= 0


def test_a_clock_that_steps_back_refires_nothing_and_does_not_spin() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=1_000)
    world.run(5_000)
    fired = len(world.store.ledger)
    world.store.skew_ms = -3_600_000
    world.run(10_000)
    assert len(world.store.ledger) == fired
    world.store.skew_ms = 0
    world.run(2_000)
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert slots == sorted(set(slots))


def test_an_early_answer_anchors_the_clock_again() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=1_000)
    world.store.before["claim"] = lambda: setattr(world.store, "skew_ms", -400)
    world.run(3_000)
    assert world.store.outcomes("a")
    assert world.store.count("claim") <= 6


# -- trouble --------------------------------------------------------------------------------


def test_a_loss_that_is_not_remembered_is_declared_before_anything_is_planned() -> None:
    """A snapshot from before the first loss is restored: the next tick tells Redis, at once."""
    world = World()
    world.tick(2)
    world.store.loss = Loss(world.now_ms, world.now_ms)
    world.tick()
    world.add("a", ago_ms=10, every_ms=1_000)
    world.store.loss = Loss()
    began_us = world.clock.us
    world.tick()
    assert (world.store.count("claim"), world.clock.us) == (0, began_us)
    world.tick()
    assert world.store.loss.declared_ms
    assert world.store.outcomes("a")[0][1] == "missed"


def test_a_loss_that_is_met_at_a_claim_is_declared_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What fell due after the last answer of the lost timeline is late, and not lost."""
    caplog.set_level(logging.WARNING)
    world = World()
    world.tick(2)
    answered_ms = world.election.known.answered_ms
    world.clock.advance(100)
    world.add("a", every_ms=60_000)
    world.store.before["tick"] = lambda: setattr(world.store, "heartbeat", 1)
    world.tick(2)
    assert world.store.loss == Loss(answered_ms, world.store.loss.declared_ms)
    assert answered_ms < world.store.loss.declared_ms
    assert [what for _, what in world.store.outcomes("a")] == ["sent"]
    assert caplog.text.count("went back in time") == 1
    world.tick(2)
    assert world.election.leading


def test_redis_away_is_a_growing_pause_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world = World()
    world.add("a", every_ms=1_000)
    world.run(3_000)
    world.line.waits.clear()
    caplog.clear()
    world.store.fault("tick", *["request"] * 9)
    world.store.fault("observe", *["request"] * 9)
    world.run(10_000)
    assert world.line.waits[:4] == sorted(world.line.waits[:4])
    assert caplog.text.count("not dispatching") == 1
    assert caplog.text.count("answers again") == 1
    world.run(3_000)
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000))  # none was lost, none repeated


@pytest.mark.parametrize("call", ["tick", "claim", "settle", "skip", "definitions", "recover"])
@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize("atomic", [True, False])
def test_no_lost_answer_loses_or_repeats_a_slot(call: str, lost: str, atomic: bool) -> None:
    world = World(atomic=atomic)
    world.add("a", every_ms=1_000)
    world.add("old", ago_ms=600_000, every_ms=61_000, misfire=Misfire.SKIP)
    world.store.fault(call, *["", lost] * 4)
    world.run(20_000)
    slots = [slot for slot, what in world.store.outcomes("a") if what == "sent"]
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000))
    assert len(set(world.publisher.sent)) == len(world.publisher.sent)
    old = [(what, count) for name, _, what, _, count in world.store.ledger if name == "old"]
    assert sum(count for what, count in old if what == "missed") == 9


BUGS = [ValueError("bug"), KeyError("bug"), AssertionError(), RecursionError()]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
@pytest.mark.parametrize("where", ["tick", "claim", "observe", "acquire"])
def test_no_exception_leaves_the_tick(bug: Exception, where: str) -> None:
    def raises() -> None:
        raise bug

    world = World()
    world.add("a", every_ms=1_000)
    world.store.before[where] = raises
    world.run(3_000)
    world.store.before["tick"] = raises
    world.run(3_000)
    assert world.election.leading
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000))


def failing(world: World, call: str) -> None:
    def raises(*_: object) -> None:
        raise ValueError("the same bug")

    setattr(world.store, call, raises)


def test_the_same_bug_is_not_reported_at_every_tick(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    failing(world, "tick")
    world.run(60_000)
    assert world.store.count("acquire") > 3  # no other replica wants the lease
    assert caplog.text.count("a tick failed") <= world.store.count("acquire")


def test_a_leader_whose_ticks_fail_lets_another_try() -> None:
    world = World()
    world.run(1_000)
    failing(world, "tick")
    world.run(2_000)
    assert world.store.lease == ""
    assert world.store.count("release") == 1


def test_a_bug_in_the_chores_does_not_stop_dispatch(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.chores.error = ValueError("bug")
    world.run(10_000)
    assert len(world.publisher.sent) >= 10
    assert world.store.count("acquire") == 1
    assert caplog.text.count("a chore failed") == 1


def test_broker_trouble_is_reported_once_and_over_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.publisher.down = True
    world.run(20_000)
    assert caplog.text.count("takes no messages") == 1
    assert world.engine.broker_failures > 3
    world.publisher.down = False
    world.run(2_000)
    assert caplog.text.count("takes messages again") == 1
    assert world.engine.broker_failures == 0
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000))


def test_the_broker_away_beyond_the_grace_is_in_the_ledger() -> None:
    world = World(policies=Policies(misfire_grace_ms=5_000))
    world.add("a", every_ms=1_000)
    world.publisher.down = True
    world.run(20_000)
    world.publisher.down = False
    world.run(3_000)
    accounted = sum(count for name, _, _, _, count in world.store.ledger if name == "a")
    first = min(slot for slot, _ in world.store.outcomes("a"))
    assert accounted == (world.store.rows["a"].cursor_ms - first) // 1_000 + 1  # type: ignore[operator]


def test_out_of_memory_in_a_claim_stops_dispatch_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(atomic=True)
    world.add("a", every_ms=1_000)
    world.store.words["a"] = "error OOM command not allowed when used memory > 'maxmemory'."
    world.run(10_000)
    assert caplog.text.count("out of memory") == 1
    assert world.store.count("claim") <= 20
    del world.store.words["a"]
    world.run(2_000)
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000))


def test_a_leader_that_no_one_hears_is_subscribed_again_before_it_waits() -> None:
    """If it waited without a subscription, every standby would take it for dead."""
    world = World()
    world.tick()
    world.store.listeners = 0
    world.tick()
    assert world.line.opened == 2
    assert world.line.waited_closed == 0


def test_where_numsub_is_always_zero_the_loop_keeps_its_pace() -> None:
    world = World()
    world.store.listeners = 0
    world.run(10_000)
    assert world.store.count("tick") <= 12
    assert world.line.waited_closed == 0


def test_losing_the_lease_in_a_tick_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.run(2_000)
    world.store.lease = "9:thief"
    world.store.lease_ends_us = world.clock.us + 3_000_000
    world.run(8_000)
    assert world.election.leading
    slots = [slot for slot, _ in world.store.outcomes("a")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000))


def test_a_standbys_tick_is_short() -> None:
    world = World()
    world.store.lease = "9:other"
    world.store.lease_ends_us = world.clock.us + 60_000_000
    for _ in range(20):
        before = world.clock.us
        world.tick()
        assert world.clock.us - before <= 1_000_000
    assert world.chores.seen == [False] * 20


def test_a_stop_ends_the_tick_without_a_wait() -> None:
    world = World()
    world.tick()
    waits = len(world.line.waits)
    world.stop = True
    world.tick()
    assert len(world.line.waits) == waits


def test_a_prepare_that_fails_holds_up_nothing_but_the_dispatch() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.add("old", ago_ms=600_000, every_ms=61_000, misfire=Misfire.SKIP)

    def prepare(timeout_ms: int) -> None:
        raise BrokerUnavailable("the dispatch cannot be decided yet")

    world.publisher.prepare = prepare  # type: ignore[method-assign]
    world.run(5_000)
    assert world.store.count("claim") == 0
    assert world.store.outcomes("old")
    assert world.chores.seen.count(True) > 3


def test_the_line_that_cannot_be_opened_is_trouble_with_redis() -> None:
    world = World()
    opened = world.line.open

    def failing() -> bool:
        raise StoreUnavailable("unreachable", "no pub/sub connection")

    world.line.open = failing  # type: ignore[method-assign]
    world.tick(3)
    assert not world.election.leading  # it subscribes before it competes
    world.line.open = opened  # type: ignore[method-assign]
    world.tick()
    assert world.election.leading
