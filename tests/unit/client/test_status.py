"""From the facts in Redis to a status, and to what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.beat.housekeeping import REGISTER_EVERY_MS
from habeat.client.status import QUIET_AFTER_MS, Status, status_of
from habeat.core.health import HealthFacts
from habeat.core.lease import Token
from habeat.engine.loop import LONGEST_WAIT_MS
from habeat.store.health import Read
from habeat.store.inspection import Facts
from habeat.store.leases import LIVE_FOR_MS

NOW_US = 1_800_000_000_000_000
NOW_MS = NOW_US // 1_000
TOLD = {"host": "alpha", "pid": 1, "dispatch": "outbox", "dispatch_why": "RabbitMQ"}


def status(health: dict[str, Any] | None = None, **facts: Any) -> Status:
    """The status for these facts in Redis; `health` is what the script read besides."""
    given: dict[str, Any] = {
        "now_ms": NOW_MS,
        "meta": {"leader_since": str(NOW_US - 5_000_000), "leader_cause": "crash"},
        "holder": Token(7, "n1"),
        "pttl_ms": 4_000,
        "replicas": {"n1": TOLD, "n2": {"host": "beta"}},
        "seen_ms": {"n1": NOW_MS - 100, "n2": NOW_MS - 200},
        "entries": 5,
        "scheduled": 3,
        "next_due": ("a", NOW_MS + 1_000),
        "paused": 1,
        "quarantined": {},
        "in_flight": 0,
        "dead": 0,
        **facts,
    }
    read = Facts(**given)
    assessed: dict[str, Any] = {
        "now_ms": NOW_MS,
        "leader": "",
        "in_flight": read.in_flight,
        "dead": read.dead,
        "circuits": [(name, each.since_ms) for name, each in read.circuits.items()],
        "circuit_count": len(read.circuits),
        "accounting_off": read.accounting.difference,
        **(health or {}),
    }
    return status_of(read, Read(HealthFacts(**assessed), "7:n1", 0))


def test_a_healthy_cluster() -> None:
    found = status()
    assert (found.healthy, found.problems, found.remarks) == (True, (), ())
    assert found.leader is not None
    assert (found.leader.lease_epoch, found.leader.cause, found.leader.host) == (
        7,
        "crash",
        "alpha",
    )
    assert found.leader.since is not None
    assert (found.at - found.leader.since).total_seconds() == 5
    assert [each.where for each in found.replicas] == ["alpha pid 1", "beta pid ?"]
    assert (found.entries.disabled_or_exhausted, found.dispatch, found.in_flight) == (
        1,
        "outbox",
        0,
    )


def test_a_lease_that_ran_out_is_no_leader() -> None:
    for gone in ({"holder": None, "pttl_ms": -2}, {"pttl_ms": 0}):
        found = status(**gone)
        assert found.leader is None
        standing_by = {1: "1 replica stands by", 2: "2 replicas stand by"}[len(found.standbys)]
        assert found.problems[0] == f"no leader; {standing_by}"


def test_a_leader_that_has_not_said_who_it_is() -> None:
    found = status(replicas={}, seen_ms={})
    assert found.leader is not None
    assert (found.leader.host, found.leader.pid, found.leader.replica) == ("?", None, None)
    assert found.healthy


def test_replicas_not_seen_for_long_are_gone() -> None:
    found = status(seen_ms={"n1": NOW_MS, "n2": NOW_MS - 60_000})
    assert found.standbys == ()
    assert found.remarks == ("no standby: if the leader is lost, no replica takes over",)


def test_a_standby_that_has_not_registered_when_it_should_have_is_reported() -> None:
    assert REGISTER_EVERY_MS + LONGEST_WAIT_MS < QUIET_AFTER_MS < LIVE_FOR_MS
    for quiet_ms, result in (
        (QUIET_AFTER_MS, {}),
        (QUIET_AFTER_MS + 1, {"n2": QUIET_AFTER_MS + 1}),
    ):
        found = status(seen_ms={"n1": NOW_MS - 9_000, "n2": NOW_MS - quiet_ms})
        assert [each.id for each in found.standbys] == ["n2"]
        assert found.quiet_ms == result


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"health": {"beyond_grace": 2}}, "2 entries have been due"),
        ({"meta": {"claimed": "5", "settled": "3", "abandoned": "1"}}, "off by 1"),
        ({"in_flight": 1}, "off by -1"),
    ],
)
def test_what_makes_it_unhealthy(given: dict[str, Any], word: str) -> None:
    found = status(**given)
    assert not found.healthy
    assert word in found.problems[0]


def test_firings_in_flight_are_accounted_for() -> None:
    found = status(meta={"claimed": "5", "settled": "3", "abandoned": "1"}, in_flight=1)
    assert found.healthy
    assert (found.accounting.difference, found.accounting.in_flight) == (0, 1)


def test_entries_that_replicas_declare_differently_are_named() -> None:
    one = {**TOLD, "config": "f1"}
    other = {"host": "beta", "pid": 2, "config": "f2", "differs": {"a": "another definition"}}
    found = status(replicas={"n1": one, "n2": other})
    assert found.healthy
    assert found.differences == {"a": ("beta pid 2",)}
    assert "the replicas declare different entries: 'a'; alpha pid 1 leads" in found.remarks
    agreed = status(replicas={"n1": one, "n2": {**other, "config": "f1"}})
    assert (agreed.differences, agreed.remarks) == ({}, ())


@pytest.mark.parametrize("differs", [None, 3, ["a"], {"a": None}])
def test_what_another_release_says_of_differences_is_no_error(differs: Any) -> None:
    other = {"host": "beta", "config": "f2", "differs": differs, "differs_count": "x"}
    found = status(replicas={"n1": {**TOLD, "config": "f1"}, "n2": other})
    assert list(found.differences) == (["a"] if isinstance(differs, dict) else [])


def test_remarks() -> None:
    found = status(
        {"quarantined": ["q"], "quarantined_count": 1},
        quarantined={"q": "bad"},
        replicas={
            "n1": {**TOLD, "tzdata": "2026.1", "skew_ms": -4_000, "clashes": ["c"]},
            "n2": {"host": "beta", "tzdata": "2025.1", "unstorable": {"u": "why"}, "skew_ms": 5},
            "n3": {"host": "gamma", "pid": 3, "inert": "another app's keys"},
        },
        seen_ms={"n1": NOW_MS, "n2": NOW_MS, "n3": NOW_MS},
    )
    assert found.healthy
    assert len(found.remarks) == 6
    assert "gamma pid 3 can never lead: another app's keys" in found.remarks
    assert (found.clock_skew_ms, found.tzdata) == (-4_000, ("2025.1", "2026.1"))


def test_what_another_release_says_of_itself_breaks_nothing() -> None:
    odd = {"host": 5, "pid": "x", "clashes": "c", "unstorable": [1], "skew_ms": None, "tzdata": {}}
    found = status(replicas={"n1": odd, "n2": {}}, meta={"leader_since": "?", "claimed": "x"})
    assert found.leader is not None
    assert (found.leader.host, found.leader.since, found.clashes) == ("?", None, ())
    assert found.healthy
