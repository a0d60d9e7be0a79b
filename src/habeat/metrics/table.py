"""The table of all metrics: name, kind, labels, meaning.

Names, labels and meanings are defined here only. A test compares `docs/reference/metrics.md`, the
dashboard and the alert rules with this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

#: Upper bounds of the buckets, in seconds. The counts behind them are exact up to 256 ms and within
#: 0.8 % above.
BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. The name of a counter ends with _total."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


_REPLICA = ("host", "pid")

METRICS: tuple[Metric, ...] = (
    Metric("habeat_redis_up", "gauge", "1 if the schedule's Redis answered this scrape."),
    Metric("habeat_leader", "gauge", "1 if a replica holds the lease, otherwise 0."),
    Metric(
        "habeat_leader_info",
        "gauge",
        "1 for the replica that holds the lease.",
        (*_REPLICA, "version", "dispatch"),
    ),
    Metric("habeat_leader_since_timestamp_seconds", "gauge", "When the leader took the lease."),
    Metric("habeat_lease_epoch", "gauge", "The lease epoch, which rises with each new leader."),
    Metric(
        "habeat_leader_changes_total",
        "counter",
        "Changes of leader, by how the new leader came to lead.",
        ("cause",),
    ),
    Metric("habeat_replicas", "gauge", "Live replicas by role.", ("role",)),
    Metric(
        "habeat_replica_seen_timestamp_seconds",
        "gauge",
        "When a replica last registered, by Redis' clock.",
        _REPLICA,
    ),
    Metric(
        "habeat_clock_skew_seconds",
        "gauge",
        "The clock of a replica's host minus Redis' clock.",
        _REPLICA,
    ),
    Metric(
        "habeat_broker_up",
        "gauge",
        "1 if the broker answered this standby within the last 30 s, otherwise 0.",
        _REPLICA,
    ),
    Metric("habeat_entries", "gauge", "Entries by state.", ("state",)),
    Metric("habeat_overdue_entries", "gauge", "Entries that have been due for over a second."),
    Metric(
        "habeat_oldest_due_seconds",
        "gauge",
        "For how long the entry that waits longest has been due; 0 if nothing is due.",
    ),
    Metric("habeat_inflight", "gauge", "Firings that are claimed and not settled yet."),
    Metric("habeat_dead", "gauge", "Firings and requests that were given up and are still stored."),
    Metric("habeat_open_circuits", "gauge", "Entries that are not sent because they kept failing."),
    Metric("habeat_claimed_total", "counter", "Slots and requested firings that were claimed."),
    Metric("habeat_settled_total", "counter", "Claimed firings whose message was sent."),
    Metric(
        "habeat_accounting_error",
        "gauge",
        "Claimed firings that are neither settled, nor given up, nor in flight; must be 0.",
    ),
    Metric(
        "habeat_history_lost_timestamp_seconds",
        "gauge",
        "When Redis was last found emptied or restored; 0 if never.",
    ),
    Metric(
        "habeat_findings",
        "gauge",
        "What health finds, by code; absent if there is none.",
        ("code", "severity"),
    ),
    Metric(
        "habeat_entry_finding",
        "gauge",
        "1 for each finding of health that concerns one entry, listed or not.",
        ("entry", "code"),
    ),
    Metric(
        "habeat_firings_total",
        "counter",
        "Slots of all entries by outcome, without firings by hand.",
        ("outcome",),
    ),
    Metric(
        "habeat_start_by_broken_total",
        "counter",
        "Slots that were not sent within their entry's start_by.",
    ),
    Metric(
        "habeat_lateness_seconds",
        "histogram",
        "From the effective time of a firing to its message in the broker, over all entries.",
    ),
    Metric(
        "habeat_entries_unlisted",
        "gauge",
        "Entries without metrics of their own, because of habeat_metrics_entries.",
    ),
    Metric(
        "habeat_entry_firings_total",
        "counter",
        "Slots of an entry by outcome, without firings by hand.",
        ("entry", "outcome"),
    ),
    Metric(
        "habeat_entry_lateness_seconds",
        "histogram",
        "From the effective time of an entry's firings to their messages in the broker.",
        ("entry",),
    ),
    Metric(
        "habeat_entry_last_fired_timestamp_seconds",
        "gauge",
        "When the entry last fired.",
        ("entry",),
    ),
    Metric(
        "habeat_entry_next_due_timestamp_seconds",
        "gauge",
        "When the entry is due next; absent while it is not scheduled.",
        ("entry",),
    ),
)

#: Only the endpoint of a beat has these: they are about the process that answers.
OWN: tuple[Metric, ...] = (
    Metric(
        "habeat_last_tick_timestamp_seconds",
        "gauge",
        "When this beat's last tick began, by its host's clock.",
    ),
    Metric("habeat_this_replica_leads", "gauge", "1 if this beat leads, otherwise 0."),
)

BY_NAME: Mapping[str, Metric] = MappingProxyType({each.name: each for each in (*METRICS, *OWN)})
