"""Replicas that declare different entries: what they find and what they log, on a real server."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from celery import Celery

import habeat
from habeat.beat.declared.beat_schedule import declare
from habeat.beat.declared.differences import PASS_EVERY_MS, REGISTERED, Differences
from habeat.store.inspection import Inspection
from tests.integration.scripts.bench import Bench
from tests.integration.test_reconcile import GOOD, Deploy, StandingLead
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app


class Beat:
    """One replica: registers and compares as its housekeeping does."""

    def __init__(self, bench: Bench, nonce: str, given: dict[str, Any]) -> None:
        self.bench, self.nonce = bench, nonce
        self.declared = declare(make_app(), given)
        self.now_ms = 0
        self.leads = False
        inspection = Inspection(bench.caller)
        self.differences = Differences(bench.entries, inspection, self.declared, nonce)

    def turn(self) -> dict[str, str]:
        """Register, compare all, and register what was found; the names found."""
        for _ in range(2):
            self.now_ms += PASS_EVERY_MS
            config = self.declared.fingerprint
            names = sorted(self.declared.entries)
            self.bench.entries.declare(config, names)
            facts = {"host": self.nonce, "pid": 1, "config": config, **self.differences.facts}
            found = self.bench.leases.register(self.nonce, json.dumps(facts), config, len(names))
            self.differences.registered(found.configs, self.now_ms, leads=self.leads)
            for _ in range(20):
                self.differences.step()
        return dict(self.differences.facts["differs"])

    def stop(self) -> None:
        self.bench.leases.release(None, self.nonce)
        self.bench.admin.hdel(self.bench.keys.configs, self.declared.fingerprint)


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey)


@pytest.fixture
def app() -> Celery:
    return make_app()


@pytest.fixture
def leader(bench: Bench, app: Celery) -> Beat:
    """A leader that has stored its entries."""
    token = bench.lead("alpha")
    given = {"a": GOOD, "b": GOOD, "old": GOOD}
    Deploy(bench, app, 1, given).lead(StandingLead(bench, token))
    beat = Beat(bench, "alpha", given)
    beat.leads = True
    assert beat.turn() == {}
    return beat


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    caplog.clear()
    return found


def test_each_way_to_differ_is_named_once_and_its_end_too(bench, leader, caplog) -> None:
    other = Beat(bench, "beta", {"a": {**GOOD, "schedule": 90}, "b": GOOD, "new": GOOD})
    differs = {"a": "another definition", "new": "not stored", "old": "not declared"}
    assert other.turn() == differs
    [line] = lines(caplog)
    assert "this replica: 'a' (another definition), 'new' (not stored), 'old'" in line
    assert "alpha pid 1 leads" in line
    assert leader.turn() == {}
    [line] = lines(caplog)
    assert "beta pid 1: 'a' (another definition)" in line
    assert "this replica leads" in line
    for beat in (leader, other):
        beat.turn()
    assert lines(caplog) == []
    other.stop()
    assert leader.turn() == {}
    assert lines(caplog) == ["habeat: the replicas declare the same entries again"]


def test_replicas_that_declare_the_same_say_nothing(bench, leader, caplog) -> None:
    other = Beat(bench, "beta", {"a": GOOD, "b": GOOD, "old": GOOD})
    assert other.turn() == leader.turn() == {}
    assert lines(caplog) == []


def test_an_entry_of_the_api_or_one_that_nobody_else_declares_is_no_difference(
    bench, leader
) -> None:
    """The first is a clash, the second will be pruned; each has a log line of its own."""
    bench.admin.hset(bench.keys.entries, "api", json.dumps({"v": 1, "owner": "api"}))
    bench.admin.sadd(bench.keys.owned, "pruned soon")
    other = Beat(bench, "beta", {"a": GOOD, "b": GOOD, "old": GOOD, "api": GOOD})
    assert other.turn() == {}
    assert leader.turn() == {}


def test_a_leader_that_keeps_anothers_definition_says_so(bench, leader, caplog) -> None:
    """Three random draws: the first leader's is stored, and it is gone."""
    heir = Beat(bench, "beta", {"a": {**GOOD, "schedule": 90}, "b": GOOD, "old": GOOD})
    third = Beat(bench, "gamma", {"a": {**GOOD, "schedule": 91}, "b": GOOD, "old": GOOD})
    leader.stop()
    bench.admin.delete(bench.keys.lease)
    bench.lead("beta")
    heir.leads = True
    third.turn()
    assert heir.turn() == {"a": "another definition"}
    assert any("this replica leads" in line for line in lines(caplog))


def test_of_many_names_some_are_registered_and_all_are_counted(bench, leader) -> None:
    more = {f"n{number:04d}": GOOD for number in range(1_500)}
    other = Beat(bench, "beta", {"a": GOOD, "b": GOOD, "old": GOOD, **more})
    assert len(other.turn()) == REGISTERED
    assert other.differences.facts["differs_count"] == 1_500


def test_status_lists_each_replica_and_its_entries(valkey: Server, leader: Beat) -> None:
    from habeat.cli.watching import _rows  # what a person sees is made of these

    other = Beat(leader.bench, "beta", {"a": {**GOOD, "schedule": 90}, "b": GOOD, "old": GOOD})
    other.turn()
    with habeat.Client(valkey.url(), prefix=leader.bench.keys.prefix) as client:
        status = client.status()
    assert dict(_rows(status))["differing"] == ["beta pid 1: 'a' (another definition)"]
