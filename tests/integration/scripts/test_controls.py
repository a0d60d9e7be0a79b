"""The controls on real servers: writing them, and what a leader that has not read them may do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.controls import CONTROLS_MAX, STEP_DOWN, StepDown
from habeat.core.lease import Fence, Token
from habeat.entries.codec import digest_of
from habeat.ports import Known, Refused, Statuses, StoredControls, Tick, Won
from habeat.store.controls import ControlStore
from tests.integration.scripts.bench import TTL_MS, Bench


@pytest.fixture
def controls(bench: Bench) -> ControlStore:
    return ControlStore(bench.caller)


def fence(token: Token, stamp: str = "") -> Fence:
    return Fence(token, TTL_MS, stamp=stamp)


def test_a_control_is_written_read_and_removed(controls: ControlStore) -> None:
    assert controls.read() == StoredControls("", {})
    assert controls.write("s1", "a", "", "x", "changed") == "ok"
    assert controls.read() == StoredControls("s1", {"a": "x"})
    assert controls.write("s2", "a", "x", "", "changed") == "ok"
    assert controls.read() == StoredControls("s2", {})


def test_a_call_that_is_repeated_because_its_reply_was_lost_changes_nothing(
    bench: Bench, controls: ControlStore
) -> None:
    for _ in range(2):
        assert controls.write("s1", "a", "", "x", "changed") == "ok"
    assert controls.write("s2", "b", "", "y", "changed") == "ok"
    before = bench.everything()
    assert controls.write("s1", "a", "", "x", "changed") == "ok"
    assert bench.everything() == before


def test_a_value_that_has_changed_since_it_was_read_is_not_replaced(
    bench: Bench, controls: ControlStore
) -> None:
    controls.write("s1", "a", "", "x", "changed")
    before = bench.everything()
    assert controls.write("s2", "a", "", "y", "changed") == "conflict"
    assert controls.write("s2", "a", "z", "", "changed") == "conflict"
    assert bench.everything() == before


def test_the_number_of_controls_is_limited_but_those_that_exist_can_change(
    bench: Bench, controls: ControlStore
) -> None:
    many = {f"f{number}": "x" for number in range(CONTROLS_MAX)}
    bench.admin.hset(bench.keys.controls, mapping=many)
    assert controls.write("s1", "one more", "", "x", "changed") == "full"
    assert controls.write("s1", "f0", "x", "y", "changed") == "ok"


def test_a_foreign_key_is_renamed_not_deleted(bench: Bench, controls: ControlStore) -> None:
    token = bench.lead()
    bench.admin.set(bench.keys.controls, "another program's")
    bench.admin.hset(bench.keys.meta, "controls", "s0")
    found = bench.store.tick(fence(token), 10)
    assert isinstance(found, Tick), "it does not stop the leader"
    assert found.controls == StoredControls("s0", {})
    assert controls.write("s1", "a", "", "x", "changed") == "ok"
    aside = list(bench.admin.keys("*foreign:controls:*"))
    assert [bench.admin.get(key) for key in aside] == [b"another program's"]


def test_more_fields_than_there_may_be_do_not_stop_the_leader(
    bench: Bench, controls: ControlStore
) -> None:
    token = bench.lead()
    many = {f"f{number}": "x" for number in range(10_000)}
    bench.admin.hset(bench.keys.controls, mapping=many)
    bench.admin.hset(bench.keys.meta, "controls", "s0")
    found = bench.store.tick(fence(token), 10)
    assert isinstance(found, Tick)
    assert found.controls == StoredControls("s0", many)


def test_a_tick_has_the_controls_only_if_the_leader_does_not_know_them(
    bench: Bench, controls: ControlStore
) -> None:
    token = bench.lead()
    controls.write("s1", "a", "", "x", "changed")
    found = bench.store.tick(fence(token), 10)
    assert isinstance(found, Tick)
    assert found.controls == StoredControls("s1", {"a": "x"})
    again = bench.store.tick(fence(token, "s1"), 10)
    assert isinstance(again, Tick)
    assert again.controls is None


@pytest.mark.parametrize("atomic", [True, False])
def test_nothing_is_claimed_that_was_planned_under_older_controls(
    bench: Bench, controls: ControlStore, atomic: bool
) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=10)
    controls.write("s1", "a", "", "x", "changed")
    before = bench.everything()
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["replan"]
    assert bench.everything() == before
    reply = bench.store.claim(fence(token, "s1"), [bench.claim_of(placed)], atomic=atomic)
    assert isinstance(reply, Statuses)
    assert reply.words == ["ok"]


def test_a_claim_that_was_done_before_is_recognised_under_newer_controls(
    bench: Bench, controls: ControlStore
) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=10)
    assert bench.claim(token, bench.claim_of(placed), atomic=False) == ["ok"]
    controls.write("s1", "a", "", "x", "changed")
    assert bench.claim(token, bench.claim_of(placed), atomic=False) == ["mine inflight"]


def test_nothing_is_skipped_that_was_planned_under_older_controls(
    bench: Bench, controls: ControlStore
) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=10)
    controls.write("s1", "a", "", "x", "changed")
    reply = bench.store.skip(fence(token), [bench.skip_of(placed)])
    assert isinstance(reply, Statuses)
    assert reply.words == ["replan"]
    assert bench.cursor() == placed.cursor_ms
    assert bench.ledger() == []
    done = bench.store.skip(fence(token, "s1"), [bench.skip_of(placed)])
    assert isinstance(done, Statuses)
    assert done.words == ["ok"]


def ask(controls: ControlStore, token: Token, to: str) -> None:
    wanted = StepDown(str(token), to, 10**14, "me")
    controls.write("s1", STEP_DOWN, "", wanted.stored(), "step_down")


def test_the_replica_that_is_handed_over_to_has_the_lease_to_itself(
    bench: Bench, controls: ControlStore
) -> None:
    token = bench.lead("aa")
    listening = bench.alive("bb")
    ask(controls, token, "bb")
    bench.leases.release(token, "aa")
    for other in ("aa", "cc"):
        reply = bench.leases.acquire(other, TTL_MS, Known())
        assert isinstance(reply, Refused)
        assert not reply.foreign
        assert "bb" in reply.why
    assert isinstance(bench.leases.acquire("bb", TTL_MS, Known()), Won)
    listening.close()


def test_a_successor_whose_connection_is_gone_holds_no_one_up(
    bench: Bench, controls: ControlStore
) -> None:
    token = bench.lead("aa")
    ask(controls, token, "bb")
    bench.leases.release(token, "aa")
    assert isinstance(bench.leases.acquire("cc", TTL_MS, Known()), Won)


@pytest.mark.parametrize(
    "when", ["it takes too long", "the clock went back", "no one is named", "another leader's"]
)
def test_otherwise_any_replica_may_take_it(bench: Bench, controls: ControlStore, when: str) -> None:
    token = bench.lead("aa")
    listening = bench.alive("bb")
    asked = replace(token, epoch=token.epoch + 1) if when == "another leader's" else token
    ask(controls, asked, "" if when == "no one is named" else "bb")
    bench.leases.release(token, "aa")
    moved_us = {"it takes too long": -3_100_000, "the clock went back": 60_000_000}.get(when, 0)
    bench.admin.hincrby(bench.keys.meta, "released_us", moved_us)
    assert isinstance(bench.leases.acquire("cc", TTL_MS, Known()), Won)
    listening.close()


def test_a_lease_that_expired_is_reserved_for_none(bench: Bench, controls: ControlStore) -> None:
    """The leader that was asked died before it answered."""
    token = bench.lead("aa")
    ask(controls, token, "bb")
    bench.admin.delete(bench.keys.lease)
    assert isinstance(bench.leases.acquire("cc", TTL_MS, Known()), Won)


def test_the_digest_is_of_the_stored_bytes(bench: Bench, controls: ControlStore) -> None:
    controls.write("s1", "a", "", "é", "changed")
    assert digest_of(bench.admin.hget(bench.keys.controls, "a")) == digest_of("é".encode())
    assert controls.write("s2", "a", "é", "b", "changed") == "ok"
