"""The Client against a real server: what it writes, what it refuses, and what it survives."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.schedules import crontab as celery_crontab

import habeat
from habeat import errors
from habeat.client import Client
from habeat.clock import SystemClock
from habeat.config.redis_target import redis_target
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.core.lease import Fence
from habeat.entries.codec import encode
from habeat.ports import Claim, Expected, Known, Next, Rendered, StoreUnavailable, Won
from habeat.ports.entries import Position, Write
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.inspection import Inspection
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from habeat.store.pages import WRITTEN
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis_server import Server

PREFIX = "habeat:proj"
BASE = "{habeat:proj}:"
HOUR_MS = 3_600_000


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


@dataclass
class Beat:
    """The store's side of a beat, driven by the test: leads, and fires what the test names."""

    caller: Caller
    app_name: str = PREFIX
    won: Won | None = None

    def __post_init__(self) -> None:
        self.entries = EntryStore(self.caller)
        self.leases = RedisElectionStore(self.caller, SystemClock(), self.app_name)
        self.dispatch = RedisDispatchStore(
            self.caller, dedup_ttl_ms=60_000, ledger_age_ms=10**8, ledger_length=10**6
        )

    def lead(self, **fields: Any) -> Won:
        """Take the lease, and register."""
        won = self.leases.acquire("leader", 6_000, Known())
        assert isinstance(won, Won)
        info = {"host": "alpha", "pid": 11, "tzdata": "2026.1", **fields}
        self.leases.register("leader", json.dumps(info), "f1", 3)
        self.won = won
        return won

    def stand_by(self, nonce: str, **fields: Any) -> None:
        self.leases.register(nonce, json.dumps({"host": nonce, "pid": 12, **fields}), "f1", 3)

    def declare(self, entry: Entry) -> None:
        """Seed an entry of beat_schedule as the leader does."""
        now_ms = self.entries.read([]).now_ms
        slot_ms = entry.next_slot_ms(now_ms)
        write = Write(
            entry.name,
            "",
            encode(entry),
            owned=True,
            position=Position(now_ms, slot_ms, slot_ms),
        )
        assert self.entries.write([write]) is None

    def backdate(self, name: str, by_ms: int) -> int:
        """As if no leader had read the entry for this long; returns the new cursor."""
        stored = self.entries.read([name]).stored[0]
        assert stored.entry is not None
        cursor_ms = stored.state.cursor_ms - by_ms
        slot_ms = stored.entry.next_slot_ms(cursor_ms)
        write = Write(name, stored.digest, position=Position(cursor_ms, slot_ms, slot_ms))
        assert self.entries.write([write]) is None
        return cursor_ms

    def fire(self, name: str) -> str:
        """Claim the next slot of an entry, atomically; the script's word for it."""
        assert self.won is not None
        stored = self.entries.read([name]).stored[0]
        entry, state = stored.entry, stored.state
        assert entry is not None
        assert state.next_slot_ms is not None
        assert state.due_ms is not None
        following_ms = entry.next_slot_ms(state.next_slot_ms)
        claim = Claim(
            Firing(name, state.next_slot_ms, state.next_slot_ms),
            Expected(stored.digest, state.due_ms, state.cursor_ms),
            Next(following_ms, following_ms),
            Rendered(),
            "at_least_once",
        )
        reply = self.dispatch.claim(Fence(self.won.token, 6_000), [claim], atomic=True)
        return str(reply.words[0])


@pytest.fixture
def beat(valkey: Server) -> Iterator[Beat]:
    connections = Connections(redis_target(valkey.url()))
    yield Beat(Caller(connections, Keys(PREFIX)))
    connections.close()


def keys_of(server: Server, name: str) -> set[str]:
    """The keys under the prefix that know the name."""
    found = set()
    for raw in server.admin.keys(BASE + "*"):
        key = raw.decode()
        kind = server.admin.type(key)
        if (
            (kind == b"hash" and server.admin.hexists(key, name))
            or (kind == b"zset" and server.admin.zscore(key, name) is not None)
            or (kind == b"set" and server.admin.sismember(key, name))
            or key.endswith(":" + name)
        ):
            found.add(key.removeprefix(BASE))
    return found


def outcomes(client: Client, name: str) -> list[tuple[str, str, int]]:
    return [(each.outcome, each.reason, each.count) for each in client.history(name)]


