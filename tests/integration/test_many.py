"""Pause, resume, trigger and remove many entries: named ones all or none, a selection as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from habeat import Guard, errors
from habeat.client import Client
from habeat.ports import StoreUnavailable
from habeat.store.entries import EntryStore
from habeat.store.pages import WRITTEN
from tests.support.servers.redis_server import Server

PREFIX = "habeat:many"
NAMES = tuple(f"c{number:04}" for number in range(2 * WRITTEN + 1))

CALLS: list[Callable[..., Any]] = [
    Client.remove_many,
    Client.pause_many,
    Client.resume_many,
    Client.trigger_many,
]


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX, timeout=2.0) as made:
        yield made


def add(client: Client, names: tuple[str, ...] = NAMES, **more: Any) -> None:
    client.add_many([{"name": name, "task": "t", "schedule": 3_600, **more} for name in names])


def names_of(client: Client) -> tuple[str, ...]:
    return tuple(entry.name for entry in client.list())


@pytest.mark.parametrize("call", CALLS)
def test_it_must_be_clear_which_entries_are_meant(client: Client, call: Callable[..., Any]) -> None:
    wrong: list[dict[str, Any]] = [{}, {"names": "a"}, {"names": ["a"], "prefix": "a"}]
    if call is not Client.remove_many:
        wrong += [{"all": True, "tags": ["t"]}, {"names": ["a"], "all": True}]
    for arguments in wrong:
        with pytest.raises(errors.ValidationError, match="invalid names"):
            call(client, **arguments)


@pytest.mark.parametrize("call", CALLS)
def test_no_named_entry_is_changed_if_one_is_unknown(
    client: Client, call: Callable[..., Any], valkey: Server
) -> None:
    add(client, ("a", "b"))
    before = list(client.list())
    with pytest.raises(errors.BulkError) as caught:
        call(client, ["a", "nobody", "b"])
    assert list(caught.value.errors) == ["nobody"]
    assert list(client.list()) == before
    assert not valkey.admin.exists("{habeat:many}:requests")
    with pytest.raises(errors.EntryNotFound):
        call(client, ["nobody"])


def test_many_named_entries_are_changed_in_batches(client: Client) -> None:
    add(client)
    paused = client.pause_many(NAMES, reason="move")
    assert (paused.changed, paused.unchanged, paused.refused) == (NAMES, (), {})
    assert {entry.state.paused for entry in client.list()} == {"move"}
    assert client.pause_many(NAMES[:2]).unchanged == NAMES[:2]
    assert client.resume_many(prefix="c00").changed == NAMES[:100]
    assert client.remove_many(NAMES[:-1]) == NAMES[:-1]
    assert names_of(client) == NAMES[-1:]


@pytest.mark.parametrize(
    ("method", "call", "said"),
    [
        ("remove", Client.remove_many, "50 of 101 entries were removed and 50 may have been"),
        ("write", Client.pause_many, "50 of 101 entries were written and 50 may have been"),
    ],
)
def test_an_interrupted_call_says_what_it_did(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: Callable[..., Any],
    said: str,
) -> None:
    add(client)
    real, calls = getattr(EntryStore, method), [0]

    def act(store: EntryStore, *given: Any) -> Any:
        calls[0] += 1
        if calls[0] > 1:
            raise StoreUnavailable("unreachable", "a test")
        return real(store, *given)

    monkeypatch.setattr(EntryStore, method, act)
    with pytest.raises(errors.BulkInterrupted) as caught:
        call(client, NAMES)
    assert str(caught.value).startswith(said)
    assert (*caught.value.removed, *caught.value.changed) == NAMES[:WRITTEN]
    assert caught.value.unknown == NAMES[WRITTEN : 2 * WRITTEN]
    left = [entry.name for entry in client.list(state="active")]
    assert left == list(NAMES[WRITTEN:])


def test_an_entry_that_goes_away_meanwhile_stops_its_batch(
    client: Client, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client)
    real, calls = EntryStore.remove, [0]

    def remove(store: EntryStore, *given: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            with Client(valkey.url(), prefix=PREFIX) as other:
                other.rename(NAMES[WRITTEN], "renamed")
        return real(store, *given)

    monkeypatch.setattr(EntryStore, "remove", remove)
    with pytest.raises(errors.BulkInterrupted) as caught:
        client.remove_many(NAMES)
    assert isinstance(caught.value.why, errors.EntryNotFound)
    assert caught.value.removed == NAMES[:WRITTEN]
    assert names_of(client) == (*NAMES[WRITTEN + 1 :], "renamed")


def test_a_guard_bounds_what_a_selection_has(client: Client, valkey: Server) -> None:
    add(client, ("t1:a", "t2:a"))
    with Client(valkey.url(), prefix=PREFIX, guard=Guard(prefix="t1:")) as guarded:
        assert guarded.pause_many(all=True).changed == ("t1:a",)
        assert list(guarded.trigger_many(all=True).requests) == ["t1:a"]
        with pytest.raises(errors.BulkError) as caught:
            guarded.pause_many(["t1:a", "t2:a"])
        assert isinstance(caught.value.errors["t2:a"], errors.NotAllowed)
        assert guarded.remove_many(prefix="t") == ("t1:a",)
    assert names_of(client) == ("t2:a",)


def test_an_error_of_the_call_is_not_reported_for_each_entry(client: Client) -> None:
    add(client, ("a", "b"))
    with pytest.raises(errors.ValidationError, match="later than now"):
        client.pause_many(all=True, until=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(errors.ValidationError, match="request_id"):
        client.trigger_many(all=True, request_id="a b")


def test_the_same_triggers_again_are_known(client: Client) -> None:
    add(client, ("a", "b"))
    first = client.trigger_many(all=True, request_id="r")
    assert [each.known for each in first.requests.values()] == [False, False]
    again = client.trigger_many(["b"], request_id="r")
    assert (again.requests["b"], again.requests["b"].known) == (first.requests["b"], True)
