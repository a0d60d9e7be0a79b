"""claim.lua: each check by itself, on real servers."""

from __future__ import annotations

import pytest

from habeat.core.firing import Firing
from habeat.core.lease import Fence, Token
from habeat.entries.codec import digest_of
from habeat.ports import Departed, Rendered, StoredRequest
from tests.integration.scripts.bench import EVERY_MS, QUEUE, TTL_MS, Bench, changed

BOTH = pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "outbox"])


def test_atomic_a_claim_is_message_record_and_cursor_in_one(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    assert bench.claim(token, bench.claim_of(placed)) == ["ok"]
    assert bench.pushed() == [f"message e {placed.slot_ms}"]
    assert bench.cursor() == placed.slot_ms
    assert bench.due() == placed.slot_ms + EVERY_MS
    assert bench.ledger() == [("sent", "", str(placed.slot_ms))]
    assert bench.fired(placed) == f"{token}|settled"
    assert bench.state()[2] == str(token)
    assert bench.state()[4] == "1"
    assert (bench.meta("claimed"), bench.meta("settled")) == ("1", "1")
    assert bench.flying() == {}


def test_outbox_a_claim_keeps_the_intent_and_sends_nothing(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    assert bench.claim(token, bench.claim_of(placed), atomic=False) == ["ok"]
    assert bench.pushed() == []
    assert bench.ledger() == []
    field = f"e@{placed.slot_ms}"
    assert bench.flying() == {
        field: [
            str(token), "0", str(placed.slot_ms), "/at_least_once", f"message e {placed.slot_ms}"
        ]
    }  # fmt: skip
    assert bench.fired(placed) == f"{token}|inflight"
    assert bench.balanced()


@BOTH
def test_i5_without_the_lease_nothing_is_written(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    before = bench.everything()
    for stranger in (
        Token(token.epoch, "other"),
        Token(token.epoch + 1, token.nonce),
        Token(token.epoch - 1, token.nonce),
    ):
        assert bench.lost(stranger, bench.claim_of(placed), atomic=atomic)
    assert bench.everything() == before


@BOTH
def test_i5_with_an_expired_lease_nothing_is_written(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.delete(bench.keys.lease)
    before = bench.everything()
    assert bench.lost(token, bench.claim_of(placed), atomic=atomic)
    assert bench.everything() == before


@BOTH
def test_i3_who_lost_the_reply_learns_that_the_claim_is_its_own(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    claim = bench.claim_of(placed)
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]
    before = bench.everything()
    word = "mine settled" if atomic else "mine inflight"
    assert bench.claim(token, claim, atomic=atomic) == [word]
    assert bench.everything() == before
    if not atomic:
        bench.store.settle(token, [Departed("e", claim.firing.identity, bench.now_ms, 1)])
        assert bench.claim(token, claim, atomic=False) == ["mine settled"]
        assert len(bench.ledger()) == 1


@BOTH
def test_i3_a_claim_under_an_older_token_of_the_same_process_is_not_mine(
    bench: Bench, atomic: bool
) -> None:
    """Losing and regaining the lease: matched by nonce alone, it would be published again."""
    token, placed = bench.lead(), bench.place()
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["ok"]
    bench.leases.release(token, token.nonce)
    again = bench.lead(token.nonce)
    assert again != token
    assert bench.claim(again, bench.claim_of(placed), atomic=atomic) == ["duplicate"]
    assert len(bench.pushed()) == (1 if atomic else 0)


@BOTH
def test_i3_a_slot_before_the_cursor_is_a_duplicate_also_when_its_key_is_gone(
    bench: Bench, atomic: bool
) -> None:
    token, placed = bench.lead(), bench.place()
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["ok"]
    bench.admin.delete(bench.keys.fired("e", placed.slot_ms))
    before = bench.everything()
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["duplicate"]
    assert bench.everything() == before


@BOTH
@pytest.mark.parametrize("what", ["digest", "due", "cursor", "undue"])
def test_what_changed_since_it_was_planned_is_planned_again(
    bench: Bench, atomic: bool, what: str
) -> None:
    token, placed = bench.lead(), bench.place()
    claim = bench.claim_of(placed)
    if what == "digest":
        claim = changed(claim, digest="0" * 40)
    elif what == "due":
        bench.admin.zadd(bench.keys.due, {"e": placed.slot_ms - 1})
    elif what == "cursor":
        claim = changed(claim, cursor_ms=placed.cursor_ms - 1)
    else:
        bench.admin.zrem(bench.keys.due, "e")
    before = bench.everything()
    assert bench.claim(token, claim, atomic=atomic) == ["replan"]
    assert bench.everything() == before


@BOTH
def test_i6_a_slot_ahead_of_redis_time_is_early(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=-2_000)
    before = bench.everything()
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["early"]
    assert bench.everything() == before


def test_i6_the_effective_time_decides_and_not_the_slot(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    later = Firing("e", placed.slot_ms, placed.slot_ms + 500)
    assert bench.claim(token, bench.claim_of(placed, firing=later)) == ["early"]


@BOTH
@pytest.mark.parametrize("what", ["entry", "state", "garbled"])
def test_what_is_gone_is_gone(bench: Bench, atomic: bool, what: str) -> None:
    token, placed = bench.lead(), bench.place()
    if what == "entry":
        bench.admin.hdel(bench.keys.entries, "e")
    elif what == "state":
        bench.admin.hdel(bench.keys.state, "e")
    else:
        bench.admin.hset(bench.keys.state, "e", "what|is|this")
    before = bench.everything()
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["gone"]
    assert bench.everything() == before


@BOTH
def test_a_slot_whose_key_exists_is_suppressed_and_recorded(bench: Bench, atomic: bool) -> None:
    """The cursor went back (a restored snapshot), the key of the firing did not."""
    token, placed = bench.lead(), bench.place()
    bench.admin.set(bench.keys.fired("e", placed.slot_ms), "1:old|settled", px=60_000)
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["duplicate"]
    assert bench.pushed() == []
    assert bench.flying() == {}
    assert bench.cursor() == placed.slot_ms
    assert bench.ledger() == [("suppressed", "fired before", str(placed.slot_ms))]
    assert bench.state()[4] == "0"


def test_a_queue_of_a_wrong_type_leaves_the_slot_unclaimed(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.set(QUEUE, "not a list")
    before = bench.everything()
    (word,) = bench.claim(token, bench.claim_of(placed))
    assert word.startswith("error ")
    assert "WRONGTYPE" in word
    assert bench.everything() == before
    bench.admin.delete(QUEUE)
    assert bench.claim(token, bench.claim_of(placed)) == ["ok"]


@pytest.mark.parametrize("name", ["entries", "requests", "made-up"])
@pytest.mark.parametrize("command", ["LPUSH", "PUBLISH", "PEXPIRE"])
def test_no_message_is_written_to_a_key_of_our_own(bench: Bench, name: str, command: str) -> None:
    token, placed = bench.lead(), bench.place()
    good = ("LPUSH", QUEUE, "1")
    rendered = Rendered(b"", [good, (command, bench.keys.base + name, "2")])
    before = bench.everything()
    (word,) = bench.claim(token, bench.claim_of(placed, rendered=rendered))
    assert word.startswith("error OWNKEY")
    assert bench.everything() == before
    assert bench.claim(token, bench.claim_of(placed)) == ["ok"]


def test_the_key_of_a_backfill_is_not_that_of_another_entrys_slot(bench: Bench) -> None:
    """Entry `e:<slot>#r` at slot 7000, and a request `r:7000` for the same slot of `e`."""
    token, placed = bench.lead(), bench.place()
    theirs = bench.keys.fired(f"e:{placed.slot_ms}#r", 7_000)
    bench.admin.set(theirs, "1:other|settled", px=60_000)
    raw = b"{}"
    bench.admin.hset(bench.keys.requests, "r:7000", raw)
    claim = bench.claim_of(placed, firing=changed(bench.claim_of(placed).firing, request="r:7000"))
    claim = changed(claim, digest=digest_of(raw))
    assert bench.claim(token, claim) == ["ok"]
    assert bench.admin.exists(f"{bench.keys.base}fired:e:{placed.slot_ms}#r%3A7000")


def test_of_two_queues_neither_is_pushed_to_if_one_is_wrong(bench: Bench) -> None:
    """A group whose second message cannot be pushed must not send its first at every try."""
    token, placed = bench.lead(), bench.place()
    bench.admin.set("wrong", "not a list")
    rendered = Rendered(b"", [("LPUSH", "right", "1"), ("LPUSH", "wrong", "2")])
    (word,) = bench.claim(token, bench.claim_of(placed, rendered=rendered))
    assert "WRONGTYPE" in word
    assert bench.pushed("right") == []


def test_one_bad_firing_does_not_hide_the_others(bench: Bench) -> None:
    token = bench.lead()
    good, bad, early, gone, last = (
        bench.place(name, ago_ms=-5_000 if name == "early" else 0)
        for name in ("good", "bad", "early", "gone", "last")
    )
    bench.admin.set("wrong", "not a list")
    bench.admin.hdel(bench.keys.entries, "gone")
    words = bench.claim(
        token,
        bench.claim_of(good),
        bench.claim_of(bad, queue="wrong"),
        bench.claim_of(early),
        bench.claim_of(gone),
        bench.claim_of(last),
    )
    assert [word.split()[0] for word in words] == ["ok", "error", "early", "gone", "ok"]
    assert len(bench.pushed()) == 2
    assert bench.meta("claimed") == "2"


@pytest.mark.parametrize("key", ["meta", "due", "ledger", "inflight", "lateness", "state"])
@BOTH
def test_a_key_of_ours_with_a_foreign_type_stops_the_claim_before_its_first_write(
    bench: Bench, key: str, atomic: bool
) -> None:
    from habeat.ports import StoreUnavailable

    token, placed = bench.lead(), bench.place()
    bench.admin.delete(getattr(bench.keys, key))
    bench.admin.sadd(getattr(bench.keys, key), "a set")
    with pytest.raises(StoreUnavailable):
        bench.claim(token, bench.claim_of(placed), atomic=atomic)
    assert bench.pushed() == []


def test_a_firings_own_keys_with_a_foreign_type_do_not_send_without_a_claim(bench: Bench) -> None:
    """Lua does not roll back: a push whose claim fails would be pushed again at every try."""
    token, placed = bench.lead(), bench.place()
    bench.admin.set(bench.keys.entry_lateness("e"), "not a hash")
    for _ in range(3):
        bench.claim(token, bench.claim_of(placed))
    assert len(bench.pushed()) <= 1
    assert bench.balanced()


@BOTH
def test_out_of_memory_claims_nothing_and_sends_nothing(bench: Bench, atomic: bool) -> None:
    token, placed, other = bench.lead(), bench.place("e"), bench.place("f")
    before = bench.everything()
    bench.admin.config_set("maxmemory", 1)
    words = bench.claim(token, bench.claim_of(placed), bench.claim_of(other), atomic=atomic)
    assert all("OOM " in word for word in words)
    bench.admin.config_set("maxmemory", 0)
    assert bench.everything() == before
    words = bench.claim(token, bench.claim_of(placed), bench.claim_of(other), atomic=atomic)
    assert words == ["ok", "ok"]


def test_out_of_memory_does_not_keep_a_leader_from_renewing(bench: Bench) -> None:
    token = bench.lead()
    bench.shorten()
    bench.admin.config_set("maxmemory", 1)
    bench.store.tick(Fence(token, TTL_MS), 10)
    assert bench.pttl() > TTL_MS - 500


@BOTH
def test_every_claim_extends_the_lease_and_moves_the_heart(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    bench.shorten()
    beat = int(bench.meta("heartbeat"))
    bench.claim(token, bench.claim_of(placed), atomic=atomic)
    assert bench.pttl() > TTL_MS - 500
    assert int(bench.meta("heartbeat")) > beat


def test_the_broker_in_another_database_gets_the_message_and_nothing_else(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.store.use_databases(3, 0)
    assert bench.claim(token, bench.claim_of(placed)) == ["ok"]
    assert bench.pushed(db=3) == [f"message e {placed.slot_ms}"]
    assert bench.pushed(db=0) == []
    assert bench.server.client(3).dbsize() == 1
    assert bench.cursor() == placed.slot_ms
    bench.server.client(3).flushdb()


def test_a_wrong_queue_in_the_other_database_leaves_our_own_selected(bench: Bench) -> None:
    token, bad, good = bench.lead(), bench.place("bad"), bench.place("good")
    other = bench.server.client(3)
    other.set("wrong", "not a list")
    bench.store.use_databases(3, 0)
    words = bench.claim(token, bench.claim_of(bad, queue="wrong"), bench.claim_of(good))
    assert [word.split()[0] for word in words] == ["error", "ok"]
    assert bench.cursor("good") == good.slot_ms
    assert bench.cursor("bad") == bad.cursor_ms
    assert other.dbsize() == 2
    other.flushdb()


def test_i4_two_slots_of_one_entry_in_one_batch_move_the_cursor_twice(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=EVERY_MS)
    first = bench.claim_of(placed)
    second_ms = placed.slot_ms + EVERY_MS
    second = changed(
        bench.claim_of(placed, firing=Firing("e", second_ms, second_ms)),
        planned_due_ms=second_ms,
        cursor_ms=placed.slot_ms,
    )
    assert bench.claim(token, first, second) == ["ok", "ok"]
    assert bench.cursor() == second_ms
    assert len(bench.pushed()) == 2
    assert bench.pushed()[0].endswith(str(second_ms))  # the newest was pushed last


def test_an_exhausted_entry_leaves_the_due_set(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    assert bench.claim(token, bench.claim_of(placed, next_slot_ms=None, next_due_ms=None)) == ["ok"]
    assert bench.due() is None
    assert bench.state()[1] == ""


@pytest.mark.parametrize(("reason", "outcome"), [("", "sent"), ("latest", "late")])
def test_a_misfire_that_fires_is_called_late(bench: Bench, reason: str, outcome: str) -> None:
    token, placed = bench.lead(), bench.place()
    firing = Firing("e", placed.slot_ms, placed.slot_ms, reason)
    bench.claim(token, bench.claim_of(placed, firing=firing))
    assert bench.ledger()[0][0] == outcome


def test_more_than_a_second_after_its_time_is_late(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=1_500)
    bench.claim(token, bench.claim_of(placed))
    assert bench.ledger()[0][0] == "late"


@BOTH
def test_a_name_may_hold_anything_that_can_be_printed(bench: Bench, atomic: bool) -> None:
    token = bench.lead()
    names = ["a@1", "a:1", "a|b", "ä ö", "a/b", "%s", "a#b", "{x}", "*", "a@b@3"]
    placed = [bench.place(name) for name in names]
    assert set(bench.claim(token, *map(bench.claim_of, placed), atomic=atomic)) == {"ok"}
    for each in placed:
        assert bench.cursor(each.entry.name) == each.slot_ms
    if not atomic:
        bench.hasten()
        found = bench.store.recover(Fence(token, TTL_MS), 100)
        assert sorted(intent.entry for intent in found.intents) == sorted(names)  # type: ignore[union-attr]
        left = [
            Departed(intent.entry, intent.identity, bench.now_ms, 1)
            for intent in found.intents  # type: ignore[union-attr]
        ]
        assert bench.store.settle(token, left) == len(names)
        assert bench.balanced()


def test_a_message_of_any_bytes_comes_back_as_it_was(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    envelope = bytes(range(256)) + b"\n\n" + bytes(range(255, -1, -1))
    claim = bench.claim_of(placed, rendered=Rendered(envelope))
    bench.claim(token, claim, atomic=False)
    bench.hasten()
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert found.intents[0].envelope == envelope  # type: ignore[union-attr]


# -- orders ---------------------------------------------------------------------------------


def order(bench: Bench, request: str, raw: bytes = b"order") -> StoredRequest:
    bench.admin.hset(bench.keys.requests, request, raw)
    (found,) = [r for r in bench.requests() if r.identity == request]
    return found


@BOTH
def test_a_request_is_claimed_once_and_moves_no_cursor(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    request = order(bench, "r1")
    firing = Firing("e", placed.slot_ms - 7, bench.now_ms, request="r1", asked="trigger")
    claim = bench.claim_of(placed, firing=firing, digest=request.digest)
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]
    assert bench.requests() == []
    assert bench.cursor() == placed.cursor_ms
    assert bench.due() == placed.slot_ms
    word = "mine settled" if atomic else "mine inflight"
    assert bench.claim(token, claim, atomic=atomic) == [word]
    assert len(bench.pushed()) == (1 if atomic else 0)
    assert bench.claim(token, bench.claim_of(placed), atomic=atomic) == ["ok"]
    assert bench.balanced()


@BOTH
def test_a_request_steps_by_what_is_left_of_it(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    request = order(bench, "r1", b"two slots")
    firing = Firing("e", placed.slot_ms - 7, bench.now_ms, request="r1", asked="backfill")
    claim = bench.claim_of(placed, firing=firing, digest=request.digest, remains=b"one slot")
    assert bench.claim(token, changed(claim, digest="0" * 40), atomic=atomic) == ["replan"]
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]
    (left,) = bench.requests()
    assert left.raw == b"one slot"


def test_an_unknown_request_is_gone(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    firing = Firing("e", placed.slot_ms, bench.now_ms, request="r9", asked="trigger")
    assert bench.claim(token, bench.claim_of(placed, firing=firing)) == ["gone"]
    assert bench.pushed() == []
