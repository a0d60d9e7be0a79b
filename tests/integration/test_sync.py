"""A list of entries with one tag: what a sync adds, changes and removes, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat import errors
from habeat.client import Client, SyncPlan
from habeat.config.redis_target import redis_target
from habeat.core.entry import Entry
from habeat.entries.codec import encode
from habeat.ports import StoreUnavailable
from habeat.ports.entries import Position, Write
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from habeat.store.pages import WRITTEN
from tests.support.servers.redis_server import Server

PREFIX = "habeat:sync"
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX, timeout=2.0) as made:
        yield made


@pytest.fixture
def other(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


@pytest.fixture
def declare(valkey: Server) -> Iterator[Callable[..., None]]:
    """Declares an entry of beat_schedule, as a leader does."""
    connections = Connections(redis_target(valkey.url()))
    store = EntryStore(Caller(connections, Keys(PREFIX)))

    def declared(name: str, **fields: Any) -> None:
        schedule = habeat.every(60).bound(name, "UTC")
        entry = Entry(name, "t", schedule, owner="config", **fields)
        now_ms = store.read([]).now_ms
        slot_ms = entry.next_slot_ms(now_ms)
        position = Position(now_ms, slot_ms, slot_ms)
        assert store.write([Write(name, "", encode(entry), owned=True, position=position)]) is None

    yield declared
    connections.close()


def item(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "task": "t", "schedule": 60, **fields}


def stored(client: Client) -> list[str]:
    return [entry.name for entry in client.list()]


def test_the_first_sync_adds_all_with_the_tag(client: Client) -> None:
    plan = client.sync([item("a"), item("b", tags=["x"]), item("c", tags=["team"])], tag="team")
    assert plan == SyncPlan("team", added=("a", "b", "c"), written=True)
    assert client.get("a").tags == ("team",)
    assert client.get("b").tags == ("x", "team")
    assert client.get("c").tags == ("team",)


def test_a_sync_of_what_is_stored_writes_nothing(client: Client) -> None:
    entries = [item("a"), item("b", spread=5)]
    client.sync(entries, tag="team")
    before = [client.get("a"), client.get("b")]
    plan = client.sync(entries, tag="team")
    assert plan == SyncPlan("team", unchanged=("a", "b"), written=True)
    assert plan.in_sync
    assert [client.get("a"), client.get("b")] == before
    assert [each.state for each in before] == [client.get(each.name).state for each in before]


def test_a_sync_adds_changes_and_removes(client: Client) -> None:
    client.sync([item("a"), item("b"), item("c")], tag="team")
    entries = [item("a"), item("b", schedule=120, spread=3), item("d")]
    planned = client.sync(entries, tag="team", dry_run=True)
    assert planned == SyncPlan("team", ("d",), {"b": ("schedule", "spread")}, ("c",), ("a",))
    assert not planned.in_sync
    assert stored(client) == ["a", "b", "c"]
    assert client.get("b").rev == 1
    done = client.sync(entries, tag="team")
    assert (done.added, done.changed, done.removed) == (
        planned.added,
        planned.changed,
        planned.removed,
    )
    assert done.written
    assert stored(client) == ["a", "b", "d"]
    assert client.get("b").spread == timedelta(seconds=3)


def test_without_entries_all_that_have_the_tag_are_removed(client: Client) -> None:
    client.add("mine", "t", 60, tags=["team-2"])
    client.sync([item("a"), item("b")], tag="team")
    assert client.sync([], tag="team").removed == ("a", "b")
    assert stored(client) == ["mine"]


def test_entries_without_the_tag_are_neither_changed_nor_removed(client: Client) -> None:
    client.add("mine", "t", 60, tags=["other"])
    before = client.get("mine")
    with pytest.raises(errors.BulkError, match="give that entry the tag 'team'") as caught:
        client.sync([item("a"), item("mine", schedule=5)], tag="team")
    assert list(caught.value.errors) == ["mine"]
    assert isinstance(caught.value.errors["mine"], errors.EntryExists)
    assert stored(client) == ["mine"]
    assert client.get("mine") == before


def test_the_advice_for_an_entry_without_the_tag_works(client: Client) -> None:
    client.add("mine", "t", 60, tags=["other"])
    client.update("mine", tags=[*client.get("mine").tags, "team"])
    plan = client.sync([item("mine", schedule=5)], tag="team")
    assert plan.changed == {"mine": ("schedule", "tags")}
    assert client.get("mine").tags == ("team",)


def test_entries_of_the_code_are_left_alone_even_with_the_tag(
    client: Client, declare: Callable[..., None]
) -> None:
    declare("coded", tags=("team",))
    assert client.sync([item("a")], tag="team").removed == ()
    with pytest.raises(errors.BulkError, match="declared in beat_schedule"):
        client.sync([item("coded")], tag="team")
    assert stored(client) == ["a", "coded"]
    assert client.get("coded").owner == "config"


def test_all_that_is_wrong_is_found_before_anything_is_written(client: Client) -> None:
    client.sync([item("old")], tag="team")
    wrong = [item("a"), item("b", misfire="lastest"), {"name": "c"}, item("a"), 5]
    for dry_run in (True, False):
        with pytest.raises(errors.BulkError, match="none was written") as caught:
            client.sync(wrong, tag="team", dry_run=dry_run)
        assert list(caught.value.errors) == ["b", "c", "entries[3]", "entries[4]"]
    assert stored(client) == ["old"]


@pytest.mark.parametrize("tag", ["", None, 5, "a\nb", ["team"]])
def test_a_tag_is_a_printable_word(client: Client, tag: Any) -> None:
    with pytest.raises(errors.ValidationError, match="tag"):
        client.sync([item("a")], tag=tag)
    assert stored(client) == []


def test_a_pause_stays(client: Client) -> None:
    client.sync([item("a")], tag="team")
    client.pause("a", "maintenance")
    client.sync([item("a", schedule=120)], tag="team")
    assert client.get("a").state.paused == "maintenance"


def test_a_list_may_have_an_entry_that_will_not_fire_again(client: Client) -> None:
    plan = client.sync([item("a", schedule=habeat.once(PAST))], tag="team")
    assert plan.added == ("a",)
    assert client.get("a").condition == "exhausted"


def test_an_unreadable_entry_is_repaired_and_one_not_in_the_list_removed(
    client: Client, valkey: Server
) -> None:
    client.sync([item("a"), item("b")], tag="team")
    key = "{" + PREFIX + "}:entries"
    for name in ("a", "b"):
        raw = valkey.admin.hget(key, name)
        assert raw is not None
        valkey.admin.hset(key, name, raw.replace(b'"max_runs"', b'"x"').replace(b'"t"', b"5"))
    assert client.get("a").condition == "quarantined"
    plan = client.sync([item("a")], tag="team")
    assert plan.changed == {"a": ("quarantined",)}
    assert plan.removed == ("b",)
    assert client.get("a").condition == "active"


def test_a_guard_limits_a_sync_to_its_scope(client: Client, valkey: Server) -> None:
    client.sync([item("t8:a")], tag="team")
    guard = habeat.Guard(prefix="t7:", max_entries=2)
    with Client(valkey.url(), prefix=PREFIX, guard=guard) as tenant:
        tenant.sync([item("t7:a"), item("t7:b")], tag="team")
        with pytest.raises(errors.BulkError, match="guard"):
            tenant.sync([item("t8:b")], tag="team")
        with pytest.raises(errors.BulkError, match="at most 2 entries"):
            tenant.sync([item("t7:a"), item("t7:b"), item("t7:c")], tag="team")
        # The entries that leave make room for those that come.
        assert tenant.sync([item("t7:c"), item("t7:d")], tag="team").removed == ("t7:a", "t7:b")
    assert stored(client) == ["t7:c", "t7:d", "t8:a"]


# -- what other callers, and a Redis that goes away, do in between ----------------------------


class Steps:
    """The calls that change entries, in order, and what happens before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self.before: dict[int, Callable[[], Any]] = {}
        for method in ("write", "remove"):
            self._watch(monkeypatch, method)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        real = getattr(EntryStore, method)

        def act(store: EntryStore, items: Any, *rest: Any) -> Any:
            number = len(self.seen)
            self.seen.append(method)
            self.before.get(number, lambda: None)()
            return real(store, items, *rest)

        monkeypatch.setattr(EntryStore, method, act)


