"""Every fenced script refuses a caller that knows more than Redis, and writes nothing then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from habeat.core.circuit import Circuit
from habeat.core.lease import Fence
from habeat.entries.codec import digest_of
from habeat.ports import Behind, Intent, Lost, StoredRequest
from habeat.ports.entries import Removal, Write
from tests.integration.scripts.bench import TTL_MS, Bench, Placed

Call = Callable[[Bench, Fence, Placed], Any]


def _prune(bench: Bench, fence: Fence, _: Placed) -> Any:
    bench.admin.hset(bench.keys.configs, "old", "1|0|5")  # which would be forgotten
    return bench.entries.orphans(fence, 1_000, 10)


def _intent(bench: Bench, placed: Placed) -> Intent:
    field = f"{placed.entry.name}@{placed.slot_ms}"
    token = bench.leases.observe().seen.holder
    bench.admin.hset(bench.keys.inflight, field, f"{token}\n0\n5\n/at_least_once\nm")
    return Intent(placed.entry.name, str(placed.slot_ms), 0, 5, "at_least_once", b"m")


def _mark(bench: Bench, fence: Fence, placed: Placed) -> Any:
    return bench.store.mark(fence, _intent(bench, placed), 5, "", 0)


def _recover(bench: Bench, fence: Fence, placed: Placed) -> Any:
    bench.admin.hset(bench.keys.inflight, "garbled@5", "garbage")  # which would be buried
    bench.admin.zadd(bench.keys.inflight_due, {"garbled@5": 0})
    return bench.store.recover(fence, 10)


def _asked(bench: Bench, fence: Fence, _: Placed) -> Any:
    bench.admin.zadd(bench.keys.requests_due, {"ghost": 0})  # which would be removed
    return bench.store.asked(fence, 10)


def _put_off(bench: Bench, fence: Fence, _: Placed) -> Any:
    bench.admin.zadd(bench.keys.requests_due, {"r": 1})
    return bench.store.put_off(fence, "requests", ["r"], 5)


def _drop(bench: Bench, fence: Fence, placed: Placed) -> Any:
    bench.admin.hset(bench.keys.requests, "r", b"raw")
    request = StoredRequest("r", digest_of(b"raw"), b"raw")
    return bench.store.drop(fence, request, "e", 5, "why")


def _write(bench: Bench, fence: Fence, placed: Placed) -> Any:
    return bench.entries.write([Write("e", placed.digest, b"another")], fence)


def _remove(bench: Bench, fence: Fence, placed: Placed) -> Any:
    return bench.entries.remove([Removal("e", placed.digest, None, None, "gone")], fence)


CALLS: dict[str, Call] = {
    "tick": lambda bench, fence, _: bench.store.tick(fence, 10),
    "claim": lambda bench, fence, placed: bench.store.claim(
        fence, [bench.claim_of(placed)], atomic=True
    ),
    "claim for the outbox": lambda bench, fence, placed: bench.store.claim(
        fence, [bench.claim_of(placed)], atomic=False
    ),
    "claim read later": lambda bench, fence, placed: bench.store.send_claim(
        fence, [bench.claim_of(placed)], atomic=True
    ).result(),
    "skip": lambda bench, fence, placed: bench.store.skip(fence, [bench.skip_of(placed)]),
    "defer": lambda bench, fence, placed: bench.store.defer(fence, bench.due_of(placed), None),
    "quarantine": lambda bench, fence, placed: bench.store.quarantine(
        fence, bench.due_of(placed), "why"
    ),
    "asked": _asked,
    "put off": _put_off,
    "circuits": lambda bench, fence, placed: bench.store.keep_circuits(
        fence, [("e", placed.digest, Circuit.opened(5, "why", 5))]
    ),
    "mark": _mark,
    "recover": _recover,
    "drop": _drop,
    "prune": _prune,
    "write": _write,
    "remove": _remove,
}


@pytest.mark.parametrize("name", CALLS)
def test_who_knows_more_than_redis_is_refused_and_nothing_is_written(
    bench: Bench, name: str
) -> None:
    token, placed = bench.lead("aa"), bench.place(ago_ms=100)
    heartbeat = bench.leases.observe().known.heartbeat
    bench.shorten(1_000)
    CALLS[name](bench, Fence(token, TTL_MS, heartbeat + 1), placed)  # prepares what it acts on
    before = bench.everything()
    reply = CALLS[name](bench, Fence(token, TTL_MS, heartbeat + 1), placed)
    assert isinstance(reply, Behind)
    assert reply.heartbeat == heartbeat
    assert abs(reply.now_us // 1_000 - bench.now_ms) < 5_000
    assert bench.everything() == before
    assert bench.pttl() <= 1_000, "nor is the lease extended"
    assert bench.leases.observe().known.heartbeat == heartbeat
    reply = CALLS[name](bench, Fence(token, TTL_MS, heartbeat), placed)
    assert not isinstance(reply, Behind | Lost), "what is known is what there is"
    assert bench.everything() != before or name == "tick"


@pytest.mark.parametrize("name", CALLS)
def test_who_does_not_hold_the_lease_learns_that_first(bench: Bench, name: str) -> None:
    token, placed = bench.lead("aa"), bench.place(ago_ms=100)
    stranger = Fence(type(token)(token.epoch, "zz"), TTL_MS, 10**6)
    assert CALLS[name](bench, stranger, placed) == Lost(str(token))
