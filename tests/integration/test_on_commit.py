"""Writes wait for Django's transaction: checked at once, made on commit, dropped on rollback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import celery
import pytest

import habeat
from habeat import Client, errors
from habeat.client import SyncPlan
from habeat.ports import StoreUnavailable
from habeat.store.entries import EntryStore
from habeat.store.pages import WRITTEN
from tests.support.django_databases import use_databases
from tests.support.servers.redis_server import Server

pytest.importorskip("django")

from django.db import connections, transaction
from django.db.transaction import TransactionManagementError
from django.db.utils import ConnectionDoesNotExist

PREFIX = "habeat:django"
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def databases() -> Iterator[None]:
    use_databases()
    yield
    connections.close_all()


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX, timeout=1.0, on_commit=True) as made:
        yield made


@pytest.fixture
def reader(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def item(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "task": "t", "schedule": 60, **fields}


def names(client: Client) -> list[str]:
    return [entry.name for entry in client.list()]


class RolledBackError(Exception):
    pass


def rolled_back(act: Callable[[], Any]) -> Any:
    """What `act` returns in a transaction that is then rolled back."""
    try:
        with transaction.atomic():
            result = act()
            raise RolledBackError
    except RolledBackError:
        return result


def test_outside_a_transaction_a_call_is_made_at_once(client: Client, reader: Client) -> None:
    added = client.add("a", "t", 60)
    assert reader.get("a") == added


def test_in_a_transaction_a_call_waits_for_the_commit(client: Client, reader: Client) -> None:
    with transaction.atomic():
        planned = client.add("a", "t", 60, tags=["x"], start=PAST)
        assert planned.definition()["tags"] == ("x",)
        assert names(reader) == []
    stored = reader.get("a")
    assert stored.definition() == planned.definition()
    assert stored.rev == 1


CHANGES: dict[str, Callable[[Client], Any]] = {
    "add": lambda client: client.add("new", "t", 60),
    "replace": lambda client: client.add("a", "t", 5, replace=True),
    "add_many": lambda client: client.add_many([item("new")]),
    "add_many, replacing": lambda client: client.add_many([item("a", args=[1])], replace=True),
    "sync": lambda client: client.sync([item("new")], tag="x"),
    "update": lambda client: client.update("a", schedule=5),
    "remove": lambda client: client.remove("a"),
    "remove by a tag": lambda client: client.remove(tags=["x"]),
    "remove many": lambda client: client.remove_many(name for name in ["a", "paused"]),
    "pause many": lambda client: client.pause_many(all=True, reason="why"),
    "resume many": lambda client: client.resume_many(["paused"]),
    "disable many": lambda client: client.disable_many(["a"]),
    "trigger many": lambda client: client.trigger_many(prefix="a"),
    "rename": lambda client: client.rename("a", "b"),
    "pause": lambda client: client.pause("a", "why"),
    "resume": lambda client: client.resume("paused"),
    "trigger": lambda client: client.trigger("a"),
    "backfill": lambda client: client.backfill("a", PAST, PAST + timedelta(minutes=5)),
}


@pytest.fixture
def stored(reader: Client) -> None:
    reader.add("a", "t", 60, tags=["x"])
    reader.add("paused", "t", 60)
    reader.pause("paused")
    assert names(reader) == ["a", "paused"], "now the index of names exists"


def contents(server: Server) -> dict[bytes, Any]:
    """All that Redis holds, without the marks of writes."""
    admin = server.admin
    keys = [key for key in admin.keys("*") if b":mark" not in key]
    return {key: admin.dump(key) for key in sorted(keys)}


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_dropped_with_the_transaction_and_made_with_its_commit(
    client: Client, valkey: Server, change: Callable[[Client], Any]
) -> None:
    before = contents(valkey)
    planned = rolled_back(lambda: change(client))
    assert contents(valkey) == before
    with transaction.atomic():
        again = change(client)
        assert type(again) is type(planned)
        assert contents(valkey) == before
    assert contents(valkey) != before


@pytest.mark.usefixtures("stored")
def test_the_results_are_what_is_planned(client: Client, reader: Client) -> None:
    with transaction.atomic():
        assert client.sync([item("n")], tag="x") == SyncPlan("x", ("n",), removed=("a",))
        assert client.remove(prefix="a") == 1
        assert client.pause("paused", "why").state.paused == "why"
        request = client.trigger("paused")
        assert not request.known
    assert reader.trigger("paused", request_id=request).known
    assert names(reader) == ["n", "paused"]
    assert reader.get("paused").state.paused == "why"


WRONG: dict[str, tuple[Callable[[Client], Any], type[Exception]]] = {
    "a value": (lambda client: client.add("n", "t", 60, misfire="x"), errors.ValidationError),  # type: ignore[arg-type]
    "no slot": (lambda client: client.add("n", "t", habeat.once(PAST)), errors.ValidationError),
    "taken": (lambda client: client.add("a", "t", 60), errors.EntryExists),
    "missing": (lambda client: client.update("n", schedule=5), errors.EntryNotFound),
    "another revision": (
        lambda client: client.update("a", rev=7, schedule=5),
        errors.RevisionConflict,
    ),
    "one of many": (lambda client: client.add_many([item("n"), item("a")]), errors.BulkError),
    "a request": (lambda client: client.trigger("a", request_id="?"), errors.ValidationError),
    "arguments": (lambda client: client.trigger("a", args=[object()]), errors.ValidationError),
    "a large request": (
        lambda client: client.trigger("a", args=["x" * 2_000_000]),
        errors.ValidationError,
    ),
}


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(("change", "error"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_raised_at_once(
    client: Client, change: Callable[[Client], Any], error: type[Exception]
) -> None:
    with transaction.atomic(), pytest.raises(error):
        change(client)


def test_a_guard_refuses_at_once(valkey: Server, reader: Client) -> None:
    guard = habeat.Guard(prefix="t7:")
    with (
        Client(valkey.url(), prefix=PREFIX, guard=guard, on_commit=True) as tenant,
        transaction.atomic(),
    ):
        with pytest.raises(errors.NotAllowed):
            tenant.add("t8:a", "t", 60)
        tenant.add("t7:a", "t", 60)
    assert names(reader) == ["t7:a"]


def test_what_is_written_is_what_was_given_to_the_call(client: Client, reader: Client) -> None:
    ids, tags = [1], {"x"}
    many = [item("b", kwargs={"ids": ids})]
    with transaction.atomic():
        client.add("a", "t", 60, kwargs={"ids": ids}, tags=(tag for tag in tags))
        client.add_many(each for each in many)
        ids.append(2)
        many.append(item("c"))
    assert reader.get("a").kwargs == reader.get("b").kwargs == {"ids": [1]}
    assert reader.get("a").tags == ("x",)
    assert names(reader) == ["a", "b"]


class Row(dict[str, Any]):
    pass


class Ids(list[int]):
    pass


GIVEN: dict[str, Callable[[list[int]], dict[str, Any]]] = {
    "a mapping": lambda values: {"task": "t", "kwargs": MappingProxyType({"ids": values})},
    "a dict of a class of its own": lambda values: {"task": "t", "kwargs": Row(ids=values)},
}


@pytest.mark.parametrize("fields", GIVEN.values(), ids=GIVEN)
def test_later_changes_of_what_was_given_do_not_reach_the_call(
    client: Client, reader: Client, fields: Callable[[list[int]], dict[str, Any]]
) -> None:
    values = Ids([1])
    given = fields(values)
    with transaction.atomic():
        client.add("a", schedule=60, **given)
        client.add_many([{"name": "b", "schedule": 60, **given}])
        values.append(2)
    assert reader.get("a").kwargs == reader.get("b").kwargs == {"ids": [1]}


def test_later_changes_of_a_signature_do_not_reach_the_call(client: Client, reader: Client) -> None:
    signature = celery.Celery(set_as_current=False).signature("t", kwargs={"ids": [1]})
    with transaction.atomic():
        client.add("a", signature, 60, args=[signature])
        signature["task"] = "other"
        signature.kwargs["ids"].append(2)
    entry = reader.get("a")
    for stored in (entry.task, entry.args[0]):
        assert isinstance(stored, dict)
        assert (stored["task"], stored["kwargs"]) == ("t", {"ids": [1]})


def test_later_changes_of_a_dict_do_not_reach_a_view_of_it(client: Client, reader: Client) -> None:
    tags = {"x": 1}
    with transaction.atomic():
        client.add("a", "t", 60, tags=tags.keys())
        tags["y"] = 2
    assert reader.get("a").tags == ("x",)


def test_what_only_was_planned_is_not_reported_as_added(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = EntryStore.read, [0]

    def read(store: EntryStore, *given: Any) -> Any:
        reads[0] += 1
        if reads[0] > 3:  # the check reads once, each batch too
            raise StoreUnavailable("unreachable", "a test")
        return real(store, *given)

    monkeypatch.setattr(EntryStore, "read", read)
    with transaction.atomic(), pytest.raises(errors.RedisUnavailable):
        client.add_many([item(f"n{number}") for number in range(3 * WRITTEN)])


def test_calls_are_made_in_their_order_without_those_of_a_savepoint_that_was_rolled_back(
    client: Client, reader: Client
) -> None:
    client.add("a", "t", 60)
    with transaction.atomic():
        client.update("a", description="first")
        rolled_back(lambda: client.update("a", description="second"))
        client.pause("a", "third")
        with transaction.atomic():
            client.update("a", max_runs=4)
    entry = reader.get("a")
    assert (entry.description, entry.state.paused, entry.max_runs) == ("first", "third", 4)


def test_each_database_has_transactions_of_its_own(valkey: Server, reader: Client) -> None:
    with Client(valkey.url(), prefix=PREFIX, on_commit="other") as client:
        with transaction.atomic():
            client.add("a", "t", 60)
            assert names(reader) == ["a"]
        with transaction.atomic(using="other"):
            client.add("b", "t", 60)
            assert names(reader) == ["a"]
    assert names(reader) == ["a", "b"]


def test_what_fails_on_commit_is_raised_by_the_end_of_the_transaction(
    client: Client, reader: Client
) -> None:
    def meanwhile() -> None:
        with transaction.atomic():
            client.add("a", "t", 60)
            reader.add("a", "other", 60)  # another caller, before the commit

    with pytest.raises(errors.EntryExists):
        meanwhile()
    assert reader.get("a").task == "other"


def test_a_redis_that_does_not_answer_is_found_while_the_transaction_can_be_rolled_back(
    client: Client, valkey: Server
) -> None:
    client.add("a", "t", 60)
    valkey.pause()
    try:
        with transaction.atomic(), pytest.raises(errors.RedisUnavailable):
            client.update("a", schedule=5)
    finally:
        valkey.resume()


def test_without_autocommit_and_atomic_django_refuses(client: Client, reader: Client) -> None:
    transaction.get_connection().ensure_connection()
    transaction.set_autocommit(False)
    try:
        with pytest.raises(TransactionManagementError):
            client.add("a", "t", 60)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert names(reader) == []


def test_without_autocommit_django_refuses_before_the_first_query_too(
    client: Client, reader: Client
) -> None:
    connection = transaction.get_connection()
    connection.close()
    connection.connection = None  # SQLite in memory stays open otherwise
    connection.settings_dict["AUTOCOMMIT"] = False
    try:
        with pytest.raises(TransactionManagementError):
            client.add("a", "t", 60)
    finally:
        connection.settings_dict["AUTOCOMMIT"] = True
        connection.connection = None
    assert names(reader) == []


@pytest.mark.parametrize("given", [None, 1, "", ["default"]])
def test_on_commit_is_true_or_the_alias_of_a_database(given: Any) -> None:
    with pytest.raises(errors.ValidationError, match="alias of a database"):
        Client("redis://", prefix="p", on_commit=given)


def test_a_database_that_does_not_exist_is_named_by_django(valkey: Server) -> None:
    with (
        Client(valkey.url(), prefix=PREFIX, on_commit="gone") as client,
        pytest.raises(ConnectionDoesNotExist, match="gone"),
    ):
        client.add("a", "t", 60)


def test_without_django_the_client_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "django"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "django", None)
    with pytest.raises(errors.ValidationError, match="Django is not installed"):
        Client("redis://", prefix="p", on_commit=True)
