"""No script holds the server up: what each touches does not grow with what is stored.

Counted are commands, the elements of their replies, what a command scans without returning it, and
what is hashed. The calls are the largest that habeat makes; there are 20,000 of everything, so
anything that scans a whole collection exceeds the bound.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from habeat.core.circuit import Circuit
from habeat.core.events import EventCode
from habeat.core.lease import Fence, Observation
from habeat.engine.circuits import KEPT
from habeat.engine.dispatch import ATOMIC_BATCH, OUTBOX_BATCH
from habeat.engine.loop import SKIP_BATCH
from habeat.engine.outbox import SETTLE_BATCH
from habeat.engine.prefetch import DUE_PER_TICK
from habeat.engine.recovery import RECOVER_BATCH
from habeat.engine.requests import REQUESTS_PER_TURN
from habeat.ports import Departed, DueEntry, DueRequests, Intent, Known, Lost, Recovered, Refused
from habeat.ports.entries import Arrival, Mark, Position, Removal, Renaming, Write
from habeat.ports.events import Happening
from habeat.store.controls import ControlStore
from habeat.store.dead_letters import DeadStore
from habeat.store.events import RedisEventLog
from habeat.store.health import HealthStore
from habeat.store.key_repair import Mending
from habeat.store.name_index import REINDEX, Bound
from habeat.store.pages import INDEXED, ORPHANS, PAGE, SWEPT, WRITTEN
from tests.integration.conformance.steps import shipped
from tests.integration.scripts.bench import Bench
from tests.integration.scripts.crowd import MANY, Crowd
from tests.support.servers.redis_server import start_server, valkey_binary

TTL_MS = 600_000
#: What the largest call that habeat makes may touch: well under 2 ms, which are some 3,000.
MOST = 2_000
CLAIMED = ATOMIC_BATCH + OUTBOX_BATCH


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    server = start_server(valkey_binary())
    try:
        yield Crowd(Bench(server))
    finally:
        server.dispose()


def lead(crowd: Crowd) -> None:
    crowd.leases.acquire("aa", TTL_MS, Known())
    assert isinstance(crowd.leases.acquire("bb", TTL_MS, Known()), Refused)


def steal(crowd: Crowd) -> None:
    seen = Observation(crowd.bench.now_ms, None, 0, 0, None, 0, 0)
    crowd.leases.steal("aa", TTL_MS, Known(), "crash", seen)


def register(crowd: Crowd) -> None:
    for number in range(100):
        crowd.leases.register(f"replica-{number}", json.dumps({"pid": number}), "new", MANY)


def claim(crowd: Crowd, *, atomic: bool) -> None:
    token = crowd.token()
    fence = Fence(token, TTL_MS)
    first, second = crowd.placed[:ATOMIC_BATCH], crowd.placed[ATOMIC_BATCH:CLAIMED]
    batch = first if atomic else second
    claims = [crowd.bench.claim_of(placed) for placed in batch]
    reply = crowd.store.claim(fence, claims, atomic=atomic)
    assert not isinstance(reply, Lost)
    assert set(reply.words) == {"ok"}
    if not atomic:
        crowd.bench.hasten()
        found = crowd.store.recover(fence, RECOVER_BATCH)
        assert isinstance(found, Recovered)
        assert len(found.intents) == OUTBOX_BATCH
        field = str(batch[0].slot_ms)
        intent = Intent(batch[0].entry.name, field, 0, batch[0].slot_ms, "", b"")
        crowd.store.mark(fence, intent, 5, "", 0)
        departed = [Departed(each.entry.name, str(each.slot_ms), each.slot_ms, 1) for each in batch]
        assert crowd.store.settle(token, departed[:SETTLE_BATCH]) == SETTLE_BATCH


def tick(crowd: Crowd) -> None:
    token = crowd.token()
    for _ in range(5):
        for ahead_ms in (0, 7_200_000):
            crowd.store.tick(Fence(token, TTL_MS), DUE_PER_TICK, ahead_ms)
    ControlStore(crowd.caller).write("s", "f", "", "x", "changed")


def lead_on(crowd: Crowd) -> None:
    token = crowd.token()
    rest = crowd.placed[CLAIMED:]
    crowd.store.skip(
        Fence(token, TTL_MS), [crowd.bench.skip_of(placed) for placed in rest[:SKIP_BATCH]]
    )
    due = DueEntry(rest[-1].entry.name, rest[-1].slot_ms, rest[-1].digest, rest[-1].cursor_ms)
    crowd.store.defer(Fence(token, TTL_MS), due, rest[-1].slot_ms + 1)
    crowd.store.quarantine(Fence(token, TTL_MS), due, "why")
    crowd.entries.postpone(crowd.names[0], rest[-1].slot_ms, Fence(token, TTL_MS))
    Mending(crowd.caller).run(token, TTL_MS, "new")
    fence = Fence(token, TTL_MS)
    tick(crowd)
    found = crowd.store.asked(fence, REQUESTS_PER_TURN)
    assert isinstance(found, DueRequests)
    request, *others = found.requests
    crowd.store.drop(fence, request, "e", 1, "why")
    crowd.store.put_off(fence, "requests", [each.identity for each in others], 5)
    opened = Circuit.opened(5, "why", 5)
    crowd.store.keep_circuits(fence, [(name, "", opened) for name in crowd.names[:KEPT]])
    RedisEventLog(crowd.caller, "aa").add(Happening(EventCode.BROKER_UNAVAILABLE, 5))
    dead = DeadStore(crowd.caller)
    assert dead.resend(dead.page(0, 1)[0]) in ("ok", "there", "gone")


def prune(crowd: Crowd) -> None:
    """All that a deploy of so many entries costs: half of them are gone from the code."""
    token, bench = crowd.token(), crowd.bench
    gone = crowd.names[::2]
    for at in range(0, len(gone), 1_000):
        bench.admin.srem(bench.keys.declared("new"), *gone[at : at + 1_000])
    then = bench.now_ms - 70_000
    bench.admin.hset(bench.keys.configs, mapping={"old": f"1|{then}|{MANY}"})
    bench.admin.hset(bench.keys.configs, mapping={"new": f"2|{bench.now_ms}|{MANY // 2}"})
    found, slices = 0, 0
    while True:
        slice_ = crowd.entries.orphans(Fence(token, TTL_MS), 60_000, ORPHANS)
        assert not isinstance(slice_, Lost)
        found, slices = found + len(slice_), slices + 1
        if not slice_.more:
            break
    assert found >= MANY // 2
    assert slices > MANY / ORPHANS / 4


def edit(crowd: Crowd) -> None:
    entries, placed = crowd.entries, crowd.placed
    found = entries.read([each.entry.name for each in placed[:PAGE]]).stored
    whole = [Write(each.name, each.digest, each.raw or b"x", paused="") for each in found[:WRITTEN]]
    assert entries.write(whole, None, Mark("touched:1", 60_000)) is None
    new = [Write(f"new-{number}", "", b"x", paused="") for number in range(WRITTEN)]
    assert entries.write_within(Bound("new-", MANY), new) is None
    again = entries.read([each.entry.name for each in placed[:PAGE]]).stored
    renaming = Renaming(again[0].name, again[0].digest, None, "other", b"y", None, (), MANY)
    entries.rename(renaming, Mark("touched:2", 60_000))
    gone = [Removal(each.name, each.digest, None, None, "gone") for each in again[1 : WRITTEN + 1]]
    assert entries.remove(gone, None, Mark("touched:3", 60_000)) is None
    entries.recall(Mark("touched:3", 60_000))
    there = Position(1, 2, 2)
    moved = [Arrival(f"moved-{n}", b"x", "{}", 3, there, 1, 1, "adopted") for n in range(WRITTEN)]
    assert entries.adopt(moved, Mark("touched:4", 60_000)) is None
    entries.add_request("r-1", b"{}", 60_000, crowd.names[1], "m")


def look(crowd: Crowd) -> None:
    crowd.leases.observe()
    HealthStore(crowd.caller).read(60_000)
    crowd.insight.now_ms()
    list(islice(crowd.insight.ledger_of("placed-0"), 200))
    at = REINDEX
    while at[0] != "done":
        at = crowd.entries.index.make(at, INDEXED)
    assert crowd.entries.index.page("entry-01", b"", PAGE)
    assert crowd.entries.index.count("entry-01")
    crowd.entries.sweep(Fence(crowd.token(), TTL_MS), SWEPT)


def let_go(crowd: Crowd) -> None:
    token = crowd.token()
    crowd.leases.release(token, "aa")


OURS = ("owned", "declared:new", "entries", "due", "resume", "ledger")
CALLS: tuple[Callable[[Crowd], None], ...] = (
    lead, register, lambda crowd: claim(crowd, atomic=True),
    lambda crowd: claim(crowd, atomic=False), tick, lead_on, edit, look, prune, steal, let_go,
)  # fmt: skip


def test_no_script_touches_more_than_a_bounded_number(crowd: Crowd) -> None:
    for call in CALLS:
        call(crowd)
    counts = crowd.caller.counts
    assert {name: count for name, count in counts.items() if count > MOST} == {}
    missing = shipped() - counts.keys() - {"samehost"}  # that one asks for a single key
    assert not missing


@pytest.mark.parametrize(
    "command",
    [
        ("SDIFF", "owned", "declared:new"),
        ("HGETALL", "entries"),
        ("ZRANGEBYSCORE", "due", "-inf", "+inf", "LIMIT", f"{MANY - 1}", "1"),
        ("DEL", "resume"),
        ("XTRIM", "ledger", "MAXLEN", "10"),
    ],
    ids=lambda command: command[0],
)
def test_the_count_sees_what_a_command_goes_through(crowd: Crowd, command: Any) -> None:
    name, *words = command
    keys = [crowd.bench.keys.base + word if word in OURS else word for word in words]
    assert crowd.count(f"redis.call('{name}', unpack(ARGV))", *keys) > MOST
