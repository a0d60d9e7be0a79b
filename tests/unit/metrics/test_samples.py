"""The values of the metrics, for figures as Redis has them, damaged ones included."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from habeat.core.health import Finding, Severity
from habeat.core.lateness import Lateness
from habeat.core.lease import Token
from habeat.metrics.samples import LABEL_MAX_CHARS, cumulative, samples
from habeat.metrics.table import BUCKETS_S, BY_NAME
from habeat.store.figures import EntryFigures, Figures

NOW_MS = 1_800_000_000_000
EMPTY = Lateness({}, 0)
FIGURES = Figures(
    now_ms=NOW_MS,
    meta={},
    holder=None,
    pttl_ms=-2,
    replicas={},
    seen_ms={},
    entries=0,
    scheduled=0,
    overdue=0,
    next_due=None,
    paused=0,
    quarantined=0,
    circuits=0,
    in_flight=0,
    dead=0,
    lateness=EMPTY,
    outcomes={},
)


def shown(**changed: Any) -> dict[tuple[str, ...], Any]:
    """The samples by name and labels."""
    return {
        (each.metric.name, *each.labels): each.value
        for each in samples(replace(FIGURES, **changed))
    }


def entry(name: str, **given: Any) -> EntryFigures:
    return EntryFigures(
        **{"name": name, "due_ms": None, "fired_ms": None, "lateness": EMPTY, "outcomes": {}}
        | given
    )


def test_without_a_leader_or_an_entry_everything_is_zero() -> None:
    found = shown()
    assert found["habeat_redis_up",] == 1
    assert found["habeat_leader",] == 0
    assert found["habeat_replicas", "standby"] == 0
    assert found["habeat_firings_total", "sent"] == 0
    assert ("habeat_leader_info",) not in {key[:1] for key in found}


def test_the_leader_is_shown_with_host_version_and_dispatch() -> None:
    facts = {"host": "web-1", "pid": 7, "habeat": "1.2", "dispatch": "atomic", "skew_ms": -250}
    found = shown(
        holder=Token(5, "a"),
        pttl_ms=4_000,
        replicas={"a": facts, "b": {"host": "web-2", "pid": 8, "broker_ok_ms": NOW_MS - 1}},
        seen_ms={"a": NOW_MS - 10, "b": NOW_MS - 20, "gone": NOW_MS - 60_000},
        meta={"leader_since": str((NOW_MS - 5_000) * 1_000), "epoch": "5"},
    )
    assert found["habeat_leader_info", "web-1", "7", "1.2", "atomic"] == 1
    assert found["habeat_leader_since_timestamp_seconds",] == (NOW_MS - 5_000) / 1_000
    assert [found["habeat_replicas", role] for role in ("leader", "standby", "inert")] == [1, 1, 0]
    assert found["habeat_clock_skew_seconds", "web-1", "7"] == -0.25
    assert found["habeat_broker_up", "web-2", "8"] == 1


def test_a_lease_that_is_over_has_no_leader() -> None:
    assert shown(holder=Token(5, "a"), pttl_ms=-2)["habeat_leader",] == 0


def test_a_standby_that_last_reached_the_broker_long_ago_does_not_reach_it() -> None:
    facts = {"host": "web-2", "pid": 8, "broker_ok_ms": NOW_MS - 40_000}
    assert (
        shown(replicas={"b": facts}, seen_ms={"b": NOW_MS})["habeat_broker_up", "web-2", "8"] == 0
    )


def test_changes_of_leader_are_counted_by_cause_and_those_of_an_older_release_too() -> None:
    meta = {"leader_changes": "9", "leader_changes_crash": "4", "leader_changes_first": "1"}
    found = shown(meta=meta | {"leader_changes_new": "0"})
    assert found["habeat_leader_changes_total", "crash"] == 4
    assert found["habeat_leader_changes_total", "new"] == 0
    assert found["habeat_leader_changes_total", "unknown"] == 4


def test_what_was_sent_is_what_has_a_lateness_and_was_not_late() -> None:
    lateness = Lateness({3: 5, 2_000: 2}, 2_000)
    listed = [entry("e", lateness=lateness, outcomes={"late": 2, "missed": 3})]
    found = shown(lateness=lateness, outcomes={"late": 2, "missed": 3}, listed=listed, entries=4)
    for labels in (("habeat_firings_total",), ("habeat_entry_firings_total", "e")):
        assert [found[(*labels, each)] for each in ("sent", "late", "missed")] == [5, 2, 3]
    assert found["habeat_entries_unlisted",] == 3


def test_an_entry_that_is_not_scheduled_has_no_next_due_time() -> None:
    found = shown(listed=[entry("e", fired_ms=NOW_MS), entry("f", due_ms=NOW_MS + 1)])
    assert found["habeat_entry_last_fired_timestamp_seconds", "e"] == NOW_MS / 1_000
    assert ("habeat_entry_next_due_timestamp_seconds", "e") not in found
    assert found["habeat_entry_next_due_timestamp_seconds", "f"] == (NOW_MS + 1) / 1_000


def test_the_oldest_due_time_is_an_age_and_never_negative() -> None:
    assert shown(next_due=("e", NOW_MS - 2_500))["habeat_oldest_due_seconds",] == 2.5
    assert shown(next_due=("e", NOW_MS + 2_500))["habeat_oldest_due_seconds",] == 0


def test_two_names_that_look_the_same_when_printed_are_one_series() -> None:
    found = list(samples(replace(FIGURES, listed=[entry("a\n"), entry("a\\n")])))
    series = [(each.metric.name, each.labels) for each in found]
    assert len(series) == len(set(series))
    assert ("habeat_entry_firings_total", ("a\\n", "sent")) in series


def test_findings_are_counted_by_code_and_name_the_entry_that_they_concern() -> None:
    findings = [
        Finding("entry_starved", Severity.ERROR, "far down the list", "…"),
        Finding("entry_starved", Severity.ERROR, "another", "…"),
        Finding("no_leader", Severity.ERROR, "", "…"),
    ]
    found = {(each.metric.name, *each.labels): each.value for each in samples(FIGURES, findings)}
    assert found["habeat_findings", "entry_starved", "error"] == 2
    assert found["habeat_findings", "no_leader", "error"] == 1
    assert found["habeat_entry_finding", "far down the list", "entry_starved"] == 1
    assert ("habeat_entry_finding", "", "no_leader") not in found


def test_labels_are_printable_and_bounded() -> None:
    hostile = "\x1b[2J\r\n" + "x" * 1_000 + "\udcff"
    labels = {each.labels for each in samples(replace(FIGURES, listed=[entry(hostile)]))}
    assert all(part.isprintable() for each in labels for part in each)
    assert max(len(part) for each in labels for part in each) == LABEL_MAX_CHARS


def test_facts_of_a_replica_that_are_damaged_are_left_out() -> None:
    facts = {"host": 5, "pid": "x", "skew_ms": float("nan"), "broker_ok_ms": True, "inert": []}
    found = shown(replicas={"b": facts}, seen_ms={"b": NOW_MS}, meta={"claimed": "x", "epoch": ""})
    assert found["habeat_broker_up", "?", "?"] == 0
    assert ("habeat_clock_skew_seconds", "?", "?") not in found
    assert found["habeat_claimed_total",] == 0


def test_the_buckets_of_a_histogram_rise_and_the_last_has_all() -> None:
    rising, total_s = cumulative(Lateness({0: 1, 10: 2, 11: 4, 9_000_000: 8}, 9_000_000))
    assert [bound for bound, _ in rising] == [*BUCKETS_S, float("inf")]
    assert dict(rising)[0.01] == 3
    assert dict(rising)[3600.0] == 7
    assert rising[-1][1] == 15
    assert total_s == (2 * 10 + 4 * 11 + 8 * 9_000_000) / 1_000


def test_every_sample_has_the_labels_of_its_metric() -> None:
    listed = [entry("e", due_ms=1, fired_ms=1)]
    facts = {"host": "h", "pid": 1, "skew_ms": 1}
    given = replace(
        FIGURES,
        listed=listed,
        holder=Token(5, "a"),
        pttl_ms=9,
        replicas={"a": facts, "b": facts},
        seen_ms={"a": NOW_MS, "b": NOW_MS},
    )
    findings = [Finding("entry_starved", Severity.ERROR, "e", "…")]
    found = list(samples(given, findings))
    assert all(len(each.labels) == len(each.metric.labels) for each in found)
    own = {"habeat_last_tick_timestamp_seconds", "habeat_this_replica_leads"}
    assert {each.metric.name for each in found} == BY_NAME.keys() - own
