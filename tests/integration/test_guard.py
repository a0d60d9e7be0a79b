"""A guarded client: its scope holds for every call, and what is refused writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat.core.circuit import Circuit
from habeat.core.request import Request
from habeat.entries.codec import encode_request
from habeat.errors import BulkError, DeadNotFound, EntryNotFound, NotAllowed, ValidationError
from habeat.store.keys import Keys
from tests.support.servers.redis_server import Server

PREFIX = "habeat:guarded"
PAST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def free(valkey: Server) -> Iterator[habeat.Client]:
    with habeat.Client(valkey.url(), prefix=PREFIX) as client:
        client.add("t7:a", "reports.a", 300, tags=["t7"])
        client.add("t8:a", "reports.a", 300, tags=["t8"], options={"queue": "admin"})
        yield client


@pytest.fixture(params=["prefix", "tag"])
def scope(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"prefix": "t7:"} if request.param == "prefix" else {"tag": "t7"}


@pytest.fixture
def tenant(free: habeat.Client, valkey: Server, scope: dict[str, str]) -> Iterator[habeat.Client]:
    guard = habeat.Guard(
        **scope, tasks=["reports.*"], queues=["tenants"], max_entries=3, min_interval=60
    )
    with habeat.Client(valkey.url(), prefix=PREFIX, guard=guard) as client:
        yield client


def everything(client: habeat.Client) -> Any:
    return {**client.export(), "exported_at": None}


@pytest.mark.parametrize("name", [5, "", "\ud800", b"t7:a"])
def test_what_is_no_name_has_no_history(tenant: habeat.Client, name: Any) -> None:
    for call in (tenant.history, tenant.drift, tenant.circuit, tenant.explain):
        with pytest.raises(ValidationError, match="invalid name"):
            call(name)


CHANGES: dict[str, Callable[[habeat.Client], Any]] = {
    "update": lambda c: c.update("t8:a", description="x"),
    "replace": lambda c: c.add("t8:a", "reports.a", 300, tags=["t7"], replace=True),
    "remove": lambda c: c.remove("t8:a"),
    "pause": lambda c: c.pause("t8:a"),
    "resume": lambda c: c.resume("t8:a"),
    "rename": lambda c: c.rename("t8:a", "t7:b"),
    "disable many": lambda c: c.disable_many(["t7:a", "t8:a"]),
    "trigger": lambda c: c.trigger("t8:a"),
    "backfill": lambda c: c.backfill("t8:a", PAST, PAST + timedelta(hours=1)),
    "another task": lambda c: c.add("t7:b", "admin.wipe", 300, tags=["t7"]),
    "another task by update": lambda c: c.update("t7:a", task="admin.wipe"),
    "another queue": lambda c: c.add("t7:b", "reports.b", 300, tags=["t7"], options={"queue": "q"}),
    "too often": lambda c: c.update("t7:a", schedule=1),
    "out of the scope": lambda c: c.add("x", "reports.a", 300),
    "many": lambda c: c.add_many(
        [{"name": f"t7:{n}", "task": "reports.a", "schedule": 300, "tags": ["t7"]} for n in "bcd"]
    ),
    "one of many": lambda c: c.add_many(
        [
            {"name": "t7:b", "task": "reports.a", "schedule": 300, "tags": ["t7"]},
            {"name": "t7:c", "task": "admin.wipe", "schedule": 300, "tags": ["t7"]},
        ]
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_not_allowed_writes_nothing(
    free: habeat.Client, tenant: habeat.Client, change: Callable[[habeat.Client], Any]
) -> None:
    before = everything(free)
    with pytest.raises((NotAllowed, BulkError)):
        change(tenant)
    assert everything(free) == before


def test_what_is_allowed_is_done(free: habeat.Client, tenant: habeat.Client) -> None:
    tenant.add("t7:b", "reports.b", 60, tags=["t7"], options={"queue": "tenants"})
    tenant.update("t7:b", description="x")
    tenant.pause("t7:b")
    tenant.resume("t7:b")
    tenant.rename("t7:b", "t7:c")
    tenant.trigger("t7:c")
    tenant.add("t7:d", "reports.b", 60, tags=["t7"])
    with pytest.raises(NotAllowed, match="at most 3 entries; there are 3"):
        tenant.add("t7:e", "reports.b", 60, tags=["t7"])
    assert tenant.remove("t7:c") == 1
    tenant.add("t7:e", "reports.b", 60, tags=["t7"])
    assert {entry.name for entry in free.list()} == {"t7:a", "t7:d", "t7:e", "t8:a"}


def test_only_the_scope_is_seen(tenant: habeat.Client) -> None:
    assert [entry.name for entry in tenant.list()] == ["t7:a"]
    assert [entry["name"] for entry in tenant.export()["entries"]] == ["t7:a"]
    assert tenant.get("t7:a").name == "t7:a"
    assert tenant.history("t7:a") == []
    assert [name for name, _ in tenant.upcoming()] == ["t7:a"]
    for call in (tenant.get, tenant.preview, tenant.history, tenant.drift, tenant.explain):
        with pytest.raises(EntryNotFound):
            call("t8:a")
    for look in (tenant.history, tenant.drift):
        with pytest.raises(NotAllowed):
            look()


def test_a_trigger_sends_only_what_is_allowed(free: habeat.Client, valkey: Server) -> None:
    free.add("t7:map", "celery.map", 300, args=["reports.a", [1]])
    guard = habeat.Guard(prefix="t7:", tasks=["celery.map", "reports.*"])
    with habeat.Client(valkey.url(), prefix=PREFIX, guard=guard) as client:
        with pytest.raises(NotAllowed, match="args"):
            client.trigger("t7:map", args=["admin.wipe", [1]])
        with pytest.raises(NotAllowed, match="args"):
            client.trigger_many(["t7:map"], args=["admin.wipe", [1]])
        client.trigger("t7:map", args=["reports.b", [1]])


def test_only_the_dead_letters_of_the_scope_are_seen(
    free: habeat.Client, tenant: habeat.Client, valkey: Server
) -> None:
    keys, at_ms = Keys(PREFIX), 1_800_000_000_000
    for at, name in enumerate(("t7:a", "t8:a")):
        request = encode_request(Request("trigger", name, at_ms))
        valkey.admin.hset(keys.dead, f"request {name}", request)
        valkey.admin.zadd(keys.dead_at, {f"request {name}": at_ms + at})
    assert [letter.entry for letter in free.dead()] == ["t7:a", "t8:a"]
    assert [letter.entry for letter in tenant.dead()] == ["t7:a"]
    assert tenant.dead("t8:a") == []
    assert tenant.purge_dead(entry="t8:a") == 0
    for call in (tenant.dead_letter, tenant.resend, tenant.purge_dead):
        with pytest.raises(DeadNotFound):
            call("request t8:a")
    for older_than in (None, timedelta(0)):
        with pytest.raises(NotAllowed, match="this client has a scope"):
            tenant.purge_dead(older_than=older_than)
    assert len(free.dead()) == 2
    assert tenant.dead_letter("request t7:a").entry == "t7:a"
    assert tenant.purge_dead("request t7:a") == 1
    assert [letter.entry for letter in free.dead()] == ["t8:a"]


def test_the_circuits_of_other_scopes_are_not_seen(tenant: habeat.Client) -> None:
    assert tenant.circuit("t7:a") is None
    with pytest.raises(EntryNotFound):
        tenant.circuit("t8:a")


def test_the_status_names_no_host_and_no_entry_outside_the_scope(
    free: habeat.Client, tenant: habeat.Client, valkey: Server
) -> None:
    keys = Keys(PREFIX)
    facts = {"host": "web-17.internal", "pid": 9, "clashes": ["t8:a"], "inert": "no web-18"}
    valkey.admin.set(keys.lease, "7:leader", px=60_000)
    for nonce in ("leader", "other"):
        valkey.admin.hset(keys.replicas, nonce, json.dumps(facts))
        valkey.admin.zadd(keys.seen, {nonce: valkey.admin.time()[0] * 1_000})
    for name in ("t7:a", "t8:a"):
        circuit = Circuit.opened(5, "boom", 1).to_json()
        valkey.admin.hset(keys.circuits, name, circuit)
    valkey.admin.hset(keys.meta, "claimed", 5)
    free.pause("t8:a", "a reason")
    whole, seen = free.status(), tenant.status()
    assert "t8:a" in repr(whole)
    assert "web-17" in repr(whole)
    for secret in ("t8:a", "web-1", "reports", "leader'", "other'"):
        assert secret not in repr(seen)
    assert (seen.entries.total, seen.entries.paused, seen.leader is None) == (1, 0, False)
    assert seen.problems == ("1 entry is failing: 't7:a'",)
    assert seen.next_due == ("t7:a", free.get("t7:a").state.next_due)
    valkey.admin.hdel(keys.circuits, "t7:a")
    assert "tell the people who operate it" in tenant.status().problems[0]


def test_a_name_outside_the_scope_is_refused_whether_it_exists_or_not(
    free: habeat.Client, valkey: Server
) -> None:
    with habeat.Client(valkey.url(), prefix=PREFIX, guard=habeat.Guard(prefix="t7:")) as client:
        for name in ("t8:a", "t8:none"):
            with pytest.raises(NotAllowed):
                client.rename("t7:a", name)
            for call in (client.add_many, lambda given: client.sync(given, tag="mine")):
                with pytest.raises(BulkError) as error:
                    call([{"name": name, "task": "reports.a", "schedule": 300}])
                assert isinstance(error.value.errors[name], NotAllowed)


def test_a_used_request_id_does_not_name_an_entry_outside_the_scope(
    free: habeat.Client, valkey: Server
) -> None:
    free.trigger("t8:a", request_id="first")
    guard = habeat.Guard(prefix="t7:")
    with (
        habeat.Client(valkey.url(), prefix=PREFIX, guard=guard) as client,
        pytest.raises(ValidationError, match="used for another entry"),
    ):
        client.trigger("t7:a", request_id="first")
    with pytest.raises(ValidationError, match="used for entry 't8:a'"):
        free.trigger("t7:a", request_id="first")


def test_backfills_and_catch_up_keep_to_the_shortest_interval(
    free: habeat.Client, valkey: Server
) -> None:
    """Else a tenant could fire a hundred thousand past slots at a thousand a second."""
    hour = (PAST, PAST + timedelta(hours=1))
    guard = habeat.Guard(prefix="t7:", min_interval=60)
    with habeat.Client(valkey.url(), prefix=PREFIX, guard=guard) as client:
        for pace in (10, 0.017):
            with pytest.raises(NotAllowed, match=r"pace: expected at most 0.0167 firings"):
                client.backfill("t7:a", *hour, pace=pace)
        with pytest.raises(NotAllowed, match="names that begin with"):
            client.backfill("t8:a", *hour, pace=10)
        assert client.backfill("t7:a", *hour, dry_run=True).pace == 1 / 60
        assert client.backfill("t7:a", *hour, pace=0.01, dry_run=True).pace == 0.01
        with pytest.raises(NotAllowed, match="misfire_pace"):
            client.update("t7:a", misfire_pace=50)
        assert client.update("t7:a", misfire_pace=0.01).misfire_pace == 0.01
    assert free.backfill("t7:a", *hour, dry_run=True).pace == 10


def test_removing_many_stays_in_the_scope(free: habeat.Client, tenant: habeat.Client) -> None:
    assert tenant.remove(prefix="t") == 1
    assert [entry.name for entry in free.list()] == ["t8:a"]


def test_a_document_is_loaded_within_the_scope(free: habeat.Client, tenant: habeat.Client) -> None:
    document = free.export()
    before = everything(free)
    for entry in document["entries"]:
        entry["description"] = "loaded"
    assert set(tenant.load(document).refused) == {"t8:a"}
    assert everything(free) == before
    document["entries"] = [entry for entry in document["entries"] if entry["name"] == "t7:a"]
    tenant.load(document)
    assert free.get("t7:a").description == "loaded"
    assert everything(free) != before
