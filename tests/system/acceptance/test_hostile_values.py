"""Hostile values at every key at once, and real beats: the control entry misses no slot.

`tests/integration/hostile` goes through the same values kind by kind.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.hostile import values
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import LEFT
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

CONTROL, EVERY_MS = "e00000", 1_000
FOREIGN = ("paused", "resume", "quarantine", "dead", "lateness", "seen", "replicas", "untrusted")


def test_hostile_values_at_every_key(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(2))
    fleet.start(2)
    until(lambda: len(_slots(fleet)) >= 3, 30, fleet.logs)
    _poison(fleet)
    at = len(_slots(fleet))
    until(lambda: len(_slots(fleet)) >= at + 15, 60, fleet.logs)
    slots = _slots(fleet)
    assert slots == list(range(slots[0], slots[-1] + 1, EVERY_MS))
    assert fleet.all_alive
    assert values.SECRET not in fleet.logs()
    fields = fleet.logs().count("Traceback")
    time.sleep(5)
    assert fleet.logs().count("Traceback") == fields, "trouble is named once"
    assert fleet.client.hgetall(fleet.key("meta"))[b"leader_changes"] == b"1"  # type: ignore[index]


def _slots(fleet: Fleet) -> list[int]:
    found: Any = fleet.client.xrange(fleet.key("ledger"))
    left = [fields for _, fields in found if fields.get(b"outcome", b"").decode() in LEFT]
    return [int(fields[b"slot"]) for fields in left if fields[b"entry"].decode() == CONTROL]


def _poison(fleet: Fleet) -> None:
    client, now_ms = fleet.client, int(time.time() * 1_000)
    sane = values._written(values.definition())
    placed = [(b"d%d" % n, raw, b"%d|||0|0" % now_ms) for n, raw in enumerate(values.definitions())]
    placed += [(b"s%d" % n, sane, raw) for n, raw in enumerate(values.RAW)]
    placed += [(name, sane, b"%d|||0|0" % now_ms) for name in values.NAMES]
    for key in FOREIGN:
        client.delete(fleet.key(key))
        client.set(fleet.key(key), "a string")
    for name, raw, state in placed:
        client.hset(fleet.key("entries"), name, raw)
        client.hset(fleet.key("state"), name, state)
        client.zadd(fleet.key("due"), {name: now_ms})
    for n, score in enumerate(values.SCORES):
        client.zadd(fleet.key("due"), {b"x%d" % n: score})
    for n, raw in enumerate(values.requests("e00001")):
        client.hset(fleet.key("requests"), b"r%d" % n, raw)
    for n, raw in enumerate(values.RAW):
        client.hset(fleet.key("inflight"), b"h@%d" % n, raw)
        client.xadd(fleet.key("ledger"), {"x": raw})
        client.hset(fleet.key(f"lateness:{CONTROL}"), b"%d" % n, raw)
        client.hset(fleet.key("configs"), b"c%d" % n, raw)
    for field in ("claimed", "settled", "ticks", "lease_ttl", "config_generation"):
        client.hset(fleet.key("meta"), field, "x")
