"""An entry that fails repeatedly is not tried, except for an occasional probe."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest

from habeat.core.circuit import (
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    OPENS_AFTER,
    REASON_MAX_CHARS,
    Circuit,
)
from habeat.errors import PublishRefused, RenderFailed
from tests.unit.engine.test_requests import ask
from tests.unit.engine.world import World


def refused(world: World, name: str = "bad", *, atomic: bool = False) -> None:
    if atomic:
        world.store.words[name] = "error WRONGTYPE no list"
    else:
        world.publisher.fails[name] = [PublishRefused("no such exchange")] * 100_000


def mended(world: World, name: str = "bad") -> None:
    world.store.words.pop(name, None)
    world.publisher.fails.pop(name, None)
    world.publisher.render_fails.pop(name, None)


def slots_of(world: World, name: str) -> list[tuple[int, str, int]]:
    return [(int(s), what, n) for entry, s, what, _, n in world.store.ledger if entry == name]


def attempts(world: World) -> int:
    return len(world.publisher.timeouts)


@pytest.mark.parametrize("atomic", [True, False])
def test_slots_of_an_entry_that_is_refused_end_as_failed_without_an_attempt(atomic: bool) -> None:
    world = World(atomic=atomic)
    world.add("bad", every_ms=1_000)
    refused(world, atomic=atomic)
    world.run(10_000)
    assert world.store.open_circuits["bad"].count >= OPENS_AFTER
    claims, before = world.store.count("claim"), len(slots_of(world, "bad"))
    world.run(10_000)
    assert world.store.count("claim") == claims
    reasons = [why for entry, _, what, why, _ in world.store.ledger[before:] if what == "failed"]
    assert len(reasons) >= 9
    assert all(why.startswith("circuit open: ") for why in reasons)


def test_what_is_in_flight_of_a_refused_entry_is_bounded() -> None:
    world = World()
    world.add("bad", every_ms=300)
    refused(world)
    world.run(60_000)
    after_a_minute = len(world.store.inflight)
    world.run(600_000)
    assert after_a_minute <= 2 * OPENS_AFTER
    assert len(world.store.inflight) <= 2 * OPENS_AFTER


def test_every_slot_is_accounted_for_while_the_circuit_is_open() -> None:
    world = World()
    world.add("bad", every_ms=100)
    refused(world)
    began = world.now_ms
    world.run(20_000)
    covered = sum(n for _, _, n in slots_of(world, "bad")) + len(world.store.inflight)
    assert abs(covered - (world.now_ms - began) // 100) <= 1


def test_a_probe_is_sent_once_in_a_while_and_ever_more_seldom() -> None:
    world = World()
    world.add("bad", every_ms=1_000)
    refused(world)
    claims_ms: list[int] = []
    claim = world.store._claim

    def noted(*given: object) -> str:
        claims_ms.append(world.now_ms)
        return claim(*given)  # type: ignore[arg-type]

    world.store._claim = noted  # type: ignore[method-assign, assignment]
    world.run(10_000)
    del claims_ms[:-1]
    world.run(1_300_000)
    pauses = [after - before for before, after in pairwise(claims_ms)]
    assert 3 <= len(pauses) <= 6
    assert pauses[0] >= FIRST_PAUSE_MS - 1_000
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("atomic", [True, False])
def test_a_probe_that_is_taken_closes_the_circuit(
    atomic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(atomic=atomic)
    world.add("bad", every_ms=1_000)
    refused(world, atomic=atomic)
    world.run(10_000)
    mended(world)
    with caplog.at_level(logging.WARNING):
        world.run(FIRST_PAUSE_MS + 2_000)
        assert world.store.open_circuits == {}
        before = len(slots_of(world, "bad"))
        world.run(10_000)
    sent = [what for _, what, _ in slots_of(world, "bad")[before:]]
    assert sent.count("sent") >= 9
    assert "failed" not in sent
    assert caplog.text.count("is sent again") == 1


def test_an_edit_closes_the_circuit() -> None:
    world = World(atomic=True)
    world.add("bad", every_ms=1_000)
    refused(world, atomic=True)
    world.run(10_000)
    assert world.store.open_circuits
    mended(world)
    world.store.open_circuits.clear()  # as write.lua does
    world.store.rows["bad"].raw = b"bad edited"
    sent = len([what for _, what, _ in slots_of(world, "bad") if what == "sent"])
    world.run(3_000)
    assert len([what for _, what, _ in slots_of(world, "bad") if what == "sent"]) >= sent + 2
    assert world.store.open_circuits == {}


def test_a_failure_that_could_not_be_written_does_not_outlive_an_edit() -> None:
    """The circuit of the old definition is not carried over to the new one."""
    world = World()
    world.add("bad", every_ms=1_000)
    refused(world)
    world.run(10_000)
    circuits = world.engine._circuits
    circuits.refused("bad", "1", "no")  # counted in a turn that failed before it wrote this
    mended(world)
    world.store.open_circuits.clear()  # as write.lua does
    world.store.rows["bad"].raw = b"bad edited"
    before = len(slots_of(world, "bad"))
    world.run(5_000)
    assert [what for _, what, _ in slots_of(world, "bad")[before:]].count("failed") == 0


def test_a_probe_that_was_not_sent_is_still_due() -> None:
    """The tick that should have sent it failed before."""
    world = World(atomic=True)
    world.add("bad", every_ms=1_000)
    refused(world, atomic=True)
    world.run(10_000)
    mended(world)
    world.run(world.store.open_circuits["bad"].probe_ms - world.now_ms - 500)
    world.store.fault("skip", "request")
    world.store.fault("keep_circuits", "request")
    world.run(10_000)
    assert world.store.open_circuits == {}


def test_an_entry_that_cannot_be_built_is_not_built_again_and_again() -> None:
    world = World(atomic=True)
    world.add("bad", every_ms=1_000)
    world.publisher.render_fails["bad"] = [RenderFailed("no")] * 10_000
    world.run(20_000)
    assert world.store.open_circuits["bad"].why == "no"
    assert world.publisher.rendered.count("bad") == OPENS_AFTER


def test_a_new_leader_honours_what_another_found() -> None:
    world = World(atomic=True)
    world.add("bad", every_ms=1_000)
    world.store.open_circuits["bad"] = Circuit.opened(7, "no", world.now_ms)
    world.run(5_000)
    assert world.publisher.rendered == []
    assert {what for _, what, _ in slots_of(world, "bad")} == {"failed"}


def test_others_fire_as_ever() -> None:
    world = World()
    for n in range(20):
        world.add(f"bad{n}", every_ms=300)
        refused(world, f"bad{n}")
    world.add("good", every_ms=1_000)
    began = world.now_ms
    world.run(30_000)
    assert world.publisher.names.count("good") >= (world.now_ms - began) // 1_000 - 1


def test_requests_that_fail_open_no_circuit_of_their_entry() -> None:
    """They may have arguments of their own."""
    world = World()
    world.add("a", every_ms=3_600_000)
    world.tick()
    world.publisher.render_fails["a"] = [RenderFailed("no")] * 20
    for n in range(20):
        ask(world, f"r{n}", kind="trigger", entry="a")
    world.run(3_000)
    assert world.store.requests == {}
    assert world.store.open_circuits == {}


def test_a_trigger_of_an_open_circuit_is_tried_and_closes_it() -> None:
    world = World(atomic=True)
    world.add("a", every_ms=3_600_000)
    world.tick()
    world.store.open_circuits["a"] = Circuit.opened(7, "no", world.now_ms)
    world.engine._circuits._under = None
    ask(world, "r", kind="trigger", entry="a")
    world.run(1_500)
    assert world.store.requests == {}
    assert world.store.open_circuits == {}


def test_a_request_of_an_entry_that_stopped_a_leader_is_dropped_with_the_reason() -> None:
    world = World()
    world.add("bad", every_ms=3_600_000)
    world.add("good", every_ms=1_000)
    world.store.open_circuits["bad"] = Circuit.of_hang("app.py:7 receiver", world.now_ms)
    ask(world, "r1", kind="trigger", entry="bad")
    ask(world, "r2", kind="trigger", entry="good")
    world.run(3_000)
    assert world.store.requests == {}
    assert not any(sent.startswith("bad@") and "#" in sent for sent, _ in world.publisher.sent)
    assert any(sent.startswith("good@") and "#" in sent for sent, _ in world.publisher.sent)
    why = next(why for entry, _, what, why, _ in world.store.ledger if what == "failed")
    assert "building or sending its message does not return, in app.py:7 receiver" in why


@pytest.mark.parametrize("fails", [False, True])
def test_the_message_that_is_being_built_is_named_until_it_is_built(fails: bool) -> None:
    world = World()
    world.add("a", every_ms=1_000)
    report, seen = world.engine.report, []
    render = world.publisher.render

    def watched(*given: Any) -> Any:
        assert report.building is not None
        seen.append((report.building.entry, report.building.digest))
        if fails:
            raise RenderFailed("no such file")
        return render(*given)

    world.publisher.render = watched  # type: ignore[method-assign]
    world.run(3_000)
    assert set(seen) == {("a", world.store.rows["a"].digest)}
    assert report.building is None


def test_a_broker_that_is_away_opens_no_circuit() -> None:
    world = World()
    world.add("a", every_ms=1_000)
    world.publisher.down = True
    world.run(60_000)
    assert world.store.open_circuits == {}
    assert world.store.dead == []


def test_the_reason_is_printable_and_bounded() -> None:
    circuit = Circuit.opened(5, "\x1b[31m\n" + "x" * 2_000, 1_000)
    assert len(circuit.why) <= 500
    assert len(circuit.reason) <= REASON_MAX_CHARS
    assert circuit.why.isprintable()


@pytest.mark.parametrize(
    "stored", ["", "[]", "{}", "nonsense", '{"since_ms": 1e999}', '{"count": "x"}', "[" * 9_000]
)
def test_a_stored_circuit_that_cannot_be_read_is_none(stored: str) -> None:
    assert Circuit.from_json(stored) is None


def test_a_circuit_comes_back_as_it_was() -> None:
    circuit = Circuit.opened(5, "no", 1_000).probed(31_000).failed("still no")
    assert Circuit.from_json(circuit.to_json()) == circuit
    hung = Circuit.of_hang("app.py:7 receiver", 1_000)
    assert Circuit.from_json(hung.to_json()) == hung


def test_a_pause_ends_within_its_longest_whatever_the_clock_does() -> None:
    circuit = Circuit.opened(5, "no", 3_600_000)
    assert not circuit.is_probed(3_600_000)
    assert circuit.is_probed(3_600_000 + FIRST_PAUSE_MS)
    assert circuit.is_probed(3_600_000 - LONGEST_PAUSE_MS)
