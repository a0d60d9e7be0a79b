"""A guard's `max_entries`: how it is counted, and that simultaneous calls do not get past it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import habeat
from habeat.errors import NotAllowed
from habeat.store.entries import EntryStore
from habeat.store.pages import WRITTEN
from tests.integration.decoding import names_decoded
from tests.integration.scripts.bench import Bench
from tests.integration.test_bounded_calls import asked_for
from tests.support.servers.redis_server import Server

PREFIX = "habeat:bench"
EVERY = habeat.every(60).to_json()


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey)


@pytest.fixture
def free(valkey: Server) -> Iterator[habeat.Client]:
    with habeat.Client(valkey.url(), prefix=PREFIX) as made:
        names = [f"other-{number}" for number in range(300)]
        made.add_many([{"name": name, "task": "t", "schedule": 60} for name in names])
        yield made


def guarded(valkey: Server, most: int, **scope: str) -> habeat.Client:
    guard = habeat.Guard(**scope, max_entries=most)
    return habeat.Client(valkey.url(), prefix=PREFIX, guard=guard)


@pytest.fixture
def tenant(valkey: Server, free: habeat.Client) -> Iterator[habeat.Client]:
    with guarded(valkey, 3, prefix="t7:") as made:
        yield made


def many(count: int) -> list[dict[str, Any]]:
    return [{"name": f"t7:{number}", "task": "t", "schedule": 60} for number in range(count)]


def document(count: int) -> dict[str, Any]:
    found = [{"name": f"t7:{n}", "task": "t", "schedule": EVERY} for n in range(count)]
    return {"habeat_export": 1, "entries": found}


def test_a_prefix_is_counted_without_reading_names(tenant: habeat.Client, bench: Bench) -> None:
    tenant.add("t7:a", "t", 60)
    asked = asked_for(bench, lambda: tenant.add("t7:b", "t", 60))
    assert not asked.keys() & {"hkeys", "hscan", "zrangebylex", "hgetall"}
    assert asked["zlexcount"] == 2, "before the write, and in it"
    assert asked["hget"] < 20


@pytest.mark.parametrize("harm", ["names", "meta"])
def test_a_prefix_is_counted_where_the_index_is_not_whole(
    tenant: habeat.Client, bench: Bench, harm: str
) -> None:
    tenant.add_many(many(3))
    if harm == "names":
        bench.admin.delete(bench.keys.names)
    else:
        bench.admin.hdel(bench.keys.meta, "names")
    with pytest.raises(NotAllowed, match="there are 3"):
        tenant.add("t7:more", "t", 60)


def test_a_prefix_is_counted_while_an_older_release_is_writing(
    tenant: habeat.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not maintain the index, which is then never complete."""
    monkeypatch.setattr("habeat.store.name_index.NameIndex.count", lambda *_: None)
    tenant.add_many(many(3))
    with pytest.raises(NotAllowed, match="there are 3"):
        tenant.add("t7:more", "t", 60)


ADDING: dict[str, Callable[[habeat.Client], Any]] = {
    "add": lambda c: c.add("t7:new", "t", 60),
    "add_many": lambda c: c.add_many(many(1)),
    "load": lambda c: c.load(document(1)),
}


@pytest.mark.parametrize("add", ADDING.values(), ids=ADDING)
@pytest.mark.parametrize("scope", [{"prefix": "t7:"}, {}], ids=["prefix", "all"])
def test_what_others_add_between_count_and_write_is_counted(
    valkey: Server,
    free: habeat.Client,
    monkeypatch: pytest.MonkeyPatch,
    add: Callable[[habeat.Client], Any],
    scope: dict[str, str],
) -> None:
    real = EntryStore.write_within

    def write_within(store: EntryStore, *given: Any) -> Any:
        with suppress(habeat.errors.EntryExists):
            free.add("t7:theirs", "t", 60)
        return real(store, *given)

    monkeypatch.setattr(EntryStore, "write_within", write_within)
    most = 1 if scope else 301
    with guarded(valkey, most, **scope) as client, pytest.raises(NotAllowed, match="at most"):
        add(client)
    assert [entry.name for entry in free.list(prefix="t7:")] == ["t7:theirs"]


def test_of_simultaneous_calls_as_many_succeed_as_there_is_room_for(
    valkey: Server, free: habeat.Client
) -> None:
    together = threading.Barrier(8)

    def add(number: int) -> None:
        with guarded(valkey, 3, prefix="t7:") as client:
            together.wait()
            with suppress(NotAllowed):
                client.add(f"t7:{number}", "t", 60)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(free.list(prefix="t7:"))) == 3


def test_many_have_room_together_or_not_at_all(
    tenant: habeat.Client, free: habeat.Client, valkey: Server
) -> None:
    with pytest.raises(NotAllowed):
        tenant.add_many(many(4))
    report = tenant.load(document(4))
    assert list(report.refused) == ["t7:3"]
    assert "at most 3 entries; there are 0" in report.refused["t7:3"]
    assert not report.written
    with guarded(valkey, WRITTEN + 1, prefix="t7:") as client:
        with pytest.raises(NotAllowed):
            client.add_many(many(WRITTEN + 2))
        assert list(free.list(prefix="t7:")) == []
        assert len(client.add_many(many(WRITTEN + 1))) == WRITTEN + 1
        client.update("t7:0", description="a full scope can still be changed")
        client.load(document(WRITTEN + 1))


def test_a_tag_is_counted_without_decoding_the_others(
    valkey: Server, free: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        free.add(f"mine-{number}", "t", 60, tags=["t7"])
    decoded = names_decoded(monkeypatch)
    with (
        guarded(valkey, 3, tag="t7") as client,
        pytest.raises(NotAllowed, match="there are 3"),
    ):
        client.add("mine-3", "t", 60, tags=["t7"])
    assert sorted(decoded) == ["mine-0", "mine-1", "mine-2"]
