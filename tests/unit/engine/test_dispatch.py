"""Rendering, batches, and what a claim's answer means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from habeat.core.entry import Policies
from habeat.core.lease import Fence
from habeat.engine.dispatch import ATOMIC_BATCH, OUTBOX_BATCH
from habeat.engine.failures import ATTEMPTS
from habeat.engine.prefetch import DUE_PER_TICK
from habeat.ports import (
    Behind,
    BrokerUnavailable,
    RenderBypassed,
    RenderFailed,
    StoreUnavailable,
)
from tests.unit.engine.test_requests import ask
from tests.unit.engine.world import AT_MOST_ONCE, Sent, World

# -- rendering ------------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [True, False])
def test_what_cannot_be_rendered_backs_off_and_ends_as_failed(
    atomic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(atomic=atomic)
    world.add("bad")
    world.add("good")
    world.publisher.render_fails["bad"] = [RenderFailed("lazy argument failed")] * 3
    world.run(10_000)
    assert world.store.outcomes("bad")[0][1] == "failed"
    assert world.publisher.rendered.count("bad") == ATTEMPTS
    assert len(world.store.outcomes("good")) == 1
    assert caplog.text.count("cannot be sent") == 1


def test_a_failure_that_passes_fires_the_slot_late() -> None:
    world = World(atomic=True)
    world.add("bad")
    world.publisher.render_fails["bad"] = [RenderFailed("database locked")] * 2
    world.run(10_000)
    assert [what for _, what in world.store.outcomes("bad")] == ["sent"]


def test_a_failed_slot_does_not_let_later_ones_overtake_it() -> None:
    world = World(atomic=True)
    world.add("bad", ago_ms=3_000, every_ms=1_000)
    world.publisher.render_fails["bad"] = [RenderFailed("no")]
    world.run(5_000)
    slots = [slot for slot, _ in world.store.outcomes("bad")]
    assert slots == sorted(slots)
    assert slots == list(range(slots[0], slots[-1] + 1, 1_000))


def test_every_slot_of_an_entry_that_never_renders_is_in_the_ledger() -> None:
    world = World(atomic=True, policies=Policies(misfire_grace_ms=2_000))
    world.add("bad", every_ms=1_000)
    world.publisher.render_fails["bad"] = [RenderFailed("never")] * 1_000
    world.run(60_000)
    accounted = sum(count for *_, count in world.store.ledger)
    cursor_ms = world.store.rows["bad"].cursor_ms
    first = min(slot for slot, _ in world.store.outcomes("bad"))
    assert cursor_ms is not None
    assert accounted == (cursor_ms - first) // 1_000 + 1
    assert world.now_ms - cursor_ms < 15_000


def test_a_bypass_is_ambiguous_and_moves_the_cursor() -> None:
    world = World(atomic=True)
    world.add("own")
    world.publisher.render_fails["own"] = [RenderBypassed("Celery sent it")]
    world.run(3_000)
    assert [what for _, what in world.store.outcomes("own")] == ["ambiguous"]
    assert world.publisher.rendered.count("own") == 1


def test_broker_trouble_while_rendering_is_not_the_entrys_fault() -> None:
    world = World(atomic=True)
    world.add("a")
    world.publisher.render_fails["a"] = [BrokerUnavailable("the bindings cannot be read")] * 9
    world.run(10_000)
    assert [what for _, what in world.store.outcomes("a")] == ["sent"]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_batch_that_takes_longer_to_render_than_the_trust_lasts_leaves(atomic: bool) -> None:
    """Lazy arguments that ask a slow database: 40 times 300 ms, and a window of 5 s."""
    world = World(atomic=atomic)
    for n in range(40):
        world.add(f"e{n:02}", every_ms=3_600_000)
    world.publisher.render_takes_ms = 300
    world.run(40_000)
    assert {name for name, *_ in world.store.ledger} == set(world.store.rows)
    assert all(len(world.store.outcomes(name)) == 1 for name in world.store.rows)
    assert world.store.count("acquire") == 1


# -- batches --------------------------------------------------------------------------------


@pytest.mark.parametrize(("atomic", "most"), [(True, ATOMIC_BATCH), (False, OUTBOX_BATCH)])
def test_no_claim_is_longer_than_a_server_bears(atomic: bool, most: int) -> None:
    world = World(atomic=atomic)
    for n in range(250):
        world.add(f"e{n}")
    sizes: list[int] = []
    claim = world.store.claim
    world.store.claim = lambda f, c, *, atomic: (  # type: ignore[method-assign]
        sizes.append(len(c)) or claim(f, c, atomic=atomic)
    )
    world.tick(2)
    assert max(sizes) == most <= 200
    assert sum(sizes) == 250


@pytest.mark.parametrize(("way_ms", "most"), [(0, 2), (20, 5)])
def test_to_a_far_server_more_batches_are_under_way(way_ms: float, most: int) -> None:
    world = World(atomic=True)
    for n in range(7 * ATOMIC_BATCH):
        world.add(f"e{n}")
    send, under_way = world.store.send_claim, []
    highest = 0

    def sends(*given: Any, atomic: bool) -> Any:
        nonlocal highest
        sent = send(*given, atomic=atomic)
        under_way.append(sent)
        highest = max(highest, len(under_way))
        read = sent.result

        def result() -> Any:
            world.clock.advance(way_ms)
            under_way.remove(sent)
            return read()

        object.__setattr__(sent, "result", result)
        return sent

    world.store.send_claim = sends  # type: ignore[method-assign]
    world.tick(4)
    assert len(world.store.ledger) == 7 * ATOMIC_BATCH
    assert highest == most


def test_atomic_and_outbox_firings_do_not_share_a_claim() -> None:
    world = World(atomic=True)
    for n in range(6):
        world.add(f"e{n}", ago_ms=10 - n)
    render = world.publisher.render

    def mixed(entry, firing, cluster, epoch):  # type: ignore[no-untyped-def]
        world.publisher.atomic = int(entry.name[1]) % 3 != 0
        return render(entry, firing, cluster, epoch)

    world.publisher.render = mixed  # type: ignore[method-assign]
    world.tick()
    assert sorted(world.publisher.names) == ["e0", "e3"]
    assert len({name for name, *_ in world.store.ledger}) == 6


def test_a_burst_is_planned_over_several_ticks_and_each_slot_fires_once() -> None:
    world = World(atomic=True)
    for n in range(2_500):
        world.add(f"e{n}", every_ms=3_600_000)
    world.tick(2_500 // DUE_PER_TICK + 1)
    names = [name for name, *_ in world.store.ledger]
    assert len(names) == len(set(names)) == 2_500


# -- verdicts -------------------------------------------------------------------------------


def test_one_refused_queue_backs_off_and_hides_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(atomic=True)
    world.add("bad", every_ms=60_000)
    world.add("good", every_ms=1_000)
    world.store.words["bad"] = "error WRONGTYPE the queue of this entry is not a list"
    world.run(10_000)
    assert len(world.store.outcomes("good")) >= 10
    assert caplog.text.count("cannot be sent") == 1
    assert world.store.count("defer") == ATTEMPTS - 1
    assert [what for _, what in world.store.outcomes("bad")] == ["failed"]
    del world.store.words["bad"]
    world.run(60_000)
    assert [what for _, what in world.store.outcomes("bad")] == ["failed", "sent"]
    assert caplog.text.count("can be sent again") == 1


def test_a_refused_entry_with_a_backlog_is_tried_and_logged_as_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its later slots in the batch are to be planned again, which is no success."""
    world = World(atomic=True)
    world.add("bad", every_ms=1_000, ago_ms=5_000)
    world.store.words["bad"] = "error WRONGTYPE the queue of this entry is not a list"
    world.run(12_000)
    assert caplog.text.count("cannot be sent") == 1
    assert "can be sent again" not in caplog.text
    assert [what for _, what in world.store.outcomes("bad")][:2] == ["failed", "failed"]


