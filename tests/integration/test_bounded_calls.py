"""A call of the Client ends in its time, and reads no more than it needs to.

Work is counted, never timed: by the commands that the server received, and by a clock that advances
each time it is read.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat import errors
from habeat.client import Client
from habeat.core.firing import Outcome, SkippedRun
from habeat.core.lease import Fence, Token
from habeat.ports import Lost
from habeat.ports.entries import Write
from habeat.store import streams
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.support.servers.redis_server import Server

PREFIX = "habeat:bench"


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey)


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


# -- the ledger -------------------------------------------------------------------------------


def note(bench: Bench, name: str, slot_ms: int) -> None:
    """A record of a slot of this entry."""
    note_all(bench, name, [slot_ms])


def note_all(bench: Bench, name: str, all_ms: Sequence[int]) -> None:
    digest = bench.entries.read([name]).stored[0].digest
    lost = [SkippedRun(slot_ms, slot_ms, 1, Outcome.SKIPPED, "why") for slot_ms in all_ms]
    assert bench.entries.write([Write(name, digest, lost=run) for run in lost]) is None


def note_as_before(bench: Bench, name: str, slot_ms: int) -> None:
    """The same as an older release writes it."""
    fields = {"entry": name, "slot": slot_ms, "outcome": "skipped", "reason": "why", "attempt": 0}
    bench.admin.xadd(bench.keys.ledger, fields)


def slots(client: Client, name: str | None, **given: Any) -> list[tuple[str, int]]:
    found = client.history(name, limit=10_000, **given)
    return [(record.entry, round(record.slot.timestamp() * 1_000)) for record in found]


def asked_for(bench: Bench, act: Callable[[], Any]) -> dict[str, int]:
    """How often the server was asked for each command."""
    bench.admin.config_resetstat()
    act()
    stats = bench.admin.info("commandstats")
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}


def test_an_entrys_history_is_that_of_all_without_the_others(bench: Bench, client: Client) -> None:
    chance = random.Random(7)
    for name in "abc":
        bench.place(name)
    bench.lead()
    for slot_ms in range(300):
        note(bench, chance.choice("abc"), slot_ms)
    whole = slots(client, None)
    for name in "abc":
        assert slots(client, name) == [each for each in whole if each[0] == name]
    with pytest.raises(errors.EntryNotFound):
        slots(client, "unknown")


def test_an_entrys_history_does_not_read_everyones(bench: Bench, client: Client) -> None:
    for name in ("quiet", "busy"):
        bench.place(name)
    bench.lead()
    note(bench, "quiet", 1)
    note_all(bench, "busy", range(1_000))
    client.server_time()
    asked = asked_for(bench, lambda: slots(client, "quiet"))
    assert "xrevrange" not in asked
    assert asked["xrange"] <= 2
    asked = asked_for(bench, lambda: client.drift("quiet", since=timedelta(days=1)))
    assert "xrevrange" not in asked
    asked = asked_for(bench, lambda: client.history("busy", limit=20))
    assert asked["evalsha"] == 1


def test_since_ends_the_chain(bench: Bench, client: Client) -> None:
    bench.place()
    bench.lead()
    for slot_ms in range(120):
        note(bench, "e", slot_ms)
    middle = client.history("e", limit=60)[-1].at
    wanted = [record for record in client.history("e", limit=500) if record.at >= middle]
    assert client.history("e", since=middle, limit=500) == wanted


def test_records_of_an_older_release_are_found_behind_the_chain(
    bench: Bench, client: Client
) -> None:
    for name in "ab":
        bench.place(name)
    for slot_ms in range(10):
        note_as_before(bench, "ab"[slot_ms % 2], slot_ms)
    bench.admin.hset(bench.keys.meta, mapping={"leader": "5:aa", "epoch": "5"})
    time.sleep(0.002)
    bench.lead()
    for slot_ms in range(10, 20):
        note(bench, "ab"[slot_ms % 2], slot_ms)
    assert slots(client, "a") == [("a", slot_ms) for slot_ms in range(18, -1, -2)]


def test_a_leader_of_an_older_release_breaks_the_chain(bench: Bench, client: Client) -> None:
    bench.place()
    bench.lead()
    note(bench, "e", 1)
    time.sleep(0.002)
    bench.admin.delete(bench.keys.lease)
    bench.admin.hset(bench.keys.meta, "leader", "5:of an older release")
    note_as_before(bench, "e", 2)
    time.sleep(0.002)
    bench.lead("bb")
    note(bench, "e", 3)
    assert slots(client, "e")[:1] == [("e", 3)]
    assert sorted(slots(client, "e")) == [("e", 1), ("e", 2), ("e", 3)]


def test_records_are_found_while_a_leader_of_an_older_release_leads(
    bench: Bench, client: Client
) -> None:
    bench.place()
    bench.lead()
    note(bench, "e", 1)
    bench.admin.delete(bench.keys.lease)
    bench.admin.hset(bench.keys.meta, "leader", "5:of an older release")
    note_as_before(bench, "e", 2)
    assert slots(client, "e") == [("e", 2), ("e", 1)]


def test_a_chain_ends_where_the_ledger_was_trimmed(bench: Bench, client: Client) -> None:
    bench.place()
    bench.lead()
    for slot_ms in range(50):
        note(bench, "e", slot_ms)
    bench.admin.xtrim(bench.keys.ledger, maxlen=7, approximate=False)
    assert slots(client, "e") == [("e", slot_ms) for slot_ms in range(49, 42, -1)]


@pytest.mark.parametrize("previous", ["circle", "garbage", "9" * 30 + "-1", ""])
def test_a_chain_that_was_garbled_ends(bench: Bench, client: Client, previous: str) -> None:
    bench.place()
    bench.lead()
    fields = {"entry": "e", "slot": 1, "outcome": "sent", "prev": "4102444800000-1"}
    if previous != "circle":
        fields["prev"] = previous
    bench.admin.xadd(bench.keys.ledger, fields, id="4102444800000-1")
    bench.admin.hset(bench.keys.last_records, "e", "4102444800000-1")
    assert slots(client, "e") == [("e", 1)]


def test_what_was_done_to_the_chains_stops_no_firing(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.delete(bench.keys.last_records)
    bench.admin.set(bench.keys.last_records, "no hash")
    assert bench.claim(token, bench.claim_of(placed)) == ["ok"]
    assert [outcome for outcome, _, _ in bench.ledger("e")] == ["sent"]


def sweep(bench: Bench, token: Token) -> int:
    forgotten = bench.entries.sweep(Fence(token, TTL_MS), 1_000)
    assert not isinstance(forgotten, Lost)
    return forgotten


def test_chains_without_records_are_forgotten(bench: Bench) -> None:
    token = bench.lead()
    for name in ("old", "new"):
        bench.place(name)
        note(bench, name, 1)
        time.sleep(0.002)
    assert sweep(bench, token) == 0
    bench.admin.xtrim(bench.keys.ledger, maxlen=1, approximate=False)
    assert sweep(bench, token) == 1
    assert bench.admin.hkeys(bench.keys.last_records) == [b"new"]
    bench.admin.delete(bench.keys.lease)
    assert isinstance(bench.entries.sweep(Fence(token, TTL_MS), 1_000), Lost)


# -- time -------------------------------------------------------------------------------------


class Running:
    """A clock that advances each time it is read."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self.step_s, self.looks = 0.0, step_s, 0

    def __call__(self) -> float:
        self.now_s += self.step_s
        self.looks += 1
        return self.now_s


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Running]:
    def start(step_s: float) -> Running:
        clock = Running(step_s)
        monkeypatch.setattr("habeat.client.budget._now_s", clock)
        return clock

    return start


