"""settle, recover, mark: what becomes of an intent, on real servers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from habeat.core.firing import Outcome
from habeat.core.lease import Fence, Observation, Token
from habeat.ports import Departed, Intent, Known, Lost, Recovered, Rendered, Statuses, Won
from habeat.store.pages import DUE
from tests.integration.scripts.bench import TTL_MS, Bench, Placed

CAP = 3


def claimed(bench: Bench, token: Token, name: str = "e", **other: Any) -> Placed:
    placed = bench.place(name)
    claim = bench.claim_of(placed, rendered=Rendered(b"m " + name.encode()), **other)
    assert bench.claim(token, claim, atomic=False) == ["ok"]
    return placed


def left(placed: Placed, after_ms: int = 5, attempt: int = 1) -> Departed:
    return Departed(placed.entry.name, str(placed.slot_ms), placed.slot_ms + after_ms, attempt)


def recover(bench: Bench, token: Token, limit: int = 100) -> Recovered:
    bench.hasten()
    found = bench.store.recover(Fence(token, TTL_MS), limit)
    assert isinstance(found, Recovered)
    return found


def intent_of(bench: Bench, token: Token) -> Intent:
    (found,) = recover(bench, token).intents
    return found


def next_leader(bench: Bench, token: Token, nonce: str = "bb") -> Token:
    bench.leases.release(token, token.nonce)
    return bench.lead(nonce)


# -- settle ---------------------------------------------------------------------------------


def test_a_settled_intent_is_recorded_and_counted_once(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    assert bench.store.settle(token, [left(placed)]) == 1
    assert bench.flying() == {}
    assert bench.ledger() == [("sent", "", str(placed.slot_ms))]
    assert bench.fired(placed) == f"{token}|settled"
    before = bench.everything()
    assert bench.store.settle(token, [left(placed)]) == 0  # the reply was lost
    assert bench.everything() == before
    assert bench.balanced()


def test_a_settle_needs_no_lease_for_a_publish_is_a_fact(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    next_leader(bench, token)
    assert bench.store.settle(token, [left(placed)]) == 1
    assert bench.balanced()


def test_a_settle_does_not_touch_the_lease(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    bench.shorten()
    bench.store.settle(token, [left(placed)])
    assert bench.pttl() <= 500


def test_a_late_settle_behind_the_heirs_leaves_a_note(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    heir = next_leader(bench, token)
    recover(bench, heir)
    assert bench.store.settle(heir, [left(placed, attempt=1)]) == 1
    assert bench.store.settle(token, [left(placed)]) == 0
    assert [what for what, *_ in bench.ledger()] == ["sent", "note"]
    assert bench.balanced()


def test_a_late_settle_of_a_buried_intent_leaves_a_note(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    heir = next_leader(bench, token)
    bench.store.mark(Fence(heir, TTL_MS), intent_of(bench, heir), CAP, "at most once", 0)
    assert bench.store.settle(token, [left(placed)]) == 0
    assert [what for what, *_ in bench.ledger()] == ["ambiguous", "note"]
    assert bench.balanced()


DECLINED = {"outcome": Outcome.SKIPPED, "reason": "declined: AlreadyQueued"}
FAILED = {"outcome": Outcome.FAILED, "reason": "not sent: TypeError: key"}


@pytest.mark.parametrize("unsent", [DECLINED, FAILED])
def test_what_a_tasks_own_code_did_not_send_is_recorded_once_and_not_kept(
    bench: Bench, unsent: dict[str, Any]
) -> None:
    token = bench.lead()
    placed = claimed(bench, token, delivery="at_most_once")
    departed = replace(left(placed, attempt=0), **unsent)
    assert bench.store.settle(token, [departed]) == 1
    record = (str(unsent["outcome"]), unsent["reason"], str(placed.slot_ms))
    assert bench.ledger() == [record]
    assert (bench.flying(), bench.fired(placed)) == ({}, f"{token}|settled")
    assert not bench.admin.exists(bench.keys.dead)
    assert not bench.admin.exists(f"{bench.keys.base}lateness:e")
    assert bench.balanced()
    before = bench.everything()
    assert bench.store.settle(token, [departed]) == 0  # the reply was lost
    heir = next_leader(bench, token)
    assert bench.store.settle(heir, [departed]) == 0
    assert bench.ledger() == [record], "no message went out, so there is nothing to note"
    assert bench.everything().keys() == before.keys()


def test_a_settle_of_several_counts_each(bench: Bench) -> None:
    token = bench.lead()
    placed = [claimed(bench, token, f"e{n}") for n in range(5)]
    assert bench.store.settle(token, [left(each) for each in placed]) == 5
    assert bench.meta("settled") == "5"
    assert bench.balanced()


def test_a_settle_does_not_bring_back_a_removed_entrys_histogram(bench: Bench) -> None:
    """A deleted entry leaves an orphan forever."""
    from habeat.ports.entries import Removal

    token = bench.lead()
    placed = claimed(bench, token)
    bench.entries.remove([Removal("e", placed.digest, None, None, "removed")])
    assert bench.store.settle(token, [left(placed)]) == 1
    assert not bench.admin.exists(bench.keys.entry_lateness("e"))


# -- recover --------------------------------------------------------------------------------


def test_an_heir_restamps_and_never_counts(bench: Bench) -> None:
    token = bench.lead()
    claimed(bench, token)
    for n in range(5):
        token = next_leader(bench, token, f"n{n}")
        intent = intent_of(bench, token)
        assert intent.attempts == 0
        assert intent.envelope == b"m e"
        assert bench.flying()[intent.field][0] == str(token)


def test_a_live_leader_recovers_its_own_stale_intents(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    assert [i.identity for i in recover(bench, token).intents] == [str(placed.slot_ms)]


def test_recover_is_fenced(bench: Bench) -> None:
    token = bench.lead()
    claimed(bench, token)
    next_leader(bench, token)
    before = bench.everything()
    assert isinstance(bench.store.recover(Fence(token, TTL_MS), 10), Lost)
    assert bench.everything() == before


def steal(bench: Bench, nonce: str) -> Token:
    seen: Observation = bench.leases.observe().seen
    won = bench.leases.steal(nonce, TTL_MS, Known(), "stuck", seen)
    assert isinstance(won, Won)
    return won.token


def test_the_intents_of_a_leader_that_may_live_wait_until_its_trust_is_over(
    bench: Bench,
) -> None:
    token = bench.lead()
    claimed(bench, token)
    thief = steal(bench, "bb")
    found = recover(bench, thief)
    assert found.intents == []
    assert found.wait_until_ms is not None
    assert 0 < found.wait_until_ms - bench.now_ms <= TTL_MS
    assert next(iter(bench.flying().values()))[0] == str(token)
    mine = claimed(bench, thief, "mine")
    assert [i.entry for i in recover(bench, thief).intents] == [mine.entry.name]
    bench.admin.hset(bench.keys.untrusted, str(token), bench.now_ms - 1)
    assert sorted(i.entry for i in recover(bench, thief).intents) == ["e", "mine"]
    assert not bench.admin.exists(bench.keys.untrusted)


def test_two_steals_in_a_row_keep_both_distrusts(bench: Bench) -> None:
    first = bench.lead("aa")
    claimed(bench, first, "a")
    second = steal(bench, "bb")
    claimed(bench, second, "b")
    third = steal(bench, "cc")
    assert recover(bench, third).intents == []
    bench.admin.hset(bench.keys.untrusted, str(first), bench.now_ms - 1)
    found = recover(bench, third)
    assert [i.entry for i in found.intents] == ["a"]
    assert found.wait_until_ms is not None


def test_a_released_lease_has_no_such_wait(bench: Bench) -> None:
    token = bench.lead()
    claimed(bench, token)
    heir = next_leader(bench, token)
    assert len(recover(bench, heir).intents) == 1


def test_many_intents_come_in_batches_and_none_twice(bench: Bench) -> None:
    token = bench.lead()
    for n in range(DUE):
        bench.admin.hset(bench.keys.inflight, f"e@{n}", f"{token}\n0\n5\n/\n" + "m" * 100)
    found = [i.field for i in recover(bench, token, 1_000).intents]
    assert len(found) == len(set(found)) == DUE
    assert len(recover(bench, token, 100).intents) == 100


def test_i10_an_intent_that_cannot_be_read_is_buried_and_hides_no_other(bench: Bench) -> None:
    """One garbled record must not keep the leader from dispatching forever."""
    token = bench.lead()
    claimed(bench, token)
    bench.admin.hset(bench.keys.inflight, "x@12", "garbage")
    bench.admin.hset(bench.keys.inflight, "no slot", b"\xff\xfe")
    bench.admin.hincrby(bench.keys.meta, "claimed", 2)
    assert [i.entry for i in recover(bench, token).intents] == ["e"]
    assert sorted(bench.admin.hkeys(bench.keys.dead)) == [b"no slot", b"x@12"]
    assert {what for what, *_ in bench.ledger()} == {"failed"}
    assert bench.balanced()


# -- mark -----------------------------------------------------------------------------------


def test_i9_mark_counts_and_buries_at_the_cap(bench: Bench) -> None:
    token = bench.lead()
    claimed(bench, token)
    intent = intent_of(bench, token)
    marks = [bench.store.mark(Fence(token, TTL_MS), intent, CAP, "", 0) for _ in range(CAP + 1)]
    assert [(mark.attempt, mark.buried) for mark in marks] == [
        *((attempt, False) for attempt in range(1, CAP + 1)),
        (0, True),
    ]
    assert bench.flying() == {}
    assert bench.admin.hkeys(bench.keys.dead) == [intent.field.encode()]
    assert bench.ledger() == [("failed", "attempts used up", intent.identity)]
    assert bench.meta("abandoned") == "1"
    assert bench.balanced()


def test_what_may_not_be_repeated_is_buried_as_ambiguous(bench: Bench) -> None:
    token = bench.lead()
    claimed(bench, token, delivery="at_most_once")
    intent = intent_of(bench, token)
    assert intent.delivery == "at_most_once"
    assert bench.store.mark(Fence(token, TTL_MS), intent, CAP, "at most once", 0).buried
    assert bench.ledger() == [("ambiguous", "at most once", intent.identity)]
    assert bench.balanced()


def test_a_replayed_burial_changes_nothing(bench: Bench) -> None:
    token = bench.lead()
    claimed(bench, token)
    intent = intent_of(bench, token)
    bench.store.mark(Fence(token, TTL_MS), intent, CAP, "at most once", 0)
    before = bench.everything()
    again = bench.store.mark(Fence(token, TTL_MS), intent, CAP, "at most once", 0)
    assert (again.attempt, again.buried) == (0, False)
    assert bench.everything() == before


def test_mark_is_fenced_and_leaves_other_tokens_intents_alone(bench: Bench) -> None:
    token = bench.lead()
    claimed(bench, token)
    intent = intent_of(bench, token)
    heir = next_leader(bench, token)
    before = bench.everything()
    assert isinstance(bench.store.mark(Fence(token, TTL_MS), intent, CAP, "", 0), Lost)
    assert (
        bench.store.mark(Fence(heir, TTL_MS), intent, CAP, "", 0).attempt == 0
    )  # not recovered yet
    assert bench.everything() == before


def test_a_settled_intent_is_gone_and_not_buried(bench: Bench) -> None:
    token = bench.lead()
    placed = claimed(bench, token)
    intent = intent_of(bench, token)
    bench.store.settle(token, [left(placed)])
    assert bench.store.mark(Fence(token, TTL_MS), intent, CAP, "", 0).attempt == 0
    assert not bench.admin.exists(bench.keys.dead)


# -- waiting for Redis replicas --------------------------------------------------------------


def test_waiting_for_redis_replicas_uses_up_no_attempts(bench: Bench) -> None:
    """The replicas of Redis are away for a while: what is in flight must not be buried."""
    from habeat.ports import StoreUnavailable
    from habeat.store.dispatch import RedisDispatchStore

    token = bench.lead()
    claimed(bench, token)
    store = RedisDispatchStore(
        bench.caller,
        dedup_ttl_ms=60_000,
        ledger_age_ms=1_000,
        ledger_length=10,
        wait_redis_replicas=1,
    )
    with pytest.raises(StoreUnavailable):
        store.recover(Fence(token, TTL_MS), 10)
    (record,) = bench.flying().values()
    assert record[1] == "0"


# -- orders ---------------------------------------------------------------------------------


def test_a_request_that_cannot_be_carried_out_is_put_aside_once(bench: Bench) -> None:
    from habeat.ports import StoredRequest

    token, placed = bench.lead(), bench.place()
    reply = bench.caller.run("request", "r1", b"order", 60_000, "e")
    assert reply[0] == b"ok"
    assert bench.caller.run("request", "r1", b"order", 60_000, "e")[0] == b"known"
    assert bench.caller.run("request", "r2", b"order", 60_000, "nobody")[0] == b"gone"
    (request,) = bench.requests()
    stale = StoredRequest("r1", "0" * 40, b"")
    found = bench.store.drop(Fence(token, TTL_MS), stale, "e", placed.slot_ms, "why")
    assert isinstance(found, Statuses)
    assert found.words == ["replan"]
    assert len(bench.requests()) == 1
    bench.store.drop(Fence(token, TTL_MS), request, "e", placed.slot_ms, "why")
    assert bench.requests() == []
    assert bench.ledger() == [("failed", "why", str(placed.slot_ms))]


def test_a_settle_of_what_was_garbled_meanwhile_is_a_settle(bench: Bench) -> None:
    """An error here would repeat at every tick, and nothing else would be done."""
    token = bench.lead()
    placed, other = claimed(bench, token), claimed(bench, token, "other")
    bench.admin.hset(bench.keys.inflight, f"e@{placed.slot_ms}", "garbage")
    assert bench.store.settle(token, [left(placed), left(other)]) == 2
    assert bench.balanced()
