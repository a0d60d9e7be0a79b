"""A definition above the size limit: recognised by its size, never hashed, and quarantined."""

from __future__ import annotations

import pytest

from habeat.client import Client
from habeat.core.lease import Fence
from habeat.core.limits import DEFAULT_LIMITS
from habeat.errors import ValidationError
from habeat.ports import Statuses, Tick
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.integration.scripts.crowd import Counting
from tests.support.servers.redis_server import Server

MOST = DEFAULT_LIMITS.stored_bytes


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey)


def found(bench: Bench, fence: Fence) -> dict[str, str]:
    """The digests of what is due."""
    tick = bench.store.tick(fence, 10)
    assert isinstance(tick, Tick)
    return {item.name: item.digest for item in tick.due}


def grow(bench: Bench, name: str, size: int) -> None:
    """Valid JSON of that size, as a person may write it by hand."""
    raw = bench.admin.hget(bench.keys.entries, name)
    assert raw is not None
    bench.admin.hset(bench.keys.entries, name, raw + b" " * (size - len(raw)))


def test_a_large_definition_is_recognised_by_its_size(bench: Bench) -> None:
    fence = Fence(bench.lead(), TTL_MS)
    placed = [bench.place(name, ago_ms=5) for name in ("fine", "most", "large")]
    grow(bench, "most", MOST)
    grow(bench, "large", MOST + 1)
    digests = found(bench, fence)
    assert digests["fine"] == placed[0].digest
    assert len(digests["most"]) == len(placed[0].digest)
    assert digests["large"] == f"large:{MOST + 1}"


@pytest.mark.parametrize("size", [MOST + 1, 5_000_000])
def test_a_large_definition_is_set_aside_and_never_hashed(bench: Bench, size: int) -> None:
    fence = Fence(bench.lead(), TTL_MS)
    bench.place("large", ago_ms=5)
    grow(bench, "large", size)
    bench.store._caller = counting = Counting(bench)
    tick = bench.store.tick(fence, 10)
    assert isinstance(tick, Tick)
    outcome = bench.store.quarantine(fence, tick.due[0], "too large")
    assert isinstance(outcome, Statuses)
    assert outcome.words == ["ok"]
    assert max(counting.counts.values()) < 200
    assert found(bench, fence) == {}
    assert bench.admin.hstrlen(bench.keys.entries, "large") == size, "it is kept for a person"


def test_one_that_was_replaced_meanwhile_is_not_set_aside(bench: Bench) -> None:
    fence = Fence(bench.lead(), TTL_MS)
    bench.place("e", ago_ms=5)
    grow(bench, "e", MOST + 1)
    tick = bench.store.tick(fence, 10)
    assert isinstance(tick, Tick)
    grow(bench, "e", MOST + 2)
    outcome = bench.store.quarantine(fence, tick.due[0], "too large")
    assert isinstance(outcome, Statuses)
    assert outcome.words == ["replan"]


def test_what_may_be_added_is_never_too_large_where_it_is_stored(bench: Bench) -> None:
    """habeat adds to a definition after the check: the time of creation, for example."""
    with Client(bench.server.url(), prefix=bench.keys.prefix) as client:
        size = DEFAULT_LIMITS.definition_bytes
        while True:
            try:
                client.add("e", "t", 60, kwargs={"x": "y" * size})
                break
            except ValidationError:
                size -= 1
    stored = bench.admin.hstrlen(bench.keys.entries, "e")
    assert DEFAULT_LIMITS.definition_bytes < stored <= MOST