START = datetime(2026, 3, 1, tzinfo=UTC)
EACH_SECOND = habeat.rrule("FREQ=SECONDLY", tz="UTC", dtstart=START)
LONG: dict[str, Callable[[Client], Any]] = {
    "simulate": lambda c: c.simulate(START, START + timedelta(days=366)),
    "preview": lambda c: c.preview("rule", count=10_000),
    "preview of a schedule": lambda c: c.preview(EACH_SECOND, count=10_000),
    "backfill": lambda c: c.backfill("rule", START, START + timedelta(hours=20), dry_run=True),
    "history": lambda c: c.history(limit=10_000),
    "history of one": lambda c: c.history("e", limit=10_000),
    "drift since": lambda c: c.drift(since=timedelta(days=1)),
    "drift": lambda c: c.drift(),
    "list": lambda c: list(c.list(tags=["nobody has it"])),
    "export": lambda c: c.export(),
    "remove": lambda c: c.remove(tags=["nobody has it"]),
    "load": lambda c: c.load(DOCUMENT),
}
DOCUMENT = {
    "habeat_export": 1,
    "entries": [
        {"name": f"l{n}", "task": "t", "schedule": habeat.every(60).to_json()} for n in range(1_500)
    ],
}


@pytest.fixture
def full(bench: Bench, client: Client) -> Client:
    bench.lead()
    many = [{"name": f"entry {n}", "task": "t", "schedule": 3600} for n in range(500)]
    client.add_many(many)
    client.add("rule", "t", EACH_SECOND, max_runs=10**6)
    bench.place("e")
    note_all(bench, "e", range(1_500))
    return client


