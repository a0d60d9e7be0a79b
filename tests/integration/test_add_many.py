"""Many entries in one call: written in batches, all or none, or an error that says how many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from habeat import errors
from habeat.client import Client
from habeat.client.budget import Budget
from habeat.ports import StoreUnavailable
from habeat.store.entries import EntryStore
from habeat.store.pages import WRITTEN
from tests.support.servers.redis_server import Server

PREFIX = "habeat:many"
BATCHES = 3
NAMES = [f"c{number:04}" for number in range(BATCHES * WRITTEN)]


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    # Long enough for all steps of a call on a busy machine; a Redis that stays away uses it up.
    with Client(valkey.url(), prefix=PREFIX, timeout=2.0) as made:
        yield made


@pytest.fixture
def other(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def given(names: list[str] = NAMES) -> list[dict[str, Any]]:
    return [{"name": name, "task": "t", "schedule": 60} for name in names]


def stored(client: Client) -> list[str]:
    return [entry.name for entry in client.list()]


class Writes:
    """The calls that change entries: how many entries each has, and what becomes of the nth."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.before: dict[int, Callable[[], Any]] = {}
        self.after: dict[int, Callable[[], Any]] = {}
        for method in ("write", "remove"):
            self._watch(monkeypatch, method)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        real = getattr(EntryStore, method)

        def act(store: EntryStore, items: Any, *rest: Any) -> Any:
            number = len(self.sizes)
            self.sizes.append(len(items))
            self.before.get(number, lambda: None)()
            result = real(store, items, *rest)
            self.after.get(number, lambda: None)()
            return result

        monkeypatch.setattr(EntryStore, method, act)


@pytest.fixture
def writes(client: Client, monkeypatch: pytest.MonkeyPatch) -> Writes:
    client.add("there", "t", 60)
    client.remove("there")
    return Writes(monkeypatch)


def unreachable() -> None:
    raise StoreUnavailable("unreachable", "nobody answers")


def for_good(writes: Writes, number: int) -> None:
    """This write and all later ones do not reach Redis."""
    writes.before |= dict.fromkeys(range(number, number + 10_000), unreachable)


def test_many_are_written_in_batches(client: Client, writes: Writes) -> None:
    added = client.add_many(given())
    assert [entry.name for entry in added] == NAMES == stored(client)
    assert writes.sizes == [WRITTEN] * BATCHES
    assert client.get(NAMES[-1]) == added[-1]


def test_what_is_wrong_with_the_last_is_found_before_the_first_is_written(
    client: Client, other: Client, writes: Writes
) -> None:
    other.add(NAMES[-1], "t", 60)
    del writes.sizes[:]
    with pytest.raises(errors.BulkError) as caught:
        client.add_many(given())
    assert list(caught.value.errors) == [NAMES[-1]]
    assert writes.sizes == []
    assert stored(client) == [NAMES[-1]]


def test_a_name_that_is_taken_meanwhile_means_that_none_is_added(
    client: Client, other: Client, writes: Writes
) -> None:
    writes.before[2] = lambda: other.add(NAMES[-1], "other", 60)
    with pytest.raises(errors.BulkError, match="none was written") as caught:
        client.add_many(given())
    assert isinstance(caught.value.errors[NAMES[-1]], errors.EntryExists)
    assert caught.value.total == len(NAMES)
    assert stored(client) == [NAMES[-1]]
    assert max(writes.sizes) == WRITTEN


def test_what_another_has_changed_meanwhile_is_not_removed(
    client: Client, other: Client, writes: Writes
) -> None:
    def meanwhile() -> None:
        other.update(NAMES[0], description="mine")
        other.add(NAMES[-1], "other", 60)

    writes.before[2] = meanwhile
    with pytest.raises(errors.BulkError):
        client.add_many(given())
    assert stored(client) == [NAMES[0], NAMES[-1]]


def test_a_lost_reply_in_the_middle(client: Client, writes: Writes) -> None:
    writes.after[1] = unreachable
    assert [entry.name for entry in client.add_many(given())] == NAMES == stored(client)
    assert writes.sizes == [WRITTEN] * BATCHES, "it was not written twice"


def test_the_call_says_what_was_added_when_redis_goes_away(client: Client, writes: Writes) -> None:
    for_good(writes, 1)
    with pytest.raises(errors.BulkInterrupted) as caught:
        client.add_many(given())
    found = caught.value
    assert found.added == tuple(NAMES[:WRITTEN]) == tuple(stored(client))
    assert found.unknown == tuple(NAMES[WRITTEN : 2 * WRITTEN])
    assert isinstance(found.why, errors.RedisUnavailable)
    assert str(found).startswith(f"{WRITTEN} of {len(NAMES)} entries were added and {WRITTEN} may")
    writes.before.clear()
    left = [name for name in NAMES if name not in stored(client)]
    client.add_many(given(left))
    assert stored(client) == NAMES


def test_nothing_was_added_when_redis_goes_away_at_once(client: Client, writes: Writes) -> None:
    for_good(writes, 0)
    with pytest.raises(errors.RedisUnavailable):
        client.add_many(given())
    assert stored(client) == []


def test_the_call_says_what_was_added_when_its_time_is_up(
    client: Client, writes: Writes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Budget.check
    over: list[int] = []

    def check(budget: Budget, done: Any = "") -> None:
        if over:
            raise errors.CallTimeout(0.4)
        real(budget, done)

    monkeypatch.setattr(Budget, "check", check)
    writes.after[1] = lambda: over.append(1)
    with pytest.raises(errors.BulkInterrupted) as caught:
        client.add_many(given())
    over.clear()
    assert isinstance(caught.value.why, errors.CallTimeout)
    assert caught.value.added == tuple(NAMES[: 2 * WRITTEN]) == tuple(stored(client))
    assert caught.value.unknown == ()


def test_the_call_says_what_is_left_when_it_cannot_be_removed_again(
    client: Client, other: Client, writes: Writes
) -> None:
    def meanwhile() -> None:
        other.add(NAMES[-1], "other", 60)
        for_good(writes, 5)  # one that is refused, one removal, and then no more

    writes.before[2] = meanwhile
    with pytest.raises(errors.BulkInterrupted) as caught:
        client.add_many(given())
    assert caught.value.added == ()
    assert caught.value.unknown == tuple(NAMES[:WRITTEN])
    assert stored(client) == [*NAMES[:WRITTEN], NAMES[-1]]


def test_an_error_of_any_kind_in_the_middle_leaves_none(client: Client, writes: Writes) -> None:
    def break_down() -> None:
        raise ZeroDivisionError

    writes.before[1] = break_down
    with pytest.raises(ZeroDivisionError):
        client.add_many(given())
    assert stored(client) == []


def test_an_item_that_is_no_mapping_is_not_quoted(client: Client) -> None:
    with pytest.raises(errors.BulkError) as error:
        client.add_many([("x", "t", 60, ["s3cret"])])  # type: ignore[list-item]
    assert "got a tuple" in str(error.value)
    assert "s3cret" not in str(error.value)
