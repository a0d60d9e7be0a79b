"""FLUSHALL under a beat: what is stored again, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from habeat.beat.declared.seeding import STORED_AGAIN
from habeat.beat.events.promises import EVERY_MS, SELDOM, PromiseWatch
from habeat.client import Client
from habeat.core.firing import Outcome
from habeat.core.promises import BrokenPromise
from habeat.ports import Known, Won
from habeat.store.promises import PromiseStore
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.integration.test_reconcile import GOOD, Deploy, StandingLead
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

PREFIX = "habeat:proj"
PROMISED: dict[str, Any] = {**GOOD, "schedule": 31_536_000, "start_by": 2}


class Beat:
    """A beat that leads, and watches the promises of its entries."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.alarms: list[BrokenPromise] = []
        store = PromiseStore(bench.caller)
        self._watch = PromiseWatch(store, bench.clock, self.alarms.append)
        self._deploy = Deploy(
            bench, make_app(), 1, {"a": PROMISED, "b": {**PROMISED, "start_by": 3}}
        )
        self.won = self.lead(Known())

    def lead(self, known: Known) -> Won:
        """Take the lease, and bring Redis in line with the code."""
        won = self.bench.leases.acquire("aa", TTL_MS, known)
        assert isinstance(won, Won)
        lead = StandingLead(self.bench, won.token, won.cluster)
        self._deploy.lead(lead, won.loss.declared_ms)
        return won

    def look(self) -> None:
        for _ in range(SELDOM):
            self.bench.clock.advance(EVERY_MS)
            self._watch.look(leads=True)


@pytest.fixture
def beat(valkey: Server) -> Beat:
    return Beat(Bench(valkey, prefix=PREFIX, app="proj"))


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def emptied(beat: Beat) -> None:
    """FLUSHALL; this beat, which led before, leads again."""
    beat.look()
    before = beat.won
    answered_ms = before.now_us // 1_000
    beat.bench.admin.flushall()
    known = Known(before.cluster, before.token.epoch, before.heartbeat, answered_ms=answered_ms)
    beat.lead(known)


def test_no_slot_is_made_up(beat: Beat, client: Client) -> None:
    emptied(beat)
    beat.look()
    assert beat.alarms == []
    assert client.history(outcome=["missed"]) == []
    notes = client.history()
    assert {(each.entry, each.outcome, each.why, each.count) for each in notes} == {
        (name, "note", STORED_AGAIN, 0) for name in ("a", "b")
    }


def test_what_an_older_release_records_of_no_slot_raises_no_alarm(beat: Beat) -> None:
    beat.look()
    now_ms = beat.bench.now_ms
    fields = {"entry": "a", "slot": now_ms, "until": now_ms, "outcome": Outcome.MISSED}
    about = {"reason": "history lost", "count": 0, "epoch": 1, "late": 0, "attempt": 0}
    beat.bench.admin.xadd(beat.bench.keys.ledger, {**fields, **about})
    beat.bench.admin.hincrby(beat.bench.keys.outcomes, "missed", 1)
    beat.look()
    assert beat.alarms == []
    beat.bench.admin.xadd(beat.bench.keys.ledger, {**fields, **about, "count": 1})
    beat.bench.admin.hincrby(beat.bench.keys.outcomes, "missed", 1)
    beat.look()
    assert [each.entry for each in beat.alarms] == ["a"]


def test_a_beat_that_led_before_is_not_the_first_leader(beat: Beat, client: Client) -> None:
    emptied(beat)
    change, loss = client.events()
    assert (loss.code, loss.cause) == ("data_lost", "emptied")
    assert change.cause == "emptied"
    assert change.sentence.endswith("leads: after Redis was emptied")