def test_a_refused_request_is_dropped_with_its_reason() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000, ago_ms=-1_000_000)
    ask(world, "r1", kind="trigger", entry="a")
    world.store.words["a"] = "error WRONGTYPE the queue of this entry is not a list"
    world.run(2_000)
    assert not world.store.requests
    assert [what for _, what in world.store.outcomes("a")] == ["failed"]


@pytest.mark.parametrize(
    "word", ["error OOM command not allowed", "error MISCONF no disk", "error READONLY You can't"]
)
def test_what_the_server_says_of_itself_is_no_entrys_fault(
    word: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(atomic=True)
    world.add("a")
    world.store.words["a"] = word
    world.run(20_000)
    assert world.store.outcomes("a") == []
    assert "not dispatching until it answers again" in caplog.text


@pytest.mark.parametrize(
    "word",
    [
        "error NOPERM this user has no permissions",
        "error ACL failure in script: LPUSH",
        "error The user executing the script can't run this command",
    ],
)
def test_a_queue_that_may_not_be_pushed_to_gives_up_atomic(word: str) -> None:
    world = World(atomic=True)
    world.add("a")
    world.store.words["a"] = word
    world.tick()
    assert world.publisher.gave_up
    del world.store.words["a"]
    world.run(2_000)
    assert world.publisher.names == ["a"]


@pytest.mark.parametrize("word", ["duplicate", "mine settled"])
def test_what_is_accounted_for_is_not_sent(word: str) -> None:
    world = World()
    world.add("a")
    world.store.words["a"] = word
    world.tick()
    assert world.publisher.sent == []


@pytest.mark.parametrize("word", ["replan", "gone", "early", "mine inflight"])
def test_no_answer_makes_the_loop_spin_for_ever(word: str) -> None:
    """Each of these asks for another look at once; a server that never changes its mind must
    not be asked without a pause."""
    world = World(atomic=True)
    world.add("a")
    world.store.words["a"] = word
    for _ in range(2_000):
        world.tick()
    assert world.clock.us > 5_000_000_000 + 10_000_000, "2,000 ticks in under ten seconds"


# -- one at a time ---------------------------------------------------------------------------


def test_two_slots_of_one_entry_leave_in_order() -> None:
    world = World()
    world.add("a", ago_ms=3_000, every_ms=1_000)
    world.tick()
    slots = [int(envelope.rpartition("@")[2]) for envelope, _ in world.publisher.sent]
    assert slots == sorted(slots)
    assert len(slots) == 4


def test_at_most_once_between_others_of_the_same_entry_keeps_the_order() -> None:
    world = World()
    world.add("once", ago_ms=3_000, every_ms=1_000, delivery=AT_MOST_ONCE)
    world.tick()
    slots = [int(envelope.rpartition("@")[2]) for envelope, _ in world.publisher.sent]
    assert slots == sorted(slots)
    assert len(slots) == 4
    assert world.store.count("claim") == 4


def test_whatever_goes_wrong_in_one_entrys_rendering_is_its_own_trouble() -> None:
    """Otherwise, the first due entry with such a fault would keep all others from being sent."""
    world = World(atomic=True)
    world.add("bad", ago_ms=5, every_ms=3_600_000)
    world.add("good", every_ms=1_000)
    world.publisher.render_fails["bad"] = [KeyError("bug"), ImportError("ephem"), ValueError("x")]
    world.run(10_000)
    assert len(world.store.outcomes("good")) >= 10
    assert [what for _, what in world.store.outcomes("bad")] == ["failed"]


@pytest.mark.parametrize("early", [True, False])
def test_an_answer_that_has_come_is_heard_though_the_next_batch_cannot_be_sent(
    early: bool,
) -> None:
    """By its heartbeat the leader notices that data was lost meanwhile.

    Early: it has come before the next is sent, and with the failure its connection is closed.
    """
    world = World(atomic=True)
    for number in range(ATOMIC_BATCH + 1):
        world.add(f"e{number}")
    send, tick, sent, known = world.store.send_claim, world.store.tick, [], []

    def second_fails(fence: Fence, claims: Any, *, atomic: bool) -> Any:
        sent.append(len(claims))
        if len(sent) == 2:
            raise StoreUnavailable("unreachable", "for this test")
        answer = send(fence, claims, atomic=atomic)
        if len(sent) > 1:
            return answer
        answer = replace(answer, reply=replace(answer.reply, heartbeat=4_711))
        if early:
            answer.has_come, answer.drop = lambda: True, lambda: None
        return answer

    def knowing(fence: Fence, *words: Any, **more: Any) -> Any:
        known.append(fence.heartbeat)
        return tick(fence, *words, **more)

    world.store.send_claim = second_fails  # type: ignore[method-assign]
    world.store.tick = knowing  # type: ignore[method-assign]
    world.run(1_500)
    assert sent[0] == ATOMIC_BATCH
    assert 4_711 in known


def test_a_refused_claim_shows_the_loss_though_the_next_batch_cannot_be_sent() -> None:
    """The outbox has the answer before the next claim fails, and reads it when it cleans up."""
    world = World()
    for number in range(OUTBOX_BATCH + 1):
        world.add(f"e{number}")
    tick, sent, declared = world.store.tick, [], []

    def second_fails(fence: Fence, claims: Any, *, atomic: bool) -> Any:
        sent.append(len(claims))
        if len(sent) > 1:
            raise StoreUnavailable("unreachable", "for this test")
        return Sent(Behind(world.now_ms * 1_000, 0))

    def noted(*words: Any) -> Any:
        *_, lost_after_ms = words
        declared.append(lost_after_ms)
        return tick(*words)

    world.store.send_claim = second_fails  # type: ignore[method-assign]
    world.store.tick = noted  # type: ignore[method-assign]
    world.run(1_500)
    assert len(sent) > 1
    assert any(lost_after_ms is not None for lost_after_ms in declared)


@pytest.mark.parametrize("kind", [ValueError, RenderFailed])
def test_what_others_code_quotes_of_the_arguments_is_neither_logged_nor_stored(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    world = World(atomic=True)
    world.add(
        "bad",
        args=("4111-1111",),
        kwargs={"token": "hunter2"},
        options={"headers": {"auth": "Bearer xyz"}},
    )
    problem = "cannot use 'hunter2' for 4111-1111 with Bearer xyz"
    world.publisher.render_fails["bad"] = [kind(problem)] * 3
    world.run(10_000)
    assert world.store.outcomes("bad")[0][1] == "failed"
    assert 'cannot use <kwargs["token"]> for <args[0]> with <headers["auth"]>' in caplog.text
    everything = caplog.text + repr(world.store.ledger)
    assert not any(secret in everything for secret in ("hunter2", "4111-1111", "Bearer xyz"))