@pytest.fixture
def steps(client: Client, monkeypatch: pytest.MonkeyPatch) -> Steps:
    client.sync([item("old")], tag="team")
    return Steps(monkeypatch)


def unreachable() -> None:
    raise StoreUnavailable("unreachable", "no answer")


def test_removals_come_last(client: Client, steps: Steps) -> None:
    client.sync([item("new")], tag="team")
    assert steps.seen == ["write", "remove"]


def test_a_name_that_another_caller_took_meanwhile_is_not_replaced(
    client: Client, other: Client, steps: Steps
) -> None:
    steps.before[0] = lambda: other.add("new", "other", 60)
    with pytest.raises(errors.EntryExists, match="'new' already exists"):
        client.sync([item("new")], tag="team")
    assert client.get("new").task == "other"
    assert stored(client) == ["new", "old"]


def test_an_entry_that_lost_the_tag_meanwhile_is_not_removed(
    client: Client, other: Client, steps: Steps
) -> None:
    steps.before[0] = lambda: other.update("old", tags=["mine"])
    plan = client.sync([item("new")], tag="team")
    assert plan.removed == ()
    assert stored(client) == ["new", "old"]


def test_two_syncs_of_one_list_at_the_same_time_agree(
    client: Client, other: Client, steps: Steps
) -> None:
    steps.before[0] = lambda: other.sync([item("new")], tag="team")
    plan = client.sync([item("new")], tag="team")
    assert plan == SyncPlan("team", unchanged=("new",), written=True)
    assert stored(client) == ["new"]


