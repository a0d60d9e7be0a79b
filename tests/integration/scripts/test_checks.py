"""Checks in the scripts that matter only at rare moments, one by one, on real servers."""

from __future__ import annotations

import pytest

from habeat.core.firing import Firing
from habeat.core.lease import Fence
from habeat.ports import Departed, Lost, Rendered, Statuses
from tests.integration.scripts.bench import TTL_MS, Bench, changed
from tests.integration.scripts.test_claim import BOTH, order
from tests.integration.scripts.test_outbox import claimed, left, recover

# -- claim ----------------------------------------------------------------------------------


def test_a_push_that_fails_in_the_other_database_is_no_claim(bench: Bench) -> None:
    """All queues look right and the command itself is refused: an error, not a lost slot."""
    token, placed = bench.lead(), bench.place()
    bench.store.use_databases(3, 0)
    before = bench.everything()
    rendered = Rendered(b"", [("LPUSH", "celery")])  # nothing to push: a wrong number of words
    (word,) = bench.claim(token, bench.claim_of(placed, rendered=rendered))
    assert word.startswith("error ")
    assert bench.everything() == before
    assert bench.claim(token, bench.claim_of(placed)) == ["ok"]
    assert bench.pushed(db=3) == [f"message e {placed.slot_ms}"]
    bench.server.client(3).flushdb()


def test_a_push_that_fails_in_the_other_database_leaves_our_own_selected(bench: Bench) -> None:
    """Or the next firing of the batch would look for its cursor among the queues."""
    token, bad, good = bench.lead(), bench.place("bad"), bench.place("good")
    other = bench.server.client(3)
    bench.store.use_databases(3, 0)
    bench.shorten()
    refused = bench.claim_of(bad, rendered=Rendered(b"", [("LPUSH", "celery")]))
    words = bench.claim(token, refused, bench.claim_of(good))
    assert [word.split()[0] for word in words] == ["error", "ok"]
    assert bench.cursor("good") == good.slot_ms
    assert other.keys("*") == [b"celery"]
    assert bench.pttl() > TTL_MS - 500
    other.flushdb()


def test_an_error_says_what_the_server_said(bench: Bench) -> None:
    """By its words the engine tells an ACL that forbids and a lack of memory from the rest."""
    token, placed = bench.lead(), bench.place()
    rendered = Rendered(b"", [("LPUSH", "celery")])
    (word,) = bench.claim(token, bench.claim_of(placed, rendered=rendered))
    assert "arg" in word
    assert "table: " not in word


def test_only_what_is_pushed_to_must_be_a_queue(bench: Bench) -> None:
    """A fan-out's channel may be called like a key of any type."""
    token, placed = bench.lead(), bench.place()
    bench.admin.set("a channel", "and a key")
    rendered = Rendered(b"", [("PUBLISH", "a channel", "m"), ("LPUSH", "celery", "m")])
    assert bench.claim(token, bench.claim_of(placed, rendered=rendered)) == ["ok"]
    assert bench.pushed() == ["m"]


@BOTH
def test_two_requests_for_one_slot_both_fire(bench: Bench, atomic: bool) -> None:
    """A request is identified by its slot and its id, so it neither blocks nor replaces another."""
    token, placed = bench.lead(), bench.place()
    words = []
    for name in ("r1", "r2"):
        request = order(bench, name)
        firing = Firing("e", placed.slot_ms, placed.slot_ms, request=name, asked="trigger")
        claim = bench.claim_of(placed, firing=firing, digest=request.digest)
        words += bench.claim(token, claim, atomic=atomic)
    words += bench.claim(token, bench.claim_of(placed), atomic=atomic)
    assert words == ["ok", "ok", "ok"]
    if not atomic:
        slot = f"e@{placed.slot_ms}"
        assert sorted(bench.flying()) == [slot, f"{slot}#r1", f"{slot}#r2"]
    assert bench.balanced()


@BOTH
def test_a_request_of_an_older_token_is_a_duplicate(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead("aa"), bench.place()
    request = order(bench, "r1")
    firing = Firing("e", placed.slot_ms, placed.slot_ms, request="r1", asked="trigger")
    claim = bench.claim_of(placed, firing=firing, digest=request.digest)
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]
    bench.leases.release(token, "aa")
    again = bench.lead("aa")
    assert bench.claim(again, claim, atomic=atomic) == ["duplicate"]
    assert len(bench.pushed()) == (1 if atomic else 0)


@BOTH
def test_a_slot_is_claimable_from_its_effective_millisecond_on(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    claim = bench.claim_of(placed, firing=Firing("e", placed.slot_ms, bench.now_ms))
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]


