"""Every key and every field of it, holding values that other programs may have written.

There is one batch for each kind of place. In each, the control entry misses no slot, the client's
reads end with an answer or with an error of ours, each problem is logged once and not at every
tick, and once the values are gone, all is as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from habeat.entries.changes import POSITION_LOST
from habeat.errors import HabeatError
from habeat.store.calling import text
from tests.integration.hostile.values import (
    JSON,
    NAMES,
    RAW,
    SCORES,
    SECRET,
    _written,
    definition,
    definitions,
    replicas,
    requests,
)
from tests.integration.hostile.world import CONTROL, World
from tests.support.servers.redis_server import Server

pytestmark = pytest.mark.timeout(120)

SANE = _written(definition())


@pytest.fixture
def world(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("habeat.beat.key_upkeep.EVERY_MS", 300)  # else half of the time is waiting
    made = World(valkey)
    yield made
    made.close()


@contextmanager
def no_slot_missed(world: World) -> Iterator[None]:
    """While the block runs, and for a while after it."""
    begins_ms = world.slots()[-1]
    yield
    world.fires(3)
    world.misses_none_since(begins_ms)


def looked_at(world: World, *, reads: bool = True) -> dict[str, Any]:
    """Tick until the problem is logged, once only. Returns what the client reads."""
    result = -1
    while result < len(world.errors.lines):
        assert result < 5_000, "it is named again and again"
        result = len(world.errors.lines)
        world.turn(0.7)
    result = len(world.errors.lines)
    found = world.reads() if reads else {}
    world.turn(0.5)
    assert world.errors.lines[result:] == [], "named once, not at each turn"
    assert not any(SECRET in line for line in world.errors.lines)
    assert not any(" failed (" in line for line in world.errors.lines), "no part of a turn failed"
    return found


def place(world: World, name: bytes, raw: bytes, state: bytes | None = None) -> None:
    """An entry that is due."""
    now_ms = int(world.admin.time()[0]) * 1_000
    world.admin.hset(world.keys.entries, name, raw)
    world.admin.hset(world.keys.state, name, state if state is not None else b"%d|||0|0" % now_ms)
    world.admin.zadd(world.keys.due, {name: now_ms})


def removed(world: World, names: list[bytes]) -> None:
    """The client removes them one by one; afterwards, only the hostile ones are gone."""
    for name in names:
        if name:
            assert world.client.remove(text(name)) == 1
    assert [name for name in world.names() if name] == [CONTROL]


# -- entries --------------------------------------------------------------------------------


@pytest.mark.slow
def test_definitions(world: World) -> None:
    raws = definitions()
    names = [b"h%04d" % number for number in range(len(raws))]
    with no_slot_missed(world):
        for name, raw in zip(names, raws, strict=True):
            place(world, name, raw)
        world.turn(1)
        found = looked_at(world)
        listed = dict(found["list"])
        assert set(listed) == {CONTROL, *map(text, names)}
        for name in names[: len(RAW)]:
            assert listed[text(name)] == "quarantined"
            assert world.client.get(text(name)).condition == "quarantined"
        for name in names[:3]:
            world.client.pause(text(name), "why")
            world.client.add(text(name), "proj.add", 3600, replace=True)
            assert world.client.get(text(name)).condition == "paused"
        assert not isinstance(found["export"], HabeatError)
        assert world.client.remove(prefix="h") == len(names)
    assert world.names() == [CONTROL]


@pytest.mark.slow
def test_names(world: World) -> None:
    with no_slot_missed(world):
        for name in NAMES:
            place(world, name, SANE)
        listed = dict(looked_at(world)["list"])
        assert set(map(text, NAMES)) <= set(listed)
        for name in NAMES:
            if name and b"\xff" in name:
                assert listed[text(name)] == "quarantined"
                assert world.client.pause(text(name), "why").condition == "quarantined"
        removed(world, list(NAMES))
    world.admin.hdel(world.keys.entries, b"")


@pytest.mark.slow
def test_states(world: World) -> None:
    names = [b"h%04d" % number for number in range(len(RAW))]
    with no_slot_missed(world):
        for name, raw in zip(names, RAW, strict=True):
            place(world, name, SANE, raw)
        found = looked_at(world)
        garbled = [name for name, raw in zip(names, RAW, strict=True) if raw.count(b"|") != 4]
        listed = dict(found["list"])
        assert {listed[text(name)] for name in garbled} == {"quarantined"}
        assert world.client.resume(text(garbled[0])).condition == "active"
        removed(world, names)


@pytest.mark.slow
def test_scores(world: World) -> None:
    names = [b"h%04d" % number for number in range(len(SCORES))]
    with no_slot_missed(world):
        for name, score in zip(names, SCORES, strict=True):
            place(world, name, SANE)
            world.admin.zadd(world.keys.due, {name: score})
            world.admin.zadd(world.keys.due, {b"\xff" + name: score})
        world.turn_until(lambda: world.admin.zscore(world.keys.due, names[0]) != float("inf"))
        looked_at(world)
        for name in names[:7]:
            sent = [r for r in world.client.history(text(name)) if r.outcome in ("sent", "late")]
            assert sent, f"{name!r} fires again: its place follows from its state"
        removed(world, [*names, *(b"\xff" + name for name in names)])


@pytest.mark.slow
def test_pauses(world: World) -> None:
    names = [b"h%04d" % number for number in range(len(RAW))]
    with no_slot_missed(world):
        for name, raw in zip(names, RAW, strict=True):
            place(world, name, SANE)
            world.admin.zrem(world.keys.due, name)
            world.admin.hset(world.keys.paused, name, raw)
            world.admin.zadd(world.keys.resume, {name: 5, b"none-" + name: 5})
            world.admin.hset(world.keys.paused, b"gone-" + name, raw)
        world.admin.hset(world.keys.entries, names[7], b"{garbled")
        world.admin.zadd(world.keys.resume, {b"far": "inf", b"long ago": "-inf"})
        looked_at(world)
        removed(world, names)
    world.admin.delete(world.keys.paused, world.keys.resume)


@pytest.mark.slow
def test_quarantine(world: World) -> None:
    with no_slot_missed(world):
        for number, raw in enumerate(RAW):
            world.admin.hset(world.keys.quarantine, b"h%04d" % number, raw)
        found = looked_at(world)
        assert len(found["status"].quarantined) == len(RAW)
        removed(world, [b"h%04d" % number for number, raw in enumerate(RAW) if raw])


# -- what is under way ----------------------------------------------------------------------


@pytest.mark.slow
def test_requests(world: World) -> None:
    world.client.add("asked", "proj.add", 3600)
    raws = requests("asked")
    with no_slot_missed(world):
        for number, raw in enumerate(raws):
            world.admin.hset(world.keys.requests, b"r%04d\xff" % number, raw)
        world.client.trigger("asked", request_id="good")
        world.turn_until(lambda: not world.admin.hexists(world.keys.requests, "good"))
        world.turn_until(lambda: world.admin.hlen(world.keys.requests) < 10)
        looked_at(world)
        assert world.admin.hlen(world.keys.dead) > len(RAW)


@pytest.mark.slow
def test_messages_in_flight(world: World) -> None:
    token = world.admin.get(world.keys.lease)
    whole = [token, b"0", b"17", b"/at_least_once", b"{}"]
    records = [*RAW, *(b"\n".join(whole[:n]) for n in range(5))]
    message = {"v": 1, "messages": [{"body": "x", "text": True, "arguments": {}}]}
    bodies = [{**message, key: value} for key in message for value in JSON]
    records += [b"\n".join([*whole[:4], _written(body)]) for body in bodies]
    for at in range(5):
        records += [b"\n".join([*whole[:at], raw, *whole[at + 1 :]]) for raw in RAW]
    with no_slot_missed(world):
        for number, raw in enumerate(records):
            world.admin.hset(world.keys.inflight, b"h@%d" % number, raw)
        for name in NAMES:
            world.admin.hset(world.keys.inflight, name, b"\n".join(whole))
        world.turn(1)
        world.reads()
        assert [line for line in world.errors.lines if " failed (" in line] == []
        assert not any(SECRET in line for line in world.errors.lines)
    world.admin.delete(world.keys.inflight)


# -- what people read -----------------------------------------------------------------------


@pytest.mark.slow
def test_the_ledger(world: World) -> None:
    fields = ("entry", "slot", "outcome", "reason", "count", "until", "epoch", "late", "attempt")
    with no_slot_missed(world):
        for raw in RAW:
            world.admin.xadd(world.keys.ledger, {"x": raw})
            for field in fields:
                world.admin.xadd(world.keys.ledger, {"entry": "h", field: raw})
        found = looked_at(world)
        for name in ("history", "drift since"):
            assert not isinstance(found[name], HabeatError), found[name]


@pytest.mark.slow
def test_figures_and_replicas(world: World) -> None:
    own = world.keys.entry_lateness(CONTROL)
    with no_slot_missed(world):
        for number, raw in enumerate(RAW):
            for key in (world.keys.lateness, own):
                world.admin.hset(key, raw, b"1")
                world.admin.hset(key, b"%d" % number, raw)
                world.admin.hset(key, b"max", raw)
            world.admin.hset(world.keys.untrusted, b"1:%d" % number, raw)
            world.admin.hset(world.keys.configs, b"c%d" % number, raw)
            world.admin.sadd(world.keys.owned, raw)
            world.admin.hset(world.keys.dead, b"d%d" % number, raw)
        for number, raw in enumerate(replicas()):
            world.admin.hset(world.keys.replicas, b"r%d" % number, raw)
            world.admin.zadd(world.keys.seen, {b"r%d" % number: world.admin.time()[0] * 1_000})
        for number, score in enumerate(SCORES):
            world.admin.zadd(world.keys.seen, {b"r%d" % number: score})
        found = looked_at(world)
        for name in ("status", "drift"):
            assert not isinstance(found[name], HabeatError), found[name]
    world.admin.delete(world.keys.lateness, own, world.keys.configs, world.keys.owned)


# -- the cluster's own ----------------------------------------------------------------------

NUMBERS = (
    "heartbeat", "epoch", "claimed", "settled", "abandoned", "ticks", "leader_changes",
    "leader_since", "lease_ttl", "history_lost", "config_generation", "boot",
)  # fmt: skip


def counters(world: World) -> list[bytes]:
    found: list[bytes] = world.admin.hmget(world.keys.meta, NUMBERS)
    return found


@pytest.mark.slow
def test_counters(world: World) -> None:
    for raw in (b"x", b"", b"-1", b"9" * 5_000, b"inf", b"\xff", b"1e18"):
        for field in NUMBERS:
            world.admin.hset(world.keys.meta, field, raw)
        world.fires(5)
        assert not isinstance(world.reads()["status"], HabeatError)
        world.turn_until(
            lambda: all(map(bytes.isdigit, world.admin.hmget(world.keys.meta, NUMBERS)))
        )
    world.turn_until(lambda: world.client.status().accounting.difference == 0)
    assert not any("a tick failed" in line for line in world.errors.lines[-3:])


HARMLESS = (
    "paused", "quarantine", "dead", "lateness", "replicas", "seen", "untrusted", "configs",
    "owned", "resume", "requests", "controls", "signs", "alarmed", "outcomes",
)  # fmt: skip


@pytest.mark.parametrize("make", [
    lambda client, key: client.set(key, b"a string"), lambda client, key: client.lpush(key, b"x"),
    lambda client, key: client.pfadd(key, b"x"),
])  # fmt: skip
@pytest.mark.slow
def test_keys_of_a_foreign_type(world: World, make: Callable[[Any, str], Any]) -> None:
    for name in HARMLESS:
        key = getattr(world.keys, name)
        world.admin.delete(key)
        make(world.admin, key)
    make(world.admin, world.keys.base + "fired:foreign")
    world.fires(10)
    looked_at(world)
    for name in HARMLESS:
        kept = world.admin.keys(world.keys.base + f"foreign:{name}:*")
        assert len(kept) == 1, f"{name} is kept, not deleted"
        assert any(f"'{name}' had a foreign type" in line for line in world.errors.lines)


@pytest.mark.parametrize("name", ["due", "inflight", "ledger", "meta", "lease"])
@pytest.mark.slow
def test_keys_without_which_nothing_is_sent(world: World, name: str) -> None:
    """They are set aside, and what follows from the entries is derived again."""
    key = getattr(world.keys, name)
    world.admin.delete(key)
    world.admin.set(key, b"a string") if name != "lease" else world.admin.lpush(key, b"x")
    world.fires(10)
    looked_at(world)
    assert world.admin.keys(world.keys.base + f"foreign:{name}:*")


@pytest.mark.slow
def test_definitions_cannot_be_derived(world: World) -> None:
    """What they held is gone and is reported; once it is restored, all is as before."""
    kept = world.admin.dump(world.keys.entries)
    world.admin.set(world.keys.entries, b"a string")
    world.turn_until(lambda: bool(world.admin.keys(world.keys.base + "foreign:entries:*")))
    world.turn(1)
    looked_at(world)
    world.admin.restore(world.keys.entries, 0, kept, replace=True)
    world.client.resume(CONTROL)
    world.fires(5)
    runs = [each for each in world.client.history(CONTROL, limit=2_000) if each.count > 1]
    assert runs, "what was not sent meanwhile is accounted for"


@pytest.mark.parametrize("how", ["foreign", "deleted", "one field"])
def test_lost_positions_are_made_anew(world: World, how: str) -> None:
    """An entry without its position continues from now, and the ledger says so."""
    world.fires(2)
    if how == "foreign":
        world.admin.set(world.keys.state, b"a string")
    elif how == "deleted":
        world.admin.delete(world.keys.state)
    else:
        world.admin.hdel(world.keys.state, CONTROL)
    world.turn_until(
        lambda: (
            world.admin.type(world.keys.state) == b"hash"
            and bool(world.admin.hexists(world.keys.state, CONTROL))
        )
    )
    world.fires(5)
    notes = [each.reason for each in world.client.history(CONTROL, limit=2_000)]
    assert POSITION_LOST in notes
    assert world.client.get(CONTROL).condition == "active"


def test_a_lost_index_of_what_is_due_is_made_anew(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.fires(2)
    world.admin.delete(world.keys.due)
    world.turn_until(lambda: bool(world.admin.zcard(world.keys.due)))
    world.fires(5)
    assert any("the index of what is due is gone" in line for line in caplog.messages)


@pytest.mark.parametrize("how", ["removed", "set to a later time"])
def test_an_entry_that_lost_its_place_in_the_index_is_due_again_and_is_named(
    world: World, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    world.client.add("hourly", "proj.tick", 3_600, options={"queue": "another"})
    world.client.add("off", "proj.tick", 3_600, enabled=False)
    world.client.add("stopped", "proj.tick", 3_600)
    world.client.pause("stopped")
    due = world.admin.zscore(world.keys.due, "hourly")
    assert due is not None
    if how == "removed":
        world.admin.zrem(world.keys.due, "hourly")
    else:
        world.admin.zadd(world.keys.due, {"hourly": float(due) + 3_600_000})
    begins_ms = world.slots()[-1]
    world.turn_until(lambda: world.admin.zscore(world.keys.due, "hourly") == due)
    world.turn(1)
    world.misses_none_since(begins_ms)
    (line,) = (each for each in caplog.records if getattr(each, "habeat_entry", "") == "hourly")
    assert "'hourly'; corrected" in line.getMessage()
    assert world.admin.zcard(world.keys.due) == 2, "what is disabled or paused is not due"


def test_an_entry_whose_position_is_garbage_is_quarantined_before_it_is_due(
    world: World,
) -> None:
    world.client.add("hourly", "proj.tick", 3_600, options={"queue": "another"})
    world.admin.hset(world.keys.state, "hourly", "garbage{")
    world.turn_until(lambda: bool(world.admin.hexists(world.keys.quarantine, "hourly")))
    world.fires(2)
    world.client.resume("hourly")
    assert world.client.get("hourly").condition == "active"