def test_a_sync_that_is_interrupted_says_so_and_is_continued_by_the_same_call(
    client: Client, steps: Steps
) -> None:
    entries = [item("a"), *(item(f"c{number:03}") for number in range(WRITTEN))]
    steps.before |= dict.fromkeys(range(1, 10_000), unreachable)
    with pytest.raises(errors.BulkInterrupted, match="then call again") as caught:
        client.sync(entries, tag="team")
    told = caught.value
    assert len(told.added) == WRITTEN
    assert told.unknown == (entries[-1]["name"],)
    assert isinstance(told.why, errors.RedisUnavailable)
    assert "old" in stored(client)
    steps.before.clear()
    plan = client.sync(entries, tag="team")
    assert plan.added == (entries[-1]["name"],)
    assert len(plan.unchanged) == WRITTEN
    assert plan.removed == ("old",)
    assert stored(client) == [each["name"] for each in entries]


def test_if_redis_never_answers_the_sync_has_written_nothing(client: Client, steps: Steps) -> None:
    steps.before |= dict.fromkeys(range(10_000), unreachable)
    with pytest.raises(errors.RedisUnavailable):
        client.sync([item("new")], tag="team")
    assert stored(client) == ["old"]


# -- add_many(replace=True) -------------------------------------------------------------------


def test_many_replace_what_exists_and_add_the_rest(client: Client) -> None:
    client.add("a", "t", 60, tags=["x"])
    client.add("b", "t", 60)
    before = client.get("b")
    given = [item("a", schedule=5), item("b"), item("c")]
    replaced = client.add_many(given, replace=True)
    assert [entry.name for entry in replaced] == ["a", "b", "c"]
    assert [client.get(name) for name in "abc"] == replaced
    assert client.get("a").tags == ()
    assert client.get("a").rev == 2
    assert client.get("b") == before
    assert client.get("b").state == before.state


def test_many_do_not_replace_an_entry_of_the_code(
    client: Client, declare: Callable[..., None]
) -> None:
    declare("coded")
    with pytest.raises(errors.BulkError, match="declared in beat_schedule"):
        client.add_many([item("a"), item("coded")], replace=True)
    assert stored(client) == ["coded"]


def test_a_call_that_replaces_many_can_be_repeated(client: Client, steps: Steps) -> None:
    entries = [item(f"c{number:03}", description="new") for number in range(WRITTEN + 1)]
    client.add_many([item("c000")])
    steps.before |= dict.fromkeys(range(2, 10_000), unreachable)
    with pytest.raises(errors.BulkInterrupted, match="then call again") as caught:
        client.add_many(entries, replace=True)
    assert caught.value.changed == ("c000",)
    assert len(caught.value.added) == WRITTEN - 1
    steps.before.clear()
    client.add_many(entries, replace=True)
    assert {entry.description for entry in client.list(prefix="c")} == {"new"}


def test_a_changed_schedule_of_many_must_have_a_slot_but_an_unchanged_one_need_not(
    client: Client,
) -> None:
    client.sync([item("a", schedule=habeat.once(PAST))], tag="team")
    client.add_many([item("a", schedule=habeat.once(PAST), description="x")], replace=True)
    assert client.get("a").description == "x"
    with pytest.raises(errors.BulkError, match="in the future"):
        client.add_many([item("b", schedule=habeat.once(PAST))], replace=True)


@pytest.mark.parametrize("entries", [{}, "", b"", {"name": "a"}, None, 7])
def test_what_is_no_list_is_refused_and_removes_nothing(client: Client, entries: Any) -> None:
    client.sync([item("a")], tag="x")
    for dry_run in (True, False):
        with pytest.raises(errors.ValidationError, match="a list of mappings"):
            client.sync(entries, tag="x", dry_run=dry_run)
    with pytest.raises(errors.ValidationError, match="a list of mappings"):
        client.add_many(entries)
    assert stored(client) == ["a"]


def test_an_iterator_is_refused_because_a_dry_run_would_use_it_up(client: Client) -> None:
    client.sync([item("a")], tag="x")
    entries = (item(name) for name in ["a", "b"])
    for dry_run in (True, False):
        with pytest.raises(errors.ValidationError, match="a list: an iterator"):
            client.sync(entries, tag="x", dry_run=dry_run)
    assert [each["name"] for each in entries] == ["a", "b"]
    assert stored(client) == ["a"]