# -- adding and reading -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["valkey", "redis70", "redis62"])
def test_what_is_added_is_got_back(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    with Client(server.url(), prefix=PREFIX, timezone="Europe/Berlin") as client:
        at = datetime(2030, 1, 2, tzinfo=UTC)
        added = client.add(
            "digest",
            "proj.digest",
            habeat.cron("0 8 * * *"),
            (1, Decimal("1.5"), at),
            {"deep": {"a": [1, 2]}},
            options={"queue": "mail", "expires": timedelta(minutes=2)},
            tags=["mail", "daily"],
            description="the daily digest",
            misfire="all",
            misfire_grace=timedelta(minutes=5),
            misfire_limit=7,
            delivery="at_most_once",
        )
        got = client.get("digest")
        assert got == added
        assert got.state == added.state
        assert got.args == (1, Decimal("1.5"), at)
        assert got.options == {"queue": "mail", "expires": 120}
        assert (got.misfire, got.misfire_grace_ms, got.misfire_limit) == ("all", 300_000, 7)
        assert (got.rev, got.owner, got.condition) == (1, "api", "active")
        assert got.schedule == habeat.cron("0 8 * * *", tz="Europe/Berlin")
        assert server.admin.zscore(BASE + "due", "digest") == got.state.due_ms


def test_the_first_slot_is_strictly_after_the_creation(client: Client) -> None:
    """An entry written from outside runs at once."""
    before = client.server_time()
    entry = client.add("hourly", "proj.hourly", 3_600)
    assert entry.state.next_due is not None
    assert entry.state.next_due > before
    assert entry.state.cursor_ms == entry.created_ms
    assert entry.next_slot_ms(entry.created_ms) == entry.state.due_ms


def test_a_schedule_without_a_slot_to_come_is_refused(client: Client) -> None:
    past = habeat.once(client.server_time() - timedelta(seconds=1))
    with pytest.raises(errors.ValidationError, match="slot in the future"):
        client.add("once", "proj.once", past)
    client.add("once", "proj.once", habeat.once(client.server_time() + timedelta(days=1)))
    with pytest.raises(errors.ValidationError, match="slot in the future"):
        client.update("once", schedule=past)


def test_tenants_do_not_all_fall_on_the_same_second(client: Client) -> None:
    for number in range(300):
        client.add(f"tenant-{number}", "proj.report", timedelta(minutes=5))
    seconds = Counter(entry.state.due_ms // 1_000 for entry in client.list(prefix="tenant-"))
    assert sum(seconds.values()) == 300
    assert len(seconds) > 150
    assert max(seconds.values()) <= 8


def test_an_existing_name_is_refused_and_replaced_only_on_request(client: Client) -> None:
    client.add("a", "proj.a", 60)
    with pytest.raises(errors.EntryExists) as caught:
        client.add("a", "proj.b", 60)
    assert (caught.value.entry, caught.value.owner) == ("a", "api")
    replaced = client.add("a", "proj.b", 60, replace=True)
    assert (replaced.task, replaced.rev) == ("proj.b", 2)
    assert client.get("a") == replaced


def test_tasks_signatures_and_canvas_of_celery(valkey: Server) -> None:
    app = Celery("proj", broker=valkey.url())

    @app.task(name="proj.add", shared=False)
    def add(a: int, b: int) -> int:
        return a + b

    with Client(app) as client:
        assert client.add("task", add, 60).task == "proj.add"
        for name, canvas in {
            "signature": add.s(1, 2),
            "chain": chain(add.s(1, 2), add.s(3)),
            "group": group(add.s(n, n) for n in range(3)),
            "chord": chord([add.s(1, 1), add.s(2, 2)], add.si(0, 0)),
        }.items():
            client.add(name, canvas, 60)
            stored = client.get(name)
            assert type(stored.task) is dict
            assert stored.task == json.loads(json.dumps(canvas))
            assert type(app.signature(stored.task)) is type(canvas)
        client.add("crontab", add, celery_crontab(minute=0, hour="8"))
        assert client.get("crontab").schedule == habeat.crontab(minute=0, hour="8", tz="UTC")


def test_listing_by_prefix_tags_owner_and_state(client: Client, beat: Beat) -> None:
    beat.declare(Entry("b.code", "proj.b", habeat.every(60), owner="config", tags=("x",)))
    client.add("a.1", "proj.a", 60, tags=["x", "y"])
    client.add("a.2", "proj.a", 60, tags=["y"], enabled=False)
    client.add("b.1", "proj.b", 60, tags=["x"])
    client.pause("b.1")

    def names(**given: Any) -> list[str]:
        return [entry.name for entry in client.list(**given)]

    assert names() == ["a.1", "a.2", "b.1", "b.code"]
    assert names(prefix="a.") == ["a.1", "a.2"]
    assert names(tags=["x"]) == ["a.1", "b.1", "b.code"]
    assert names(tags=["x", "y"]) == ["a.1"]
    assert names(owner="config") == ["b.code"]
    assert names(state="paused") == ["b.1"]
    assert names(state="disabled") == ["a.2"]
    assert names(state="active", owner="api") == ["a.1"]
    for wrong in ({"state": "asleep"}, {"owner": "me"}, {"tags": "x"}):
        with pytest.raises(errors.ValidationError):
            client.list(**wrong)
    with pytest.raises(errors.EntryNotFound):
        client.get("nobody")


# -- changing -----------------------------------------------------------------------------------


def test_only_another_schedule_re_anchors(client: Client, beat: Beat) -> None:
    """Saving the same name resets an hourly timer to +1 h."""
    client.add("hourly", "proj.hourly", 3_600, description="old")
    cursor_ms = beat.backdate("hourly", 1_000)
    due_ms = client.get("hourly").state.due_ms
    client.update("hourly", description="new", args=[1], tags=["t"], misfire="skip")
    again = client.add("hourly", "proj.hourly", 3_600, replace=True, description="newer")
    assert (again.state.cursor_ms, again.state.due_ms) == (cursor_ms, due_ms)
    assert client.get("hourly").state == again.state
    assert client.get("hourly").rev == 3
    moved = client.update("hourly", schedule=habeat.every(1_800))
    assert moved.state.cursor_ms > cursor_ms
    assert client.get("hourly").state == moved.state


def test_the_same_again_touches_nothing(client: Client, valkey: Server) -> None:
    client.add("a", "proj.a", 300, (1, [2, 3]), {"k": (4,)}, tags=["t"])
    before = valkey.admin.hget(BASE + "entries", "a")
    client.add("a", "proj.a", 300, (1, (2, 3)), {"k": [4]}, tags=["t"], replace=True)
    client.update("a", schedule=habeat.every(300), task="proj.a")
    assert valkey.admin.hget(BASE + "entries", "a") == before


def test_due_slots_of_an_edit_end_in_the_ledger(client: Client, beat: Beat) -> None:
    client.add("a", "proj.a", habeat.every(10))
    beat.backdate("a", 60_000)
    client.update("a", schedule=habeat.every(20))
    ((outcome, reason, count),) = outcomes(client, "a")
    assert (outcome, reason) == ("skipped", "edited")
    assert count in (6, 7)
    (record,) = client.history("a")
    assert (record.until - record.slot) == timedelta(seconds=10 * (count - 1))
    assert record.lateness_ms is None


def test_disabling_and_enabling(client: Client, beat: Beat) -> None:
    client.add("a", "proj.a", habeat.every(10))
    beat.backdate("a", 20_000)
    off = client.update("a", enabled=False)
    assert (off.condition, off.state.due_ms) == ("disabled", None)
    beat.backdate("a", 40_000)  # which also puts it in :due; disabling must not depend on that
    client.update("a", description="still off")
    on = client.update("a", enabled=True)
    assert on.condition == "active"
    found = outcomes(client, "a")
    assert [(outcome, reason) for outcome, reason, _ in found] == [("skipped", "disabled")] * 2
    assert found[0][2] in (4, 5)
    added_off = client.add("b", "proj.b", 60, enabled=False)
    assert (added_off.condition, client.get("b").condition) == ("disabled", "disabled")


def test_pause_and_resume_account_for_every_slot(
    client: Client, beat: Beat, valkey: Server
) -> None:
    client.add("a", "proj.a", habeat.every(10))
    beat.backdate("a", 20_000)
    paused = client.pause("a", "the database moves")
    assert (paused.condition, paused.state.paused) == ("paused", "the database moves")
    assert client.get("a").state == paused.state
    assert valkey.admin.zscore(BASE + "due", "a") is None
    assert [each[:2] for each in outcomes(client, "a")] == [("skipped", "paused")]
    beat.backdate("a", 60_000)
    assert client.get("a").state.due_ms is None
    resumed = client.resume("a")
    assert (resumed.condition, resumed.state.paused) == ("active", None)
    assert resumed.state.due_ms > resumed.state.cursor_ms
    assert client.get("a").state == resumed.state
    newest = outcomes(client, "a")[0]
    assert newest[:2] == ("skipped", "paused")
    assert newest[2] in (6, 7)


def test_pausing_twice_is_one_pause(client: Client) -> None:
    client.add("a", "proj.a", 60)
    first = client.pause("a", "one").state
    second = client.pause("a", "two").state
    assert (second.paused, second.paused_at_ms) == ("two", first.paused_at_ms)
    assert client.get("a").state == second
    client.resume("a")
    assert client.resume("a").condition == "active"
    with pytest.raises(errors.EntryNotFound):
        client.pause("nobody")


def test_a_paused_entry_may_be_edited_and_stays_paused(client: Client, valkey: Server) -> None:
    client.add("a", "proj.a", 60)
    client.pause("a")
    edited = client.update("a", schedule=habeat.every(30))
    assert edited.condition == "paused"
    assert valkey.admin.zscore(BASE + "due", "a") is None
    assert client.get("a").state == edited.state


def test_revisions_guard_against_lost_updates(client: Client) -> None:
    client.add("a", "proj.a", 60)
    assert client.update("a", rev=1, description="one").rev == 2
    with pytest.raises(errors.RevisionConflict) as caught:
        client.update("a", rev=1, description="two")
    assert (caught.value.expected_rev, caught.value.found_rev) == (1, 2)
    assert client.get("a").description == "one"


def test_concurrent_updates_lose_nothing(valkey: Server) -> None:
    with Client(valkey.url(), prefix=PREFIX) as client:
        client.add("a", "proj.a", 60)
        shared = client

        def work(number: int) -> None:
            for turn in range(5):
                shared.update("a", description=f"{number}.{turn}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.get("a").rev == 31


def test_entries_of_beat_schedule_are_not_the_apis(client: Client, beat: Beat) -> None:
    beat.declare(Entry("code", "proj.c", habeat.every(60), owner="config"))
    with pytest.raises(errors.EntryExists, match="beat_schedule"):
        client.add("code", "proj.x", 60)
    with pytest.raises(errors.EntryExists, match="beat_schedule"):
        client.add("code", "proj.x", 60, replace=True)
    for change in (lambda: client.update("code", args=[1]), lambda: client.remove("code")):
        with pytest.raises(errors.OwnedByConfig, match="beat_schedule"):
            change()
    assert client.pause("code", "why").condition == "paused"
    before = client.get("code")
    assert client.resume("code").condition == "active"
    assert (before.owner, before.rev, client.get("code")) == ("config", 1, before)


# -- removing -----------------------------------------------------------------------------------


def test_removing_leaves_nothing_behind(client: Client, beat: Beat, valkey: Server) -> None:
    """A deleted entry leaves an orphan forever."""
    beat.lead()
    client.add("a", "proj.a", habeat.every(10))
    beat.backdate("a", 20_000)
    assert beat.fire("a") == "ok"
    client.pause("a")
    assert client.remove("a") == 1
    left = {key for key in keys_of(valkey, "a") if not key.startswith("fired")}
    assert left == {"ledger_last"}, "where its records are, for as long as there are any"
    assert [each[:2] for each in outcomes(client, "a")] == [("skipped", "paused"), ("late", "")]
    with pytest.raises(errors.EntryNotFound):
        client.remove("a")


def test_an_entry_removed_meanwhile_is_not_brought_back(
    client: Client, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by an update nor by a claim."""
    client.add("a", "proj.a", 60)
    other = Client(valkey.url(), prefix=PREFIX)
    between(monkeypatch, lambda: other.remove("a"))
    with pytest.raises(errors.EntryNotFound):
        client.update("a", description="too late")
    assert keys_of(valkey, "a") == set()
    other.close()


def test_a_claim_of_a_removed_entry_is_refused(client: Client, beat: Beat) -> None:
    beat.lead()
    client.add("a", "proj.a", habeat.every(10))
    beat.backdate("a", 20_000)
    read = beat.entries.read(["a"])
    client.remove("a")
    beat.entries.read = lambda names: read  # type: ignore[method-assign]
    assert beat.fire("a") == "gone"


def test_removing_many_by_prefix_and_tags(client: Client, beat: Beat) -> None:
    beat.declare(Entry("t1.code", "proj.c", habeat.every(60), owner="config", tags=("old",)))
    for number in range(250):
        client.add(f"t1.{number}", "proj.a", 300, tags=["old"] if number % 2 else ["new"])
    client.add("t2.1", "proj.a", 300, tags=["old", "rest"])
    assert client.remove(prefix="t1.", tags=["old"]) == 125
    assert client.remove(prefix="t1.") == 125
    assert client.remove(tags=["old", "rest"]) == 1
    assert [entry.name for entry in client.list()] == ["t1.code"]
    assert client.remove(prefix="nobody") == 0
    for given in ({}, {"name": "t1.code", "prefix": "t1"}):
        with pytest.raises(errors.ValidationError):
            client.remove(**given)


# -- quarantine ---------------------------------------------------------------------------------

GARBAGE = {
    "bad json": b"{not json",
    "no object": b"[1, 2]",
    "unknown kind": b'{"v": 1, "task": "proj.a", "owner": "api", "rev": 4, "created_ms": 1,'
    b' "tags": ["t"], "schedule": {"kind": "tides"}}',
    "impossible minute": b'{"v": 1, "task": "proj.a", "owner": "api", "rev": 4, "created_ms": 1,'
    b' "tags": ["t"], "schedule": {"kind": "crontab", "minute": "99"}}',
    "newer release": b'{"v": 9, "task": "proj.a", "rev": 4, "tags": ["t"], "schedule": 7}',
    "not utf-8": b"\xff\xfe",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_listed_as_quarantined_and_left_as_it_is(
    what: str, client: Client, valkey: Server
) -> None:
    """One bad entry kills RedBeat, or is deleted silently."""
    client.add("good", "proj.a", 60)
    valkey.admin.hset(BASE + "entries", "bad", GARBAGE[what])
    bad, good = client.list()
    assert (bad.name, bad.condition, good.condition) == ("bad", "quarantined", "active")
    assert bad.state.quarantined
    assert client.get("bad") == bad
    assert [entry.name for entry in client.list(state="quarantined")] == ["bad"]
    if b"proj.a" in GARBAGE[what]:
        assert (bad.task, bad.tags, bad.rev) == ("proj.a", ("t",), 4)
    with pytest.raises(errors.DefinitionError):
        client.resume("bad")
    assert client.preview("bad") == []
    (fields,) = client.export()["unreadable"]
    assert (fields["name"], bool(fields["why"])) == ("bad", True)
    assert valkey.admin.hget(BASE + "entries", "bad") == GARBAGE[what]
    mended = client.add("bad", "proj.b", 60, replace=True)
    assert mended.condition == "active"
    assert client.get("bad") == mended


def test_an_update_mends_the_part_that_was_bad(client: Client, valkey: Server) -> None:
    valkey.admin.hset(BASE + "entries", "bad", GARBAGE["impossible minute"])
    with pytest.raises(errors.DefinitionError):
        client.update("bad", description="the schedule is still bad")
    mended = client.update("bad", rev=4, schedule=habeat.crontab(minute=5))
    assert (mended.task, mended.tags, mended.rev) == ("proj.a", ("t",), 5)
    assert client.get("bad") == mended
    assert client.get("bad").condition == "active"


def test_what_a_leader_has_set_aside_is_resumed_from_now(
    client: Client, beat: Beat, valkey: Server
) -> None:
    client.add("a", "proj.a", habeat.every(10))
    beat.backdate("a", 30_000)
    valkey.admin.zrem(BASE + "due", "a")
    valkey.admin.hset(BASE + "quarantine", "a", "could not be sent")
    assert client.get("a").state.quarantined == "could not be sent"
    resumed = client.resume("a")
    assert (resumed.condition, resumed.rev) == ("active", 2)
    assert client.get("a") == resumed
    assert client.get("a").state.due_ms is not None
    ((outcome, reason, count),) = outcomes(client, "a")
    assert (outcome, reason) == ("skipped", "quarantined")
    assert count in (3, 4)


def test_an_entry_whose_definition_vanished_is_shown_and_can_be_removed(
    client: Client, valkey: Server
) -> None:
    """An evicted hash makes its entry vanish."""
    client.add("a", "proj.a", 60)
    valkey.admin.hdel(BASE + "entries", "a")
    valkey.admin.hset(BASE + "quarantine", "a", "its definition is gone")
    (entry,) = client.list()
    assert (entry.name, entry.condition) == ("a", "quarantined")
    assert client.remove("a") == 1
    assert keys_of(valkey, "a") == {"ledger_last"}, "where its records are"


def test_an_entry_with_a_garbled_state_is_mended_without_inventing_slots(
    client: Client, valkey: Server
) -> None:
    client.add("a", "proj.a", habeat.every(1))
    valkey.admin.hset(BASE + "state", "a", "garbage")
    valkey.admin.hset(BASE + "quarantine", "a", "its state is gone or garbled")
    assert client.resume("a").condition == "active"
    assert client.get("a").state.cursor_ms > 0
    assert outcomes(client, "a") == []


# -- trouble ------------------------------------------------------------------------------------


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once, after the next read of entries and before the write."""
    real = EntryStore.read
    done: list[bool] = []

    def read(store: EntryStore, names: Sequence[str], *only: Any) -> Any:
        snapshot = real(store, names, *only)
        if not done:
            done.append(True)
            act()
        return snapshot

    monkeypatch.setattr(EntryStore, "read", read)


class LosingReplies:
    """When armed, carries out the next write and loses its reply."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        self.lost = 0
        self._armed = False
        real = getattr(EntryStore, method)

        def write(store: EntryStore, *given: Any) -> Any:
            result = real(store, *given)
            if self._armed:
                self._armed = False
                self.lost += 1
                raise StoreUnavailable("unreachable", "the reply was lost")
            return result

        monkeypatch.setattr(EntryStore, method, write)

    def at_the_next(self) -> None:
        self._armed = True


def test_a_lost_reply_is_no_error_and_nothing_is_done_twice(
    client: Client, beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = LosingReplies(monkeypatch, "write")
    replies.at_the_next()
    assert client.add("a", "proj.a", habeat.every(10)).rev == 1
    assert client.get("a").rev == 1

    beat.backdate("a", 60_000)
    replies.at_the_next()
    assert client.update("a", rev=1, schedule=habeat.every(20)).rev == 2
    assert client.get("a").rev == 2
    assert len(outcomes(client, "a")) == 1

    beat.backdate("a", 60_000)
    replies.at_the_next()
    assert client.pause("a", "why").state.paused == "why"
    assert len(outcomes(client, "a")) == 2

    beat.backdate("a", 60_000)
    replies.at_the_next()
    assert client.resume("a").condition == "active"
    assert len(outcomes(client, "a")) == 3
    assert replies.lost == 4


def test_a_lost_reply_of_a_removal(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        client.add(name, "proj.a", 60)
    replies = LosingReplies(monkeypatch, "remove")
    replies.at_the_next()
    assert client.remove("a") == 1
    replies.at_the_next()
    assert client.remove(prefix="b") == 1
    assert replies.lost == 2
    assert list(client.list()) == []


def test_a_reply_lost_on_the_wire(
    valkey: Server, proxy: Callable[[Server], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    middle = proxy(valkey)
    real = EntryStore.write
    stalled: list[bool] = []

    def write(store: EntryStore, *given: Any) -> Any:
        if stalled:
            return real(store, *given)
        stalled.append(True)
        middle.stall(requests=False)
        try:
            return real(store, *given)
        finally:
            middle.drop_connections()
            middle.heal()

    with Client(middle.url(), prefix=PREFIX, timeout=2.0) as client:
        client.server_time()
        monkeypatch.setattr(EntryStore, "write", write)
        entry = client.add("a", "proj.a", 60)
        assert stalled
        assert (entry.rev, client.get("a")) == (1, entry)


def test_a_leader_that_claims_meanwhile_is_planned_around(
    client: Client, beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat.lead()
    client.add("a", "proj.a", habeat.every(10))
    cursor_ms = beat.backdate("a", 40_000)
    fired: list[str] = []
    between(monkeypatch, lambda: fired.append(beat.fire("a")))
    client.update("a", schedule=habeat.every(20))
    assert fired == ["ok"]
    skipped, late = client.history("a")
    assert (late.outcome, skipped.outcome, skipped.reason) == ("late", "skipped", "edited")
    grid = habeat.every(10, offset=0).count_between(cursor_ms, 10**14)
    assert grid is not None
    assert late.slot == datetime.fromtimestamp(grid.first_ms / 1_000, UTC)
    assert skipped.slot == late.slot + timedelta(seconds=10)


def test_a_client_that_always_is_faster_is_reported(
    client: Client, monkeypatch: pytest.MonkeyPatch, valkey: Server
) -> None:
    quick = Client(valkey.url(), prefix=PREFIX, timeout=0.3, sleep=lambda seconds: None)
    quick.add("a", "proj.a", 60)
    real = EntryStore.read
    turns: list[int] = []

    def read(store: EntryStore, names: Sequence[str]) -> Any:
        snapshot = real(store, names)
        turns.append(1)
        raw = json.loads(valkey.admin.hget(BASE + "entries", "a") or b"{}")
        valkey.admin.hset(BASE + "entries", "a", json.dumps({**raw, "rev": raw["rev"] + 1}))
        return snapshot

    monkeypatch.setattr(EntryStore, "read", read)
    with pytest.raises(errors.RevisionConflict, match="at every attempt: call again"):
        quick.update("a", description="mine")
    assert len(turns) > 2
    quick.close()


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_redis_away_is_a_bounded_wait_and_one_sentence(
    how: str, private_server: Callable[..., Server]
) -> None:
    server = private_server()
    url = f"redis://:hush@{server.host}:{server.port}/0"
    client = Client(server.url(), prefix=PREFIX, timeout=0.5)
    client.add("a", "proj.a", 60)
    away = Client(url, prefix=PREFIX, timeout=0.5)
    server.kill() if how == "refused" else server.pause()
    try:
        for each, call in (
            (client, lambda c: c.get("a")),
            (client, lambda c: c.update("a", description="x")),
            (client, lambda c: list(c.list())),
            (away, lambda c: c.status()),
        ):
            started = time.monotonic()
            with pytest.raises(
                errors.RedisUnavailable, match=r"did not answer within 0\.5 s"
            ) as fields:
                call(each)
            assert time.monotonic() - started < 3
            assert "hush" not in str(fields.value)
            assert "\n" not in str(fields.value)
    finally:
        if how == "silent":
            server.resume()
    if how == "silent":
        assert client.get("a").description == ""
    client.close()
    away.close()


def test_a_refusal_is_reported_at_once(private_server: Callable[..., Server]) -> None:
    server = private_server()
    server.admin.config_set("requirepass", "secret")
    naps: list[float] = []
    client = Client(server.url(), prefix=PREFIX, sleep=naps.append)
    with pytest.raises(errors.RedisUnavailable, match="refused the call"):
        client.get("a")
    assert naps == []


def test_redis_back_in_time_is_no_error(
    private_server: Callable[..., Server],
) -> None:
    server = private_server(appendonly=True)
    naps: list[float] = []

    def start_again(seconds: float) -> None:
        naps.append(seconds)
        if not server.alive:
            server.start()

    client = Client(server.url(), prefix=PREFIX, sleep=start_again)
    client.add("a", "proj.a", 60)
    server.kill()
    assert client.update("a", description="new").rev == 2
    assert naps
    client.close()


def test_a_call_that_fails_does_not_disturb_other_threads(valkey: Server) -> None:
    """A client that meets a dead connection drops its own connections, and no other client's."""
    client = Client(valkey.url(), prefix=PREFIX)
    client.add("a", "proj.a", 60)
    failures: list[BaseException] = []
    over = threading.Event()

    def work() -> None:
        try:
            while not over.is_set():
                client.get("a")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        valkey.admin.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    client.close()


def test_a_client_made_before_a_fork_works_on_both_sides(valkey: Server) -> None:
    client = Client(valkey.url(), prefix=PREFIX)
    client.add("parent", "proj.a", 60)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            client.add("child", "proj.a", 60)
            os.write(write_end, client.get("parent").name.encode())
        except BaseException as error:
            os.write(write_end, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    said = os.read(read_end, 1_000).decode()
    os.waitpid(child, 0)
    os.close(read_end)
    assert said == "parent"
    assert [entry.name for entry in client.list()] == ["child", "parent"]
    client.close()


def test_state_of_another_app_or_schema_is_not_written_to(valkey: Server, beat: Beat) -> None:
    app = Celery("other", broker=valkey.url())
    app.conf.habeat_key_prefix = PREFIX
    mine = Client(app)
    assert mine.add("before", "proj.a", 60).rev == 1  # no replica has led yet
    beat.lead()
    with pytest.raises(errors.ForeignState, match="another app"):
        mine.add("a", "proj.a", 60)
    valkey.admin.hset(BASE + "meta", "schema", "99")
    with pytest.raises(errors.ForeignState, match="schema 99"):
        Client(valkey.url(), prefix=PREFIX).update("before", description="x")
    assert [entry.name for entry in mine.list()] == ["before"]


def test_a_client_of_an_app_finds_everything_in_its_settings(valkey: Server) -> None:
    app = Celery("proj")
    client = Client(app)  # before it is configured
    app.conf.update(broker_url=valkey.url(3), timezone="Asia/Tokyo")
    entry = client.add("a", "proj.a", habeat.cron("0 8 * * *"))
    assert entry.schedule == habeat.cron("0 8 * * *", tz="Asia/Tokyo")
    assert valkey.client(3).hexists("{habeat:proj}:entries", "a")
    assert client.timezone == "Asia/Tokyo"
    client.close()


# -- looking back -------------------------------------------------------------------------------


def test_drift_and_history(client: Client, beat: Beat) -> None:
    beat.lead()
    for name, late_ms in (("bad", 30_000), ("good", 15_000)):
        client.add(name, "proj.a", habeat.every(10))
        beat.backdate(name, late_ms)
        assert beat.fire(name) == "ok"
        assert beat.fire(name) == "ok" if name == "bad" else True
    exact = client.drift(since=timedelta(minutes=1))
    rough = client.drift()
    assert [row.entry for row in exact] == [row.entry for row in rough] == ["bad", "good"]
    late = sorted(each.lateness_ms for each in client.history("bad") if each.lateness_ms)
    assert (exact[0].count, exact[0].p50_ms, exact[0].p99_ms) == (2, late[0], late[1])
    assert exact[0].max_ms == rough[0].max_ms == late[1]
    assert late[1] * 0.992 <= rough[0].p99_ms <= late[1]
    assert client.drift("good") == [rough[1]]
    assert client.drift(since=client.server_time() + timedelta(seconds=1)) == []
    with pytest.raises(errors.EntryNotFound):
        client.drift("nobody")
    with pytest.raises(errors.EntryNotFound):
        client.drift("nobody", since=timedelta(hours=1))
    newest, *older = client.history()
    assert (newest.entry, newest.outcome, newest.attempt) == ("good", "late", 1)
    assert newest.lease_epoch == beat.won.token.epoch if beat.won else False
    assert [each.entry for each in older] == ["bad", "bad"]
    assert len(client.history(limit=1)) == 1
    with pytest.raises(errors.ValidationError, match="timezone"):
        client.history(since=datetime(2026, 1, 1))


def test_status_of_a_running_cluster(client: Client, beat: Beat) -> None:
    won = beat.lead(dispatch="atomic", dispatch_why="one server", skew_ms=-7, clashes=["x"])
    beat.stand_by("beta", tzdata="2025.2", skew_ms=3)
    beat.stand_by("gamma", inert="another app", unstorable={"u": "a set"})
    client.add("a", "proj.a", habeat.every(10))
    client.add("b", "proj.b", 60)
    client.pause("b")
    beat.backdate("a", 30_000)
    assert beat.fire("a") == "ok"
    status = client.status()
    assert status.leader is not None
    assert (status.leader.host, status.leader.pid, status.leader.cause) == ("alpha", 11, "first")
    assert status.leader.lease_epoch == won.token.epoch
    assert status.leader.since is not None
    assert abs(status.leader.since - status.at) < timedelta(seconds=60)
    assert [each.host for each in status.standbys] == ["beta"]
    assert [(each.host, each.inert) for each in status.inert] == [("gamma", "another app")]
    assert (status.dispatch, status.dispatch_why) == ("atomic", "one server")
    assert (status.entries.total, status.entries.active, status.entries.paused) == (2, 1, 1)
    assert status.next_due is not None
    assert status.next_due[0] == "a"
    assert (status.overdue, status.beyond_grace) == (1, 0)
    assert status.clock_skew_ms == -7
    assert status.tzdata == ("2025.2", "2026.1")
    assert (status.clashes, status.unstorable) == (("x",), {"u": "a set"})
    assert (status.accounting.claimed, status.accounting.settled) == (1, 1)
    assert status.healthy
    assert len(status.replicas) == 3


def test_status_when_things_are_bad(client: Client, beat: Beat, valkey: Server) -> None:
    assert client.status().problems == ("no leader; no beat is running",)
    beat.lead()
    assert client.status().healthy
    client.add("a", "proj.a", habeat.every(10))
    beat.backdate("a", HOUR_MS)
    led_us = int(valkey.admin.hget(BASE + "meta", "leader_since")) - HOUR_MS * 1_000  # type: ignore[arg-type]
    valkey.admin.hset(BASE + "meta", "leader_since", led_us)
    valkey.admin.hset(BASE + "quarantine", "q", "why")
    valkey.admin.hincrby(BASE + "meta", "claimed", 2)
    status = client.status()
    assert [sentence.split()[0] for sentence in status.problems] == ["nothing", "1", "the"]
    assert status.accounting.difference == 2
    assert status.quarantined == {"q": "why"}
    valkey.admin.delete(BASE + "lease")
    assert client.status().leader is None


def test_counters_read_in_the_middle_of_a_firing_are_looked_at_again(
    client: Client, beat: Beat, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat.lead()
    valkey.admin.hset(BASE + "meta", "claimed", 1)
    real = Inspection.facts
    looks: list[int] = []

    def facts(inspection: Inspection) -> Any:
        found = real(inspection)
        looks.append(1)
        valkey.admin.hset(BASE + "meta", "settled", 1)
        return found

    monkeypatch.setattr(Inspection, "facts", facts)
    assert client.status().healthy
    assert len(looks) == 2


def test_preview_of_entries_and_schedules(client: Client) -> None:
    client.add("daily", "proj.a", habeat.cron("30 2 * * *", tz="Europe/Berlin"))
    start = datetime(2026, 3, 28, tzinfo=UTC)
    slots = client.preview("daily", 2, start)
    assert [f"{slot.nominal:%d %H:%M %z}" for slot in slots] == ["28 02:30 +0100", "29 03:00 +0200"]
    assert slots[1].nominal_utc == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert slots[1].effective == slots[1].nominal
    tokyo = Client("redis://nowhere:1/0", prefix=PREFIX, timezone="Asia/Tokyo")
    (slot,) = tokyo.preview(habeat.cron("0 8 * * *"), 1, start)
    assert f"{slot.nominal:%H:%M %Z}" == "08:00 JST"
    now = client.server_time()
    (coming,) = client.preview(timedelta(hours=1), 1)
    assert now < coming.nominal <= client.server_time() + timedelta(hours=1)
    with pytest.raises(errors.EntryNotFound):
        client.preview("nobody")
    with pytest.raises(errors.ValidationError):
        client.preview("daily", 0)


# -- export and load ----------------------------------------------------------------------------


def test_export_and_load_make_the_same_schedule_elsewhere(
    client: Client, beat: Beat, valkey: Server
) -> None:
    beat.declare(Entry("code", "proj.c", habeat.every(60).bound("code", "UTC"), owner="config"))
    client.add("a", "proj.a", 300, (Decimal("1.5"),), {"at": datetime(2030, 1, 1, tzinfo=UTC)})
    client.add("b", {"task": "proj.b", "args": [1], "kwargs": {}}, 60, tags=["t"], misfire="skip")
    client.add("c", "proj.c", habeat.cron("0 8 * * *", tz="Europe/Berlin"), enabled=False)
    client.pause("b", "moving house")
    client.pause("code", "too")
    data = json.loads(json.dumps(client.export()))
    assert {item["name"]: item["owner"] for item in data["entries"]} == {
        "a": "api",
        "b": "api",
        "c": "api",
        "code": "config",
    }
    with Client(valkey.url(5), prefix="habeat:new") as other:
        dry = other.load(data, dry_run=True)
        assert (dry.added, dry.written) == (("a", "b", "c"), False)
        assert list(other.list()) == []
        done: list[tuple[int, int]] = []
        report = other.load(data, progress=lambda *counts: done.append(counts))
        assert (report.added, report.changed, report.written) == (("a", "b", "c"), (), True)
        assert list(report.left) == ["code"]
        assert done == [(3, 3)]
        for name in ("a", "b", "c"):
            old, new = client.get(name), other.get(name)
            assert encode_without_history(new) == encode_without_history(old)
            assert (new.condition, new.state.paused) == (old.condition, old.state.paused)
        again = other.load(data)
        assert (again.added, again.changed, again.unchanged) == ((), (), ("a", "b", "c"))
        assert other.get("a").rev == 1
        other.update("a", args=[1])
        other.resume("b")
        back = other.load(data)
        assert (back.changed, back.unchanged) == (("a", "b"), ("c",))
        assert other.get("b").state.paused == "moving house"
        assert other.get("a").args == (Decimal("1.5"),)
    client.resume("code")
    assert client.load(data).changed == ("code",)
    assert client.get("code").state.paused == "too"


def encode_without_history(entry: Entry) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(encode(entry))
    return {key: value for key, value in data.items() if key not in ("rev", "created_ms")}


def test_a_document_with_one_bad_entry_writes_nothing(client: Client, beat: Beat) -> None:
    beat.declare(Entry("code", "proj.c", habeat.every(60), owner="config"))
    every_minute = {"kind": "interval", "every_ms": 60_000}
    good = {"name": "good", "task": "proj.a", "schedule": every_minute}
    for bad, why in (
        ({**good, "name": "bad", "schedule": {"kind": "tides"}}, "kind"),
        ({**good, "name": "bad", "args": "abc"}, "args"),
        ({**good, "name": "bad", "misfire": "never"}, "never"),
        ({**good, "name": "bad", "options": {"task_id": "x"}}, "task_id"),
        ({**good, "name": "bad", "paused": 1}, "paused"),
        ({"name": "bad", "schedule": every_minute}, "task"),
        ({**good, "name": "code"}, "beat_schedule"),
        (good, "once"),
        ("text", "name"),
    ):
        report = client.load({"habeat_export": 1, "entries": [good, bad]})
        (fields,) = report.refused.values()
        assert why in fields
        assert not report.written
        assert [entry.name for entry in client.list()] == ["code"]
    for no_document in ([], {}, {"habeat_export": 2, "entries": []}, {"habeat_export": 1}):
        with pytest.raises(errors.ValidationError):
            client.load(no_document)  # type: ignore[arg-type]
    assert client.load({"habeat_export": 1, "entries": [good]}).added == ("good",)
    assert client.get("good").schedule == habeat.every(60).bound("good", "UTC")


def test_thousands_are_loaded_in_batches(client: Client) -> None:
    entries = [
        {"name": f"e{n:04}", "task": "proj.a", "schedule": {"kind": "interval", "every_ms": 60_000}}
        for n in range(1_050)
    ]
    done: list[tuple[int, int]] = []
    report = client.load(
        {"habeat_export": 1, "entries": entries}, progress=lambda *counts: done.append(counts)
    )
    assert len(report.added) == 1_050
    assert done[-1] == (1_050, 1_050)
    assert len(done) == 1_050 // WRITTEN
    assert sum(1 for _ in client.list(prefix="e")) == 1_050


def test_tags_to_remove_may_come_from_an_iterator(client: Client) -> None:
    client.add("a1", "t", 60, tags=["x"])
    client.add("a2", "t", 60, tags=["y"])
    assert client.remove(prefix="a", tags=(tag for tag in ["x"])) == 1
    assert [entry.name for entry in client.list()] == ["a2"]