def test_the_count_of_an_entry_counts_each_claim(bench: Bench) -> None:
    """The count that `max_runs` is compared with."""
    token, placed = bench.lead(), bench.place(ago_ms=3_000)
    for n in range(3):
        slot_ms = placed.slot_ms + n * 1_000
        claim = changed(
            bench.claim_of(placed, firing=Firing("e", slot_ms, slot_ms)),
            planned_due_ms=slot_ms,
            cursor_ms=placed.cursor_ms if n == 0 else slot_ms - 1_000,
        )
        assert bench.claim(token, claim) == ["ok"]
        assert bench.state()[4] == str(n + 1)
        assert bench.state()[1] == str(slot_ms + 1_000)


# -- settle, recover ------------------------------------------------------------------------


def test_a_settle_behind_the_end_of_the_slots_key_is_a_settle(bench: Bench) -> None:
    """A broker may be away for longer than the key lives."""
    token = bench.lead()
    placed = claimed(bench, token)
    bench.admin.delete(bench.keys.fired("e", placed.slot_ms))
    assert bench.store.settle(token, [left(placed)]) == 1
    assert bench.flying() == {}
    assert bench.fired(placed) == ""
    assert bench.balanced()


def test_a_settled_slots_key_ends_when_it_would_have(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    key = bench.keys.fired("e", placed.slot_ms)
    bench.admin.pexpire(key, 10_000)
    bench.store.settle(token, [left(placed)])
    assert 5_000 < bench.admin.pttl(key) <= 10_000


def test_recovering_and_marking_move_the_heart(bench: Bench) -> None:
    """A leader that only resends is not stuck."""
    token = bench.lead()
    claimed(bench, token)
    before = int(bench.meta("heartbeat"))
    found = recover(bench, token)
    assert found.heartbeat == int(bench.meta("heartbeat")) == before + 1
    marked = bench.store.mark(Fence(token, TTL_MS), found.intents[0], 3, "", 0)
    assert marked.heartbeat == int(bench.meta("heartbeat")) == before + 2


@BOTH
def test_a_claim_says_how_the_heartbeat_stands(bench: Bench, atomic: bool) -> None:
    """The leader may not count for itself: a request that it gave up may have arrived late."""
    token, placed = bench.lead(), bench.place()
    before = int(bench.meta("heartbeat"))
    reply = bench.store.claim(Fence(token, TTL_MS), [bench.claim_of(placed)], atomic=atomic)
    assert isinstance(reply, Statuses)
    assert reply.heartbeat == int(bench.meta("heartbeat")) == before + 1


def test_the_next_try_is_when_the_first_of_several_trusts_ends(bench: Bench) -> None:
    token = bench.lead()
    now_ms = bench.now_ms
    for number, ends_ms in enumerate((now_ms + 50_000, now_ms + 20_000, now_ms + 80_000)):
        other = f"{number + 1}:old"
        bench.admin.hset(bench.keys.untrusted, other, ends_ms)
        bench.admin.hset(bench.keys.inflight, f"e@{number}", f"{other}\n0\n5\n/\nm")
    found = recover(bench, token)
    assert found.intents == []
    assert found.wait_until_ms == now_ms + 20_000


@pytest.mark.parametrize("identity", ["1700000000000", "1700000000000#r1"])
def test_a_late_settle_names_the_slot(bench: Bench, identity: str) -> None:
    token = bench.lead()
    assert bench.store.settle(token, [Departed("e", identity, 5, 1)]) == 0
    assert bench.ledger() == [("note", "left again", "1700000000000")]


# -- mark -----------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["", "at most once"])
def test_what_is_abandoned_says_how_often_it_was_sent_again(bench: Bench, why: str) -> None:
    token = bench.lead()
    claimed(bench, token)
    (intent,) = recover(bench, token).intents
    for _ in range(2):
        bench.store.mark(Fence(token, TTL_MS), intent, 2, "", 0)
    assert bench.store.mark(Fence(token, TTL_MS), intent, 2, why, 0).buried
    ((_, record),) = bench.admin.xrange(bench.keys.ledger)
    assert record[b"attempt"] == b"2"


# -- drop -----------------------------------------------------------------------------------


def test_who_has_lost_the_lease_puts_no_request_aside(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    request = order(bench, "r1")
    bench.leases.release(token, "aa")
    bench.lead("bb")
    before = bench.everything()
    found = bench.store.drop(Fence(token, TTL_MS), request, "e", placed.slot_ms, "why")
    assert isinstance(found, Lost)
    assert bench.everything() == before


# -- tick -----------------------------------------------------------------------------------


def test_the_ledger_is_trimmed_whatever_else_raises_the_heartbeat(bench: Bench) -> None:
    """Four other beats to each tick, for as long as the load stays as it is."""

    def trims() -> int:
        return int(bench.admin.info("commandstats").get("cmdstat_xtrim", {"calls": 0})["calls"])

    token = bench.lead()
    claim = bench.claim_of(bench.place(ago_ms=500))
    while int(bench.meta("heartbeat")) % 5:
        bench.claim(token, claim)
    before = trims()
    for _ in range(5):
        bench.store.tick(Fence(token, TTL_MS), 10)
        for _ in range(4):
            bench.claim(token, claim)
    assert trims() == before + 3, "the ledger by age and by length, the events by age"
