"""Pause, resume, trigger and remove many entries: named ones all or none, selected ones singly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from habeat import Guard, errors
from habeat.client import Client
from habeat.core.limits import DEFAULT_LIMITS
from habeat.core.request import Request
from habeat.entries.codec import encode_request
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
    Client.enable_many,
    Client.disable_many,
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


def test_many_are_disabled_and_enabled(client: Client) -> None:
    add(client)
    assert client.disable_many(NAMES[:2]).changed == NAMES[:2]
    assert client.disable_many(all=True).unchanged == NAMES[:2]
    assert {entry.condition for entry in client.list()} == {"disabled"}
    assert client.enable_many(NAMES[:1]).changed == NAMES[:1]
    assert client.enable_many(prefix="c00").unchanged == NAMES[:1]
    assert {entry.condition for entry in client.list(prefix="c00")} == {"active"}


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


def test_arguments_of_another_type_are_refused(client: Client) -> None:
    add(client, ("a", "b"))
    with pytest.raises(errors.ValidationError, match="invalid all 'yes': expected True or False"):
        client.pause_many(all="yes")  # type: ignore[arg-type]
    with pytest.raises(errors.ValidationError, match="invalid names 5: expected a list of names"):
        client.trigger_many(5)  # type: ignore[arg-type]


def test_the_same_triggers_again_are_known(client: Client) -> None:
    add(client, ("a", "b"))
    first = client.trigger_many(all=True, request_id="r")
    assert [each.known for each in first.requests.values()] == [False, False]
    again = client.trigger_many(["b"], request_id="r")
    assert (again.requests["b"], again.requests["b"].known) == (first.requests["b"], True)


@pytest.mark.parametrize("call", [Client.pause_many, Client.remove_many])
def test_an_interrupted_selection_says_what_it_did_and_can_be_repeated(
    client: Client, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]
) -> None:
    add(client, ("c", "d"))
    add(client)
    with monkeypatch.context() as patched:
        for method in ("remove", "write"):
            fail_after(patched, method, 1)
        with pytest.raises(errors.BulkInterrupted, match="then call again") as caught:
            call(client, prefix="c0")
    done = (*caught.value.removed, *caught.value.changed)
    assert str(caught.value).startswith(f"{len(done)} entries were ")
    assert (done, caught.value.total) == (NAMES[:WRITTEN], None)
    assert caught.value.unknown == NAMES[WRITTEN : 2 * WRITTEN]
    assert caught.value.repeatable
    call(client, prefix="c0")
    assert [entry.name for entry in client.list(state="active")] == ["c", "d"]


def fail_after(patched: pytest.MonkeyPatch, method: str, count: int) -> None:
    """Let this method of the store work this many times; then Redis does not answer."""
    real, calls = getattr(EntryStore, method), [0]

    def act(store: EntryStore, *given: Any) -> Any:
        calls[0] += 1
        if calls[0] > count:
            raise StoreUnavailable("unreachable", "a test")
        return real(store, *given)

    patched.setattr(EntryStore, method, act)


def requests_in(valkey: Server) -> int:
    return int(valkey.admin.hlen("{habeat:many}:requests"))


@pytest.mark.parametrize("entries", [{"names": ["a", "b", "c"]}, {"all": True}])
def test_an_interrupted_trigger_names_the_id_to_call_again_with(
    client: Client, valkey: Server, monkeypatch: pytest.MonkeyPatch, entries: dict[str, Any]
) -> None:
    add(client, ("a", "b", "c"))
    with monkeypatch.context() as patched:
        fail_after(patched, "add_request", 1)
        with pytest.raises(errors.BulkInterrupted) as caught:
            client.trigger_many(**entries)
    error = caught.value
    assert (error.changed, error.unknown, error.total) == (("a",), ("b",), 3)
    assert str(error).startswith("1 of 3 entries were triggered and 1 may have been: ")
    assert str(error).endswith(f"then call again with the request id {error.request_id}")
    again = client.trigger_many(**entries, request_id=error.request_id)
    assert [each.known for each in again.requests.values()] == [True, False, False]
    assert requests_in(valkey) == 3


def test_a_first_request_that_is_not_answered_can_be_repeated_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, ("a", "b"))
    fail_after(monkeypatch, "add_request", 0)
    with pytest.raises(errors.BulkInterrupted, match="0 of 2 entries were") as caught:
        client.trigger_many(all=True)
    assert caught.value.unknown == ("a",)


@pytest.mark.parametrize("entries", [{"names": NAMES}, {"all": True}])
@pytest.mark.parametrize("args", [[object()], ["x" * 2_000_000]])
def test_what_one_entry_cannot_be_sent_stops_a_trigger_before_the_first(
    client: Client, valkey: Server, entries: dict[str, Any], args: list[Any]
) -> None:
    add(client)
    with pytest.raises(errors.ValidationError):
        client.trigger_many(**entries, args=args)
    assert requests_in(valkey) == 0


@pytest.mark.parametrize("entries", [{"names": ["a", "b" * 200]}, {"all": True}])
def test_arguments_too_long_for_the_last_entry_stop_a_trigger_before_the_first(
    client: Client, valkey: Server, entries: dict[str, Any]
) -> None:
    add(client, ("a", "b" * 200))
    empty = len(encode_request(Request("trigger", "a", 1_764_414_000_000, ("",), None)))
    text = "x" * (DEFAULT_LIMITS.definition_bytes - empty - 50)  # the longer name has no room
    with pytest.raises(errors.ValidationError, match="request"):
        client.trigger_many(**entries, args=[text])
    assert requests_in(valkey) == 0
    assert not client.trigger("a", args=[text]).known


@pytest.mark.parametrize("length", [87, 88, 100])
def test_a_long_request_id_works_as_a_short_one(client: Client, length: int) -> None:
    add(client, ("a", "b"))
    first = client.trigger_many(all=True, request_id="r" * length).requests
    again = client.trigger_many(all=True, request_id="r" * length).requests
    assert first == again
    assert len({*first.values()}) == 2
    assert [each.known for each in again.values()] == [True, True]
