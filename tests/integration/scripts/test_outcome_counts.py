"""Counters of outcomes: every slot that was not sent on time, per entry and overall."""

from __future__ import annotations

from habeat.core.firing import Firing
from habeat.core.lease import Fence
from habeat.ports import Departed, StoredRequest
from habeat.ports.entries import Removal
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.integration.scripts.test_claim import BOTH


def counted(bench: Bench, name: str = "") -> dict[bytes, bytes]:
    key = bench.keys.entry_outcomes(name) if name else bench.keys.outcomes
    return dict(bench.admin.hgetall(key))


@BOTH
def test_what_is_sent_on_time_is_counted_by_its_lateness_only(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["ok"]
    if not atomic:
        bench.store.settle(token, [Departed("e", str(placed.slot_ms), placed.slot_ms, 1)])
    assert (counted(bench, "e"), counted(bench)) == ({}, {})


def test_what_is_late_is_counted_for_its_entry_and_overall(bench: Bench) -> None:
    token = bench.lead()
    for name in ("e", "f"):
        placed = bench.place(name)
        assert bench.claim(token, bench.claim_of(placed), atomic=False) == ["ok"]
        bench.store.settle(token, [Departed(name, str(placed.slot_ms), placed.slot_ms + 1_001, 1)])
    assert counted(bench, "e") == counted(bench, "f") == {b"late": b"1"}
    assert counted(bench) == {b"late": b"2"}


def test_a_run_of_slots_counts_each_of_them(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.store.skip(Fence(token, TTL_MS), [bench.skip_of(placed, count=7)])
    assert counted(bench, "e") == counted(bench) == {b"missed": b"7"}


def test_a_request_is_no_slot(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.hset(bench.keys.requests, "r1", b"order")
    (request,) = bench.requests()
    assert isinstance(request, StoredRequest)
    firing = Firing("e", placed.slot_ms, placed.slot_ms, request="r1", asked="trigger")
    claim = bench.claim_of(placed, firing=firing, digest=request.digest)
    assert bench.claim(token, claim, atomic=False) == ["ok"]
    bench.store.settle(token, [Departed("e", firing.identity, placed.slot_ms + 9_000, 1)])
    assert [what for what, *_ in bench.ledger()] == ["late"]
    assert (counted(bench, "e"), counted(bench)) == ({}, {})


def test_the_counters_of_a_removed_entry_go_and_do_not_come_back(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.claim(token, bench.claim_of(placed), atomic=False)
    bench.entries.remove([Removal("e", placed.digest, None, None, "removed")])
    bench.store.settle(token, [Departed("e", str(placed.slot_ms), placed.slot_ms + 1_001, 1)])
    assert not bench.admin.exists(bench.keys.entry_outcomes("e"))
    assert counted(bench) == {b"late": b"1"}


def test_a_damaged_counter_prevents_nothing(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.set(bench.keys.outcomes, "x")
    bench.admin.hset(bench.keys.entry_outcomes("e"), "missed", "x")
    found = bench.store.skip(Fence(token, TTL_MS), [bench.skip_of(placed)])
    assert list(found.words) == ["ok"]  # type: ignore[union-attr]
    assert [what for what, *_ in bench.ledger()] == ["missed"]
