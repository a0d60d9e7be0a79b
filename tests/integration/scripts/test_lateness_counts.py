"""The histograms of lateness: each slot of the schedule once, per entry and overall."""

from __future__ import annotations

from habeat.core.firing import Firing
from habeat.core.lease import Token
from habeat.ports import Claim, Departed, StoredRequest
from habeat.ports.entries import Removal
from tests.integration.scripts.bench import EVERY_MS, Bench, Placed
from tests.integration.scripts.test_claim import BOTH


def counted(bench: Bench, name: str = "") -> int:
    """How many firings a histogram holds."""
    key = bench.keys.entry_lateness(name) if name else bench.keys.lateness
    found = bench.admin.hgetall(key)
    return sum(int(count) for bucket, count in found.items() if bucket != b"max")


def largest(bench: Bench, name: str = "") -> int:
    key = bench.keys.entry_lateness(name) if name else bench.keys.lateness
    return int(bench.admin.hget(key, "max"))


def send(bench: Bench, token: Token, placed: Placed, claim: Claim, *, atomic: bool) -> None:
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]
    if not atomic:
        left = Departed(placed.entry.name, claim.firing.identity, placed.slot_ms + 40, 1)
        assert bench.store.settle(token, [left]) == 1


@BOTH
def test_each_sent_slot_counts_once_for_its_entry_and_once_overall(
    bench: Bench, atomic: bool
) -> None:
    token = bench.lead()
    for name in ("e", "f"):
        placed = bench.place(name)
        send(bench, token, placed, bench.claim_of(placed), atomic=atomic)
    assert (counted(bench, "e"), counted(bench, "f"), counted(bench)) == (1, 1, 2)


def test_slots_of_one_batch_that_are_equally_late_all_count(bench: Bench) -> None:
    """The script adds equal ones up before it writes them."""
    token = bench.lead()
    placed = [bench.place(f"e{n}", ago_ms=5 * EVERY_MS) for n in range(20)]
    words = bench.claim(token, *(bench.claim_of(each) for each in placed))
    assert words == ["ok"] * 20
    assert counted(bench) == 20


@BOTH
def test_how_late_is_counted_from_the_effective_time(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=3_000)
    effective_ms = placed.slot_ms + 2_500
    firing = Firing("e", placed.slot_ms, effective_ms)
    claim = bench.claim_of(placed, firing=firing)
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]
    if not atomic:
        bench.store.settle(token, [Departed("e", firing.identity, effective_ms + 700, 1)])
        assert largest(bench, "e") == largest(bench) == 700
    assert 500 <= largest(bench, "e") < 2_500
    assert largest(bench) == largest(bench, "e")
    assert [what for what, *_ in bench.ledger()] == ["sent"]


def test_the_latest_of_a_wide_bucket_is_the_maximum(bench: Bench) -> None:
    """From 256 ms on a bucket holds more than one lateness; 1,000 to 1,003 is one."""
    token = bench.lead()
    for name, late_ms in (("a", 1_001), ("b", 1_003), ("c", 1_000), ("d", 1_002)):
        placed = bench.place(name)
        assert bench.claim(token, bench.claim_of(placed), atomic=False) == ["ok"]
        left = Departed(name, str(placed.slot_ms), placed.slot_ms + late_ms, 1)
        assert bench.store.settle(token, [left]) == 1
    assert bench.admin.hgetall(bench.keys.lateness) == {b"1000": b"4", b"max": b"1003"}


def test_a_message_that_left_before_its_time_by_another_clock_is_not_late(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.claim(token, bench.claim_of(placed), atomic=False)
    bench.store.settle(token, [Departed("e", str(placed.slot_ms), placed.slot_ms - 900, 1)])
    assert largest(bench) == largest(bench, "e") == 0
    ((_, record),) = bench.admin.xrange(bench.keys.ledger)
    assert record[b"late"] == b"0"


@BOTH
def test_a_request_has_no_lateness(bench: Bench, atomic: bool) -> None:
    """Its slot may be from last week."""
    token, placed = bench.lead(), bench.place()
    bench.admin.hset(bench.keys.requests, "r1", b"order")
    (request,) = bench.requests()
    assert isinstance(request, StoredRequest)
    firing = Firing("e", placed.slot_ms - 7, placed.slot_ms, request="r1", asked="trigger")
    claim = bench.claim_of(placed, firing=firing, digest=request.digest)
    send(bench, token, placed, claim, atomic=atomic)
    assert (counted(bench, "e"), counted(bench)) == (0, 0)
    assert [what for what, *_ in bench.ledger()] == ["sent"]


def test_a_message_of_a_removed_entry_counts_overall_only(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.claim(token, bench.claim_of(placed), atomic=False)
    bench.entries.remove([Removal("e", placed.digest, None, None, "removed")])
    bench.store.settle(token, [Departed("e", str(placed.slot_ms), placed.slot_ms, 1)])
    assert (counted(bench, "e"), counted(bench)) == (0, 1)
