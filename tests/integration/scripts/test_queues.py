"""Fair queues: requests and intents come when they are due, in turns between their entries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from habeat.core.lease import Fence, Token
from habeat.ports import DueRequests, Lost, Recovered, Tick
from tests.integration.scripts.bench import TTL_MS, Bench


def ask(bench: Bench, identity: str, entry: str) -> None:
    if not bench.admin.hexists(bench.keys.entries, entry):
        bench.place(entry)
    assert bench.caller.run("request", identity, b"order", 60_000, entry)[0] == b"ok"


def ask_many(bench: Bench, entry: str, count: int) -> None:
    for n in range(count):
        ask(bench, f"{entry}{n}", entry)


def asked(bench: Bench, token: Token, limit: int = 10) -> list[str]:
    found = bench.store.asked(Fence(token, TTL_MS), limit)
    assert isinstance(found, DueRequests)
    return [request.identity for request in found.requests]


def keep(bench: Bench, token: Token, *fields: str, due_ms: float | None = 0) -> None:
    for field in fields:
        bench.admin.hset(bench.keys.inflight, field, f"{token}\n0\n5\n/at_least_once\nm")
        if due_ms is not None:
            bench.admin.zadd(bench.keys.inflight_due, {field: due_ms})


def recovered(bench: Bench, token: Token, limit: int = 10) -> list[str]:
    found = bench.store.recover(Fence(token, TTL_MS), limit)
    assert isinstance(found, Recovered)
    return [intent.field for intent in found.intents]


def looked(bench: Bench, token: Token) -> Tick:
    found = bench.store.tick(Fence(token, TTL_MS), 10)
    assert isinstance(found, Tick)
    return found


def looks(bench: Bench, index: str) -> dict[bytes, float]:
    return dict(bench.admin.zrange(index, 0, -1, withscores=True))


def test_requests_of_one_entry_do_not_hide_those_of_another(bench: Bench) -> None:
    token = bench.lead()
    ask_many(bench, "bad", 30)
    ask(bench, "good", "good")
    found = asked(bench, token)
    assert len(found) == 10
    assert "good" in found[:2]


def test_who_waits_longest_comes_first(bench: Bench) -> None:
    token = bench.lead()
    for n, entry in enumerate(["c", "a", "b"]):
        ask(bench, entry, entry)
        bench.admin.zadd(bench.keys.requests_due, {entry: 1_000 + n})
    assert asked(bench, token) == ["c", "a", "b"]


def test_more_than_one_call_reads_hold_up_no_other(bench: Bench, small_pages: None) -> None:
    token = bench.lead()
    ask_many(bench, "bad", 25)
    ask(bench, "good", "good")
    bench.admin.zadd(bench.keys.requests_due, {f"bad{n}": n for n in range(25)})
    turns: list[Sequence[str]] = [asked(bench, token, 4) for _ in range(3)]
    assert "good" in turns[2]
    assert len(looks(bench, bench.keys.requests_due)) == 26


def test_a_request_is_not_looked_at_before_its_time(bench: Bench) -> None:
    token = bench.lead()
    ask(bench, "r1", "a")
    later_ms = bench.now_ms + 60_000
    bench.store.put_off(Fence(token, TTL_MS), "requests", ["r1", "ghost"], later_ms)
    assert looks(bench, bench.keys.requests_due) == {b"r1": later_ms}
    assert asked(bench, token) == []
    assert looked(bench, token).request_ms == later_ms


def test_what_was_dropped_or_done_leaves_the_index(bench: Bench) -> None:
    token = bench.lead()
    ask(bench, "r1", "a")
    (request,) = bench.requests()
    bench.store.drop(Fence(token, TTL_MS), request, "a", 5, "why")
    assert looks(bench, bench.keys.requests_due) == {}
    assert looked(bench, token).request_ms is None


def test_a_request_of_an_older_release_is_found(bench: Bench) -> None:
    """It did not write to the index."""
    token = bench.lead()
    bench.admin.hset(bench.keys.requests, "old", b"order")
    assert looked(bench, token).request_ms is not None
    assert asked(bench, token) == ["old"]


def test_a_place_without_its_request_is_dropped(bench: Bench) -> None:
    token = bench.lead()
    bench.admin.zadd(bench.keys.requests_due, {"ghost": 5})
    assert asked(bench, token) == []
    assert looks(bench, bench.keys.requests_due) == {}


@pytest.mark.parametrize("score", ["inf", "1e15"])
def test_a_place_at_an_impossible_moment_is_mended(bench: Bench, score: str) -> None:
    token = bench.lead()
    ask(bench, "r1", "a")
    bench.admin.zadd(bench.keys.requests_due, {"r1": float(score), "ghost": 5})
    looked(bench, token)
    assert "r1" in asked(bench, token)


def test_an_index_of_a_foreign_type_is_made_again(bench: Bench) -> None:
    token = bench.lead()
    ask(bench, "r1", "a")
    keep(bench, token, "a@1")
    for index in (bench.keys.requests_due, bench.keys.inflight_due):
        bench.admin.delete(index)
        bench.admin.set(index, "a text")
    looked(bench, token)
    assert asked(bench, token) == ["r1"]
    assert recovered(bench, token) == ["a@1"]


def test_when_the_clock_goes_back_nothing_waits_for_the_old_one(bench: Bench) -> None:
    token = bench.lead()
    ask(bench, "r1", "a")
    keep(bench, token, "a@1")
    ahead_ms = bench.now_ms + 3_600_000
    bench.admin.zadd(bench.keys.requests_due, {"r1": ahead_ms})
    bench.admin.zadd(bench.keys.inflight_due, {"a@1": ahead_ms})
    bench.admin.hset(bench.keys.meta, "clock", ahead_ms)
    looked(bench, token)
    assert asked(bench, token) == ["r1"]
    assert recovered(bench, token) == ["a@1"]


def test_intents_of_one_entry_do_not_hide_those_of_another(bench: Bench) -> None:
    token = bench.lead()
    keep(bench, token, *(f"bad@{n}" for n in range(30)), "good@1")
    found = recovered(bench, token)
    assert len(found) == 10
    assert "good@1" in found[:2]


def test_an_intent_waits_for_its_pause(bench: Bench) -> None:
    token = bench.lead()
    keep(bench, token, "a@1")
    (intent,) = bench.store.recover(Fence(token, TTL_MS), 10).intents  # type: ignore[union-attr]
    now_ms = bench.now_ms
    bench.store.mark(Fence(token, TTL_MS), intent, 5, "", 4_000)
    assert recovered(bench, token) == []
    resend_ms = looked(bench, token).resend_ms
    assert resend_ms is not None
    assert 4_000 <= resend_ms - now_ms <= 5_000


def test_an_intent_without_a_place_in_the_index_is_found(bench: Bench) -> None:
    token = bench.lead()
    keep(bench, token, "old@1", due_ms=None)
    assert looked(bench, token).resend_ms is not None
    assert recovered(bench, token) == ["old@1"]


@pytest.mark.parametrize("queue", ["requests", "inflight"])
def test_only_the_leader_looks_and_puts_off(bench: Bench, queue: str) -> None:
    token = bench.lead()
    ask(bench, "r1", "a")
    before = bench.everything()
    stranger = Token.parse("7:bb")
    assert isinstance(bench.store.asked(Fence(stranger, TTL_MS), 5), Lost)
    assert isinstance(bench.store.put_off(Fence(stranger, TTL_MS), queue, ["r1"], 5), Lost)  # type: ignore[arg-type]
    assert bench.everything() == before
    assert asked(bench, token) == ["r1"]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("habeat.store.dispatch.DUE", 10)
