"""Whose write was it? Lost replies, equal texts of other callers, requests that come late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import habeat
from habeat import errors
from habeat.client import Client
from habeat.core.entry import Entry
from habeat.ports import StoreUnavailable
from habeat.ports.entries import Conflict, Mark, Removal, Renaming, Write
from habeat.schedules.schedule import moment
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from tests.integration.scripts.bench import Bench
from tests.support.servers.redis_server import Server

PREFIX = "habeat:bench"
MARK = Mark("call:1", 60_000)


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


class Wire:
    """What becomes of the next write of the client: `fate` takes it and how it is carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fate: Callable[[Callable[[], Any]], Any] | None = None
        for method in ("write", "remove", "rename"):
            self._watch(monkeypatch, method)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        real = getattr(EntryStore, method)

        def act(store: EntryStore, *given: Any) -> Any:
            fate, self.fate = self.fate, None
            return real(store, *given) if fate is None else fate(lambda: real(store, *given))

        monkeypatch.setattr(EntryStore, method, act)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


def lost() -> StoreUnavailable:
    return StoreUnavailable("unreachable", "the reply was lost")


def reply_lost(carry_out: Callable[[], Any]) -> Any:
    assert carry_out() is None
    raise lost()


CHANGES: dict[str, Callable[[Client], Any]] = {
    "add": lambda c: c.add("new", "t", 60),
    "add_many": lambda c: c.add_many([{"name": n, "task": "t", "schedule": 60} for n in "xyz"]),
    "update": lambda c: c.update("e", rev=1, enabled=False),
    "remove": lambda c: c.remove("e"),
    "remove by prefix": lambda c: c.remove(prefix="e"),
    "rename": lambda c: c.rename("e", "f"),
    "pause": lambda c: c.pause("e", "why"),
    "resume": lambda c: c.resume("paused"),
    "load": lambda c: (
        c.load(
            {"habeat_export": 1, "entries": [{"name": "new", "task": "t", "schedule": EVERY}]}
        ).added
    ),
}
EVERY = habeat.every(60).to_json()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_call_whose_reply_was_lost_returns_what_it_did(
    client: Client, wire: Wire, change: Callable[[Client], Any]
) -> None:
    client.add("e", "t", 60)
    client.add("paused", "t", 60)
    client.pause("paused")
    wire.fate = reply_lost
    answer = change(client)
    assert wire.fate is None
    if isinstance(answer, Entry):
        assert client.get(answer.name) == answer
    elif isinstance(answer, int):
        assert answer == 1
    else:
        assert len(answer) in (1, 3)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("add", errors.EntryExists),
        ("add_many", errors.BulkError),
        ("update", errors.RevisionConflict),
        ("remove", errors.EntryNotFound),
        ("rename", errors.EntryNotFound),
    ],
)
def test_what_another_did_meanwhile_is_not_taken_for_ones_own(
    client: Client, wire: Wire, change: str, error: type[Exception], valkey: Server
) -> None:
    """Its write is refused, the refusal is lost, and the other caller has written the same text."""
    client.add("e", "t", 60)
    other = Client(valkey.url(), prefix=PREFIX)

    def overtaken(carry_out: Callable[[], Any]) -> Any:
        CHANGES[change](other)
        assert isinstance(carry_out(), Conflict)
        raise lost()

    wire.fate = overtaken
    with pytest.raises(error):
        CHANGES[change](client)


def test_a_removal_by_prefix_counts_what_it_removed_itself(client: Client, wire: Wire) -> None:
    for name in ("e1", "e2", "e3"):
        client.add(name, "t", 60)

    def overtaken(carry_out: Callable[[], Any]) -> Any:
        client.remove("e2")
        assert isinstance(carry_out(), Conflict)
        raise lost()

    wire.fate = overtaken
    assert client.remove(prefix="e") == 2


def test_a_load_reports_what_it_added_itself(client: Client, wire: Wire) -> None:
    def overtaken(carry_out: Callable[[], Any]) -> Any:
        assert CHANGES["load"](client) == ("new",)
        assert isinstance(carry_out(), Conflict)
        raise lost()

    wire.fate = overtaken
    assert CHANGES["load"](client) == ()


@pytest.mark.parametrize("change", ["add", "update", "remove", "rename", "pause"])
def test_a_request_that_comes_late_is_refused(client: Client, wire: Wire, change: str) -> None:
    """The caller assumed it lost, checked, and repeated it; then another client undid it."""
    client.add("e", "t", 60)
    late: list[Callable[[], Any]] = []

    def delayed(carry_out: Callable[[], Any]) -> Any:
        late.append(carry_out)
        raise lost()

    wire.fate = delayed
    CHANGES[change](client)
    for name in ("e", "f", "new"):
        client.remove(prefix=name)
    before = [entry.name for entry in client.list()]
    assert isinstance(late[0](), Conflict)
    assert [entry.name for entry in client.list()] == before


def test_two_pauses_lose_nothing_of_each_other(client: Client, wire: Wire) -> None:
    client.add("e", "t", 60)
    client.pause("e", "why")
    until = moment(4_102_444_800_000)

    def overtaken(carry_out: Callable[[], Any]) -> Any:
        client.pause("e", "first")
        return carry_out()

    wire.fate = overtaken
    client.pause("e", until=until)
    state = client.get("e").state
    assert (state.paused, state.paused_until_ms) == ("first", 4_102_444_800_000)


# -- the scripts ------------------------------------------------------------------------------


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey)


def send(bench: Bench, act: str, mark: Mark) -> Any:
    found = bench.entries.read(["e"]).stored[0]
    match act:
        case "write":
            return bench.entries.write([Write("e", found.digest, b"other")], None, mark)
        case "remove":
            return bench.entries.remove([Removal("e", found.digest, None, None, "")], None, mark)
    return bench.entries.rename(
        Renaming("e", found.digest, None, "f", found.raw or b"{}", None, (), 0), mark
    )


@pytest.mark.parametrize("act", ["write", "remove", "rename"])
def test_a_mark_is_kept_for_a_while_and_answers_a_replay(bench: Bench, act: str) -> None:
    bench.place()
    assert send(bench, act, MARK) is None
    key = Keys(PREFIX).call(MARK.name)
    assert 0 < bench.admin.pttl(key) <= MARK.keep_ms
    before = bench.everything()
    assert send(bench, act, MARK) is None
    assert bench.entries.recall(MARK)
    assert bench.everything() == before


@pytest.mark.parametrize("act", ["write", "remove", "rename"])
def test_a_closed_mark_refuses_what_comes_later(bench: Bench, act: str) -> None:
    bench.place()
    assert not bench.entries.recall(MARK)
    before = bench.everything()
    assert send(bench, act, MARK) == Conflict("")
    assert not bench.entries.recall(MARK)
    assert bench.everything() == before
