"""What is put right, or put off, where something stored makes no sense: on real servers."""

from __future__ import annotations

import pytest

from habeat.core.lease import Token
from habeat.ports import Lost, Statuses
from tests.integration.scripts.bench import TTL_MS, Bench

# -- postpone -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["e", "\udcff"])
def test_the_end_of_a_pause_is_looked_at_later(bench: Bench, name: str) -> None:
    token = bench.lead()
    key, raw = bench.keys.resume, name.encode("utf-8", "surrogateescape")
    bench.admin.zadd(key, {raw: 5})
    bench.admin.hset(bench.keys.paused, raw, "{}")  # type: ignore[arg-type]
    bench.shorten()
    later = bench.entries.postpone(name, 70_000, (token, TTL_MS))
    assert isinstance(later, Statuses)
    assert list(later.words) == ["ok"]
    assert bench.admin.zscore(key, raw) == 70_000  # type: ignore[arg-type]
    assert bench.pttl() > TTL_MS - 500


@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_without_an_end_or_no_pause_at_all_is_not_looked_at(
    bench: Bench, paused: bool
) -> None:
    token = bench.lead()
    bench.admin.zadd(bench.keys.resume, {"e": 5})
    if paused:
        bench.admin.hset(bench.keys.paused, "e", "{}")
    found = bench.entries.postpone("e", None if paused else 70_000, (token, TTL_MS))
    assert isinstance(found, Statuses)
    assert list(found.words) == ["gone"]
    assert bench.admin.zcard(bench.keys.resume) == 0


def test_only_the_leader_postpones(bench: Bench) -> None:
    bench.lead()
    bench.admin.zadd(bench.keys.resume, {"e": 5})
    assert isinstance(bench.entries.postpone("e", None, (Token(1, "x"), TTL_MS)), Lost)
    assert bench.admin.zcard(bench.keys.resume) == 1
