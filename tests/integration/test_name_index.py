"""The index of names: entries are listed in order, from a prefix on, without reading all names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from habeat.client import Client
from habeat.ports.entries import Removal
from habeat.store.name_index import REINDEX
from habeat.store.pages import PAGE
from tests.integration.decoding import names_decoded
from tests.integration.scripts.bench import Bench
from tests.integration.test_bounded_calls import asked_for
from tests.support.servers.redis_server import Server

PREFIX = "habeat:bench"
#: In the order of their bytes, as Python sorts them by code points.
NAMES = ["a", "a b", "a:1", "a:10", "a:2", "b", "z", "é", "日", "\U0001f600"]


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey)


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def listed(client: Client, **given: Any) -> list[str]:
    return [entry.name for entry in client.list(**given)]


def test_entries_are_listed_in_order_and_by_their_beginning(client: Client) -> None:
    for name in reversed(NAMES):
        client.add(name, "t", 60)
    assert listed(client) == NAMES == sorted(NAMES)
    assert listed(client, prefix="a:") == ["a:1", "a:10", "a:2"]
    assert listed(client, prefix="é") == ["é"]
    assert listed(client, prefix="nobody") == []
    client.remove("a:10")
    client.rename("b", "a:3")
    assert listed(client, prefix="a:") == ["a:1", "a:2", "a:3"]
    assert "b" not in listed(client)
    assert client.remove(prefix="a:") == 3
    assert listed(client, prefix="a") == ["a", "a b"]


def test_a_list_begins_after_a_name(client: Client, bench: Bench) -> None:
    for name in NAMES:
        client.add(name, "t", 60)
    assert listed(client, after="a:10") == ["a:2", "b", "z", "é", "日", "\U0001f600"]
    assert listed(client, prefix="a:", after="a:10") == ["a:2"]
    assert listed(client, prefix="a:", after="a") == ["a:1", "a:10", "a:2"]
    assert listed(client, prefix="a:", after="a:") == ["a:1", "a:10", "a:2"]
    assert listed(client, prefix="a:", after="z") == []
    assert listed(client, after="\U0001f600") == []
    bench.admin.hset(bench.keys.quarantine, "a:3", "set aside")
    bench.admin.hset(bench.keys.quarantine, "a", "set aside")
    assert listed(client, prefix="a", after="a:2") == ["a:3"]


def test_many_pages(client: Client, bench: Bench) -> None:
    names = sorted(f"{n:04x}" for n in range(2 * PAGE))
    client.add_many([{"name": name, "task": "t", "schedule": 60} for name in names])
    assert listed(client) == names
    for name in (names[10], names[PAGE], "zz", "0"):
        bench.admin.hset(bench.keys.quarantine, name, "set aside")
        bench.admin.hdel(bench.keys.entries, name)
    assert listed(client) == sorted({*names, "zz", "0"})


def test_a_prefix_asks_for_no_other_names(client: Client, bench: Bench) -> None:
    many = [{"name": f"other:{n}", "task": "t", "schedule": 60} for n in range(500)]
    client.add_many([*many, {"name": "mine:1", "task": "t", "schedule": 60}])
    assert listed(client, prefix="mine:") == ["mine:1"]
    asked = asked_for(bench, lambda: listed(client, prefix="mine:"))
    assert not asked.keys() & {"hkeys", "hgetall", "sscan"}
    assert asked["hget"] < 20
    assert asked["zrangebylex"] == 1


def older_release(bench: Bench) -> None:
    """It writes and removes entries, and does not know the index."""
    bench.admin.hset(bench.keys.entries, "from before", bench.admin.hget(bench.keys.entries, "a"))


def by_hand(bench: Bench) -> None:
    bench.admin.hdel(bench.keys.entries, "b")


def another_type(bench: Bench) -> None:
    bench.admin.delete(bench.keys.names)
    bench.admin.set(bench.keys.names, "x")


def stranger(bench: Bench) -> None:
    bench.admin.zrem(bench.keys.names, "a")
    bench.admin.zadd(bench.keys.names, {"stranger": 0})
    bench.admin.hdel(bench.keys.meta, "names")


HARM: dict[str, Callable[[Bench], Any]] = {
    "an older release wrote": older_release,
    "removed by hand": by_hand,
    "never made": lambda bench: bench.admin.hdel(bench.keys.meta, "names"),
    "lost": lambda bench: bench.admin.delete(bench.keys.names),
    "another type": another_type,
    "a stranger for an entry": stranger,
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_an_index_that_was_harmed_is_made_again(
    client: Client, bench: Bench, harm: Callable[[Bench], Any]
) -> None:
    for name in NAMES:
        client.add(name, "t", 60)
    assert listed(client) == NAMES
    harm(bench)
    wanted = sorted(name.decode() for name in bench.admin.hkeys(bench.keys.entries))
    assert listed(client) == wanted
    assert [name.decode() for name in bench.admin.zrange(bench.keys.names, 0, -1)] == wanted
    assert "zadd" not in asked_for(bench, lambda: listed(client))


def test_scripts_keep_the_index(client: Client, bench: Bench) -> None:
    """None of them makes a rebuild necessary."""
    for name in NAMES:
        client.add(name, "t", 60)
    listed(client)
    client.remove("a")
    client.rename("z", "y")
    client.add("a", "t", 60, replace=True)
    client.update("b", description="x")
    found = bench.entries.read(["é"]).stored[0]
    bench.entries.remove([Removal("é", found.digest, None, None, "")])
    assert bench.entries.index.page("", b"", 100) is not None
    assert bench.admin.zcard(bench.keys.names) == bench.admin.hlen(bench.keys.entries)


def test_an_entry_is_written_whatever_was_done_to_the_index(client: Client, bench: Bench) -> None:
    bench.admin.set(bench.keys.names, "x")
    client.add("a", "t", 60)
    client.rename("a", "b")
    client.remove("b")
    client.add("c", "t", 60)
    assert listed(client) == ["c"]


def test_the_index_is_made_in_slices(bench: Bench) -> None:
    for number in range(50):
        bench.admin.hset(bench.keys.entries, f"{number:03}" * 50, "{}")
    at, slices = REINDEX, 0
    while at[0] != "done":
        at, slices = bench.entries.index.make(at, 10), slices + 1
    assert bench.admin.zcard(bench.keys.names) == 50
    assert slices > 5


def test_entries_are_found_by_what_is_in_them(client: Client, bench: Bench) -> None:
    """However a definition is written: a text may be escaped, or typed by a person."""
    client.add("plain", "t", 60, tags=["red", "big"])
    client.add("accent", "t", 60, tags=["é", "red"])
    client.add("quote", "t", 60, tags=['a"b', "red"])
    client.add("other", "t", 60, tags=["blue"], kwargs={"red": "config"})
    typed = '{"v":1,"task":"t","owner":"api","rev":1,"created_ms":1,"tags":["é","r\\u0065d"],'
    typed += '"schedule":{"kind":"interval","every_ms":60000,"offset_ms":0,"align":"own"}}'
    bench.admin.hset(bench.keys.entries, "typed", typed)
    assert listed(client, tags=["red"]) == ["accent", "plain", "quote", "typed"]
    assert listed(client, tags=["red", "é"]) == ["accent", "typed"]
    assert listed(client, tags=['a"b']) == ["quote"]
    assert listed(client, owner="api", tags=["blue"]) == ["other"]
    assert listed(client, owner="config") == []


def test_entries_that_are_not_meant_are_not_decoded(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{"name": f"{n:03}", "task": "t", "schedule": 60, "tags": ["no"]} for n in range(300)]
    client.add_many([*many, {"name": "yes", "task": "t", "schedule": 60, "tags": ["yes"]}])
    decoded = names_decoded(monkeypatch)
    assert listed(client, tags=["yes"]) == ["yes"]
    assert decoded == ["yes"]
