"""Carrying what a source holds into habeat: what is written, and running it again."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import habeat
from habeat.beat.declared.seeding import Seeding, Terms
from habeat.client import Client
from habeat.client.calls import RetryingCalls
from habeat.client.location import location_of_url
from habeat.errors import RedisUnavailable
from habeat.migrate.apply import Migration, migrated
from habeat.migrate.found import Reading, SourceEntry, Uncarried
from habeat.migrate.plan import Action, Here
from habeat.ports import StoreUnavailable
from habeat.store.entries import EntryStore
from tests.integration.test_reconcile import GOOD, app, bench, deploy, lead

__all__ = ["app", "bench", "deploy", "lead"]  # fixtures

HOUR = timedelta(hours=1)


@pytest.fixture
def calls(bench) -> Iterator[RetryingCalls]:
    made = RetryingCalls(
        lambda: location_of_url(bench.server.url(), bench.keys.prefix, None, None), 5.0
    )
    yield made
    made.close()


@pytest.fixture
def client(bench) -> Iterator[Client]:
    with Client(bench.server.url(), prefix=bench.keys.prefix) as made:
        yield made


def found(name: str, **more: Any) -> SourceEntry:
    given = {"task": "proj.work", "schedule": habeat.cron("0 * * * *")}
    return SourceEntry(name, given, **more)


def carry(calls: RetryingCalls, *entries: SourceEntry, **more: Any) -> Migration:
    here = more.pop("here", Here())
    reading = Reading("RedBeat", entries, more.pop("uncarried", ()))
    return migrated(calls, reading, here, dry_run=more.pop("dry_run", False), **more)


def actions(done: Migration) -> dict[str, Action]:
    return {row.name: row.action for row in done.rows}


def test_an_entry_is_added_with_its_position_and_count(calls, client) -> None:
    last = client.server_time().replace(minute=0, second=1, microsecond=0) - HOUR
    done = carry(calls, found("a", last_run_at=last, total_run_count=7))
    assert (actions(done), done.written) == ({"a": Action.CARRY}, True)
    entry = client.get("a")
    assert (entry.owner, entry.state.fired) == ("api", 7)
    assert entry.state.last_fired == last
    assert entry.state.next_slot == done.rows[0].first_slot == last + HOUR - timedelta(seconds=1)
    assert client.history("a")[0].reason == "migrated from RedBeat"


def test_a_dry_run_writes_nothing_and_says_the_same(calls, client) -> None:
    last = client.server_time() - HOUR
    would = carry(calls, found("a", last_run_at=last), dry_run=True)
    assert list(client.list()) == []
    done = carry(calls, found("a", last_run_at=last))
    assert [(row.action, row.first_slot) for row in would.rows] == [
        (row.action, row.first_slot) for row in done.rows
    ]


def test_an_entry_of_code_is_not_touched_when_a_beat_seeds(
    bench, deploy, lead, calls, client
) -> None:
    made = deploy(nightly=GOOD)
    here = Here(declared=made.declared.entries)
    last = client.server_time() - HOUR
    carry(calls, SourceEntry("nightly", last_run_at=last, declared=True), here=here)
    before = bench.entries.read(["nightly"]).stored[0]
    assert before.entry is not None
    assert before.entry.owner == "config"
    seeding = Seeding(bench.entries, made.declared)
    seeding.begin(Terms(generation=1))
    while seeding.step(lead):
        pass
    assert seeding.made == 0
    assert bench.entries.read(["nightly"]).stored[0] == before
    assert bench.entries.owned() == 1


def test_entries_here_are_never_written(calls, client) -> None:
    client.add("a", "proj.other", 60)
    before = client.get("a")
    done = carry(calls, found("a"), found("b"))
    assert actions(done) == {"a": Action.KEEP, "b": Action.CARRY}
    assert client.get("a") == before
    client.update("b", args=[1])
    assert actions(carry(calls, found("b"))) == {"b": Action.KEEP}
    assert client.get("b").args == (1,)


def test_an_interrupted_migration_continues(calls, client, monkeypatch) -> None:
    entries = [found(f"e{number:03}", last_run_at=client.server_time()) for number in range(120)]
    adopt = EntryStore.adopt
    written = 0

    def fails(store: EntryStore, *given: Any) -> Any:
        nonlocal written
        written += 1
        if written > 1:
            raise StoreUnavailable("denied", "for this test")
        return adopt(store, *given)

    with monkeypatch.context() as patch:
        patch.setattr(EntryStore, "adopt", fails)
        with pytest.raises(RedisUnavailable):
            carry(calls, *entries)
    assert len(list(client.list())) == 50
    again = carry(calls, *entries)
    assert sorted(map(str, actions(again).values())) == ["carry"] * 70 + ["present"] * 50
    assert len(list(client.list())) == 120


def test_a_name_that_is_taken_during_the_write_is_planned_again(calls, client, monkeypatch) -> None:
    adopt = EntryStore.adopt

    def taken_first(store: EntryStore, *given: Any) -> Any:
        monkeypatch.setattr(EntryStore, "adopt", adopt)
        client.add("a", "proj.other", 60)
        return adopt(store, *given)

    monkeypatch.setattr(EntryStore, "adopt", taken_first)
    done = carry(calls, found("a"), found("b"))
    assert actions(done) == {"a": Action.KEEP, "b": Action.CARRY}
    assert client.get("a").task == "proj.other"


def test_what_cannot_be_carried_is_reported_beside_the_rest(calls, client) -> None:
    bad = replace(found("bad"), arguments={"task": "", "schedule": 60})
    done = carry(calls, bad, found("good"), uncarried=[Uncarried("odd", "not JSON", "mend it")])
    assert actions(done) == {"bad": Action.REFUSE, "good": Action.CARRY, "odd": Action.REFUSE}
    assert [entry.name for entry in client.list()] == ["good"]


def test_progress_is_reported(calls) -> None:
    seen: list[tuple[int, int]] = []
    entries = [found(f"e{number}") for number in range(60)]
    carry(calls, *entries, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(50, 60), (60, 60)]


def test_an_entry_that_the_source_ran_since_moves_on_and_is_not_repeated(calls, client) -> None:
    now = client.server_time()
    carry(calls, found("a", last_run_at=now - 5 * HOUR), found("b", last_run_at=now))
    client.pause("b", "x")
    again = carry(calls, found("a", last_run_at=now), found("b", last_run_at=now), found("c"))
    assert actions(again) == {"a": Action.CONTINUE, "b": Action.PRESENT, "c": Action.CARRY}
    entry = client.get("a")
    assert entry.state.next_slot is not None
    assert entry.state.next_slot > now
    assert entry.rev == 1
    assert client.history("a")[0].reason == "until here sent by RedBeat"
    assert client.get("b").state.paused == "x"


def test_a_paused_entry_moves_on_and_stays_paused(calls, client) -> None:
    now = client.server_time()
    carry(calls, found("a", last_run_at=now - 5 * HOUR))
    client.pause("a", "x")
    assert actions(carry(calls, found("a", last_run_at=now + HOUR / 2))) == {"a": Action.CONTINUE}
    assert client.get("a").state.due_ms is None