@pytest.mark.parametrize("call", LONG.values(), ids=LONG)
def test_a_call_that_takes_too_long_ends_and_says_how_far_it_came(
    full: Client,
    running: Callable[[float], Running],
    call: Callable[[Client], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(EACH_SECOND), "arithmetic", False)  # so its slots are counted
    clock = running(0.4)
    with pytest.raises(errors.CallTimeout) as caught:
        call(full)
    assert clock.looks < 40
    assert caught.value.seconds in (5.0, 8.0), "a load has a second more for 500 entries"
    assert str(caught.value).endswith("give the client a longer long_timeout")
    if caught.value.done:
        assert caught.value.done in str(caught.value)


@pytest.mark.parametrize(
    ("call", "done"),
    [("simulate", "firings were counted"), ("history", "records were read, back to 2"),
     ("drift since", "records were read"), ("preview", "slots were")],
)  # fmt: skip
def test_how_far_it_came(
    full: Client, running: Callable[[float], Running], call: str, done: str
) -> None:
    running(0.15)
    with pytest.raises(errors.CallTimeout, match=done):
        LONG[call](full)


def test_a_load_that_was_cut_short_continues_when_it_is_made_again(
    client: Client, running: Callable[[float], Running]
) -> None:
    """What was loaded is complete, and is found unchanged."""
    clock = running(0.0)

    def go_on(done: int, total: int) -> None:
        clock.now_s += 1.0

    with pytest.raises(errors.CallTimeout, match=r"of 1500 entries were loaded"):
        client.load(DOCUMENT, progress=go_on)
    loaded = {entry.name for entry in client.list()}
    assert 0 < len(loaded) < 1_500
    running(0.0)
    report = client.load(DOCUMENT)
    assert set(report.unchanged) == loaded
    assert len(report.added) == 1_500 - len(loaded)


def test_the_time_between_two_entries_of_a_list_is_the_callers(
    full: Client, running: Callable[[float], Running]
) -> None:
    clock = running(0.0)
    names = []
    for entry in full.list():
        names.append(entry.name)
        clock.now_s += 3.0  # less than the budget, more than it all together
    assert len(names) == 502


def test_calls_of_many_steps_may_be_given_more_time(
    valkey: Server, full: Client, running: Callable[[float], Running]
) -> None:
    running(0.4)
    with Client(valkey.url(), prefix=PREFIX, long_timeout=10_000) as patient:
        assert len(patient.history(limit=10_000)) >= 1_500
        assert len(list(patient.list())) == 502
    for wrong in (0, -1, "5", True):
        with pytest.raises(errors.ValidationError, match="long_timeout"):
            Client(valkey.url(), prefix=PREFIX, long_timeout=wrong)  # type: ignore[arg-type]


def test_what_made_a_call_be_repeated_is_reported_when_the_time_is_up(
    client: Client, running: Callable[[float], Running]
) -> None:
    """The error does not say that there was no time for another attempt."""
    clock = running(0.0)
    turns: list[float] = []

    def attempt(session: Any) -> Any:
        turns.append(clock.now_s)
        if len(turns) == 1:
            raise errors.StoreUnavailable("unreachable", "gone")
        clock.now_s += 10.0
        return session.inspection.now_ms()

    with pytest.raises(errors.RedisUnavailable, match="did not answer within 5 s"):
        client._calls.read(attempt)
    assert len(turns) == 2


def test_no_request_is_sent_when_the_time_is_up(
    full: Client, running: Callable[[float], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt of many requests is held to the call's time within itself."""
    clock, pages = running(0.0), []
    real = streams._page

    def page(*given: Any) -> Any:
        pages.append(given)
        clock.now_s += 2.0
        return real(*given)

    monkeypatch.setattr(streams, "_page", page)
    monkeypatch.setattr("habeat.client.history.CHECK_EVERY", 10**9)
    with pytest.raises(errors.CallTimeout):
        full.history(limit=10_000)
    assert len(pages) <= 3
