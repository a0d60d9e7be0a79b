"""claim.lua in a shadow: the slot is decided and recorded, and nothing is sent or kept to send."""

from __future__ import annotations

import json

import pytest

from habeat.core.lease import Fence
from habeat.core.shadow import owner_of
from habeat.ports import Known, Lost, Refused, Rendered
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.key_repair import Mending
from habeat.store.leases import RedisElectionStore
from habeat.store.shadow_log import ShadowLog
from tests.integration.scripts.bench import EVERY_MS, TTL_MS, Bench

WOULD = {"would": "e", "slot": 1, "task": "t", "queue": "q", "arguments": "", "period": 1_000}


@pytest.fixture
def shadow(bench: Bench) -> Bench:
    bench.store = RedisDispatchStore(
        bench.caller,
        dedup_ttl_ms=60_000,
        ledger_age_ms=86_400_000,
        ledger_length=10_000,
        shadow=True,
    )
    return bench


@pytest.mark.parametrize("atomic", [True, False])
def test_a_claim_records_and_sends_nothing_not_even_commands_that_are_given(
    shadow: Bench, atomic: bool
) -> None:
    token, placed = shadow.lead(), shadow.place()
    assert shadow.claim(token, shadow.claim_of(placed), atomic=atomic) == ["ok"]
    assert shadow.pushed() == []
    assert shadow.flying() == {}
    assert shadow.admin.zcard(shadow.keys.inflight_due) == 0
    assert shadow.ledger() == [("shadow", "", str(placed.slot_ms))]
    assert shadow.cursor() == placed.slot_ms
    assert shadow.due() == placed.slot_ms + EVERY_MS
    assert shadow.fired(placed) == f"{token}|settled"
    assert (shadow.meta("claimed"), shadow.meta("settled")) == ("", "")
    assert shadow.admin.exists(shadow.keys.lateness) == 0


def test_what_would_be_sent_is_kept_by_time(shadow: Bench) -> None:
    token, placed = shadow.lead(), shadow.place()
    described = json.dumps({**WOULD, "slot": placed.slot_ms}).encode()
    claim = shadow.claim_of(placed, rendered=Rendered(described, unsent=True))
    assert shadow.claim(token, claim) == ["ok"]
    [slot] = ShadowLog(shadow.caller).between(0, placed.slot_ms)
    assert (slot.at_ms, slot.kind.task, slot.kind.queue) == (placed.slot_ms, "t", "q")


def test_a_foreign_key_in_the_way_is_set_aside(shadow: Bench) -> None:
    shadow.admin.set(shadow.keys.shadow, "not a sorted set")
    token, placed = shadow.lead(), shadow.place()
    assert shadow.claim(token, shadow.claim_of(placed)) == ["ok"]
    assert shadow.admin.type(shadow.keys.shadow) == b"zset"


def test_a_shadow_and_a_real_beat_refuse_each_others_prefix_by_name(bench: Bench) -> None:
    shadow = RedisElectionStore(bench.caller, bench.clock, owner_of("bench", shadow=True))
    bench.lead()
    refused = shadow.acquire("bb", TTL_MS, Known())
    assert isinstance(refused, Refused)
    assert refused.foreign
    assert "belong to 'bench', whose beats send" in refused.why
    bench.admin.flushall()
    shadow.acquire("bb", TTL_MS, Known())
    refused = bench.leases.acquire("aa", TTL_MS, Known())
    assert isinstance(refused, Refused)
    assert refused.foreign
    assert "belong to the shadow of 'bench'" in refused.why


def test_the_leaders_ticks_hold_the_records_to_the_bounds_of_the_ledger(shadow: Bench) -> None:
    token, now_ms, day_ms = shadow.lead(), shadow.now_ms, 86_400_000
    old = {f"old {number}": now_ms - day_ms - number for number in range(1, 8)}
    new = {f"new {number:05}": now_ms - number for number in range(10_007)}
    shadow.admin.zadd(shadow.keys.shadow, {**old, **new})
    for _ in range(10):
        shadow.store.tick(Fence(token, TTL_MS), 10)
    assert shadow.admin.zcard(shadow.keys.shadow) == 10_000
    assert shadow.admin.zrange(shadow.keys.shadow, 0, 0) == [b"new 09999"]


@pytest.mark.parametrize("key", ["shadow", "watched"])
def test_a_key_of_a_foreign_type_is_set_aside_by_the_repair(shadow: Bench, key: str) -> None:
    token = shadow.lead()
    name = getattr(shadow.keys, key)
    shadow.admin.set(name, "a string")
    found = Mending(shadow.caller).run(token, TTL_MS, "f")
    assert not isinstance(found, Lost)
    [mended] = found
    assert (mended.what, mended.which) == ("foreign", key)
    assert shadow.admin.get(mended.how) == b"a string"
    assert not shadow.admin.exists(name)
