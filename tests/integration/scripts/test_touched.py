"""No script holds the server up: what each touches does not grow with what is stored.

What is counted are commands, the elements of their replies, and what a command goes through without
showing it. Two milliseconds are some thousands of them; there are 20,000 of everything, so whatever
goes through all of anything is beyond the bound.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from habeat.beat.declared.seeding import SLICE
from habeat.core.circuit import Circuit
from habeat.core.lease import Fence, Observation
from habeat.ports import Departed, DueEntry, DueRequests, Intent, Known, Lost, Refused
from habeat.ports.entries import Mark, Removal, Renaming, Write
from habeat.store.dead_letters import DeadStore
from habeat.store.entries import PAGE
from habeat.store.key_repair import Mending
from habeat.store.name_index import REINDEX
from tests.integration.conformance.steps import shipped
from tests.integration.scripts.bench import Bench
from tests.integration.scripts.crowd import MANY, Crowd
from tests.support.servers.redis_server import start_server, valkey_binary

TTL_MS = 600_000
#: What the largest call that habeat makes may touch.
MOST = 4_000
CLAIMS = 20


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
    half = crowd.placed[:CLAIMS] if atomic else crowd.placed[CLAIMS : 2 * CLAIMS]
    claims = [crowd.bench.claim_of(placed) for placed in half]
    reply = crowd.store.claim(Fence(token, TTL_MS), claims, atomic=atomic)
    assert not isinstance(reply, Lost)
    assert set(reply.words) == {"ok"}
    if not atomic:
        crowd.store.recover(Fence(token, TTL_MS), 50)
        field = str(half[0].slot_ms)
        intent = Intent(half[0].entry.name, field, 0, half[0].slot_ms, "", b"")
        crowd.store.mark(Fence(token, TTL_MS), intent, 5, "", 0)
        departed = [Departed(each.entry.name, str(each.slot_ms), each.slot_ms, 1) for each in half]
        assert crowd.store.settle(token, departed) == CLAIMS


def tick(crowd: Crowd) -> None:
    token = crowd.token()
    for _ in range(5):
        for ahead_ms in (0, 7_200_000):
            crowd.store.tick(Fence(token, TTL_MS), 150, ahead_ms)


def lead_on(crowd: Crowd) -> None:
    token = crowd.token()
    rest = crowd.placed[2 * CLAIMS :]
    crowd.store.skip(
        Fence(token, TTL_MS), [crowd.bench.skip_of(placed) for placed in rest[:CLAIMS]]
    )
    due = DueEntry(rest[-1].entry.name, rest[-1].slot_ms, rest[-1].digest, rest[-1].cursor_ms)
    crowd.store.defer(Fence(token, TTL_MS), due, rest[-1].slot_ms + 1)
    crowd.store.quarantine(Fence(token, TTL_MS), due, "why")
    crowd.entries.postpone(crowd.names[0], rest[-1].slot_ms, Fence(token, TTL_MS))
    Mending(crowd.caller).run(token, TTL_MS, "new")
    fence = Fence(token, TTL_MS)
    tick(crowd)
    found = crowd.store.asked(fence, 50)
    assert isinstance(found, DueRequests)
    request, *others = found.requests
    crowd.store.drop(fence, request, "e", 1, "why")
    crowd.store.put_off(fence, "requests", [each.identity for each in others], 5)
    crowd.store.keep_circuits(fence, [(crowd.names[0], "", Circuit.opened(5, "why", 5))])
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
        slice_ = crowd.entries.orphans(Fence(token, TTL_MS), 60_000, SLICE)
        assert not isinstance(slice_, Lost)
        found, slices = found + len(slice_), slices + 1
        if not slice_.more:
            break
    assert found >= MANY // 2
    assert slices > MANY / SLICE / 4


def edit(crowd: Crowd) -> None:
    entries, placed = crowd.entries, crowd.placed
    found = entries.read([each.entry.name for each in placed[:PAGE]]).stored
    whole = [Write(each.name, each.digest, each.raw or b"x", paused="") for each in found[:SLICE]]
    assert entries.write(whole, None, Mark("touched:1", 60_000)) is None
    again = entries.read([each.entry.name for each in placed]).stored
    renaming = Renaming(again[0].name, again[0].digest, None, "other", b"y", None, (), MANY)
    entries.rename(renaming, Mark("touched:2", 60_000))
    gone = [Removal(each.name, each.digest, None, None, "gone") for each in again[1:101]]
    assert entries.remove(gone, None, Mark("touched:3", 60_000)) is None
    entries.recall(Mark("touched:3", 60_000))
    entries.ask("r-1", b"{}", 60_000, crowd.names[1], "m")


def look(crowd: Crowd) -> None:
    crowd.leases.observe()
    crowd.insight.now_us()
    list(islice(crowd.insight.ledger_of("placed-0"), 200))
    at = REINDEX
    while at[0] != "done":
        at = crowd.entries.index.make(at, SLICE)
    assert crowd.entries.index.page("entry-01", b"", PAGE)
    crowd.entries.sweep(Fence(crowd.token(), TTL_MS), 500)


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
