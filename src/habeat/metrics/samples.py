"""The values of all metrics for one reading of the figures. Pure.

Nothing here knows Prometheus or OpenTelemetry: both turn the same samples into their own form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from habeat.core.firing import Outcome
from habeat.core.health import Finding
from habeat.core.lateness import Lateness
from habeat.metrics.table import BUCKETS_S, BY_NAME, Metric
from habeat.printable import printable
from habeat.store.figures import EntryFigures, Figures

#: A longer label is cut.
LABEL_MAX_CHARS = 300
#: A standby looks at the broker every 10 s.
BROKER_FRESH_MS = 30_000
ROLES = ("leader", "standby", "inert")
#: A scrape of a large fleet is bounded, too: at most this many replicas have series of their own.
REPLICAS_LISTED = 100

#: The outcomes that are counted. What was sent on time is the rest of what has a lateness.
COUNTED = tuple(each.value for each in Outcome if each not in (Outcome.SENT, Outcome.NOTE))
CHANGES, CAUSES_MOST = "leader_changes_", 20
CAUSES = ("first", "emptied", "released", "expired", "crash", "stuck", "wedged")


class Sample(NamedTuple):
    """One series: its labels' values in the order of `metric.labels`."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Lateness


def samples(figures: Figures, findings: Sequence[Finding] = ()) -> Iterator[Sample]:
    """All series, without two of the same name and labels, in the order of the table."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for name, labels, value in _all(figures, findings):
        shown = tuple(printable(label, LABEL_MAX_CHARS) for label in labels)
        # Two hostile names may look the same when printed. A series may occur only once.
        if (name, shown) not in seen:
            seen.add((name, shown))
            yield Sample(BY_NAME[name], shown, value)


def redis_down() -> Iterator[Sample]:
    """What can be exposed while Redis does not answer."""
    yield Sample(BY_NAME["habeat_redis_up"], (), 0)


Raw = tuple[str, tuple[str, ...], float | Lateness]


def _all(figures: Figures, findings: Sequence[Finding]) -> Iterator[Raw]:
    yield "habeat_redis_up", (), 1
    yield from _leader(figures)
    yield from _replicas(figures)
    yield from _entries(figures)
    yield from _findings(findings)
    yield from _firings(figures)
    for entry in figures.listed:
        yield from _entry(entry)


def _leader(figures: Figures) -> Iterator[Raw]:
    leads = figures.holder is not None and figures.pttl_ms > 0
    yield "habeat_leader", (), int(leads)
    if leads and figures.holder is not None:
        facts = figures.replicas.get(figures.holder.nonce, {})
        words = (_word(facts, name) for name in ("habeat", "dispatch"))
        yield "habeat_leader_info", (*_place(facts), *words), 1
        since_us = figures.count("leader_since")
        yield "habeat_leader_since_timestamp_seconds", (), since_us / 1_000_000
    yield "habeat_lease_epoch", (), figures.count("epoch")
    changes = {cause: figures.count(f"{CHANGES}{cause}") for cause in _causes(figures)}
    for cause, count in changes.items():
        yield "habeat_leader_changes_total", (cause,), count
    # An older release counts no causes.
    unknown = figures.count("leader_changes") - sum(changes.values())
    yield "habeat_leader_changes_total", ("unknown",), max(0, unknown)


def _causes(figures: Figures) -> list[str]:
    """The known causes, and those that a newer release has counted."""
    counted = [name.removeprefix(CHANGES) for name in figures.meta if name.startswith(CHANGES)]
    return list(dict.fromkeys([*CAUSES, *sorted(counted)[:CAUSES_MOST]]))


def _replicas(figures: Figures) -> Iterator[Raw]:
    live = dict(sorted(figures.live.items(), reverse=True))
    roles = [_role(figures, nonce) for nonce in live]
    for role in ROLES:
        yield "habeat_replicas", (role,), roles.count(role)
    for nonce, seen_ms in list(live.items())[:REPLICAS_LISTED]:
        facts = figures.replicas.get(nonce, {})
        place = _place(facts)
        yield "habeat_replica_seen_timestamp_seconds", place, seen_ms / 1_000
        skew_ms, answered_ms = _number(facts, "skew_ms"), _number(facts, "broker_ok_ms")
        if skew_ms is not None:
            yield "habeat_clock_skew_seconds", place, skew_ms / 1_000
        if _role(figures, nonce) == "standby":
            fresh = answered_ms is not None and figures.now_ms - answered_ms <= BROKER_FRESH_MS
            yield "habeat_broker_up", place, int(fresh)


def _entries(figures: Figures) -> Iterator[Raw]:
    stopped = figures.entries - figures.scheduled - figures.paused - figures.quarantined
    states = {
        "scheduled": figures.scheduled,
        "paused": figures.paused,
        "quarantined": figures.quarantined,
        "disabled or exhausted": max(0, stopped),
    }
    for state, count in states.items():
        yield "habeat_entries", (state,), count
    yield "habeat_overdue_entries", (), figures.overdue
    due_ms = figures.now_ms if figures.next_due is None else figures.next_due[1]
    yield "habeat_oldest_due_seconds", (), max(0, figures.now_ms - due_ms) / 1_000
    yield "habeat_inflight", (), figures.in_flight
    yield "habeat_dead", (), figures.dead
    yield "habeat_open_circuits", (), figures.circuits
    yield "habeat_claimed_total", (), figures.count("claimed")
    yield "habeat_settled_total", (), figures.count("settled")
    yield "habeat_accounting_error", (), figures.accounting.difference
    yield "habeat_start_by_broken_total", (), figures.count("start_by_broken")
    yield "habeat_history_lost_timestamp_seconds", (), figures.lost_ms / 1_000


def _findings(findings: Sequence[Finding]) -> Iterator[Raw]:
    for (code, severity), count in Counter((each.code, each.severity) for each in findings).items():
        yield "habeat_findings", (code, severity), count
    for each in findings:
        if each.entry:
            yield "habeat_entry_finding", (each.entry, each.code), 1


def _firings(figures: Figures) -> Iterator[Raw]:
    for outcome, count in _outcomes(figures.lateness, figures.outcomes):
        yield "habeat_firings_total", (outcome,), count
    yield "habeat_lateness_seconds", (), figures.lateness
    yield "habeat_entries_unlisted", (), max(0, figures.entries - len(figures.listed))


def _entry(entry: EntryFigures) -> Iterator[Raw]:
    name = entry.name
    for outcome, count in _outcomes(entry.lateness, entry.outcomes):
        yield "habeat_entry_firings_total", (name, outcome), count
    yield "habeat_entry_lateness_seconds", (name,), entry.lateness
    if entry.fired_ms is not None:
        yield "habeat_entry_last_fired_timestamp_seconds", (name,), entry.fired_ms / 1_000
    if entry.due_ms is not None:
        yield "habeat_entry_next_due_timestamp_seconds", (name,), entry.due_ms / 1_000


def _outcomes(lateness: Lateness, counted: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield Outcome.SENT.value, max(0, lateness.count - counted.get(Outcome.LATE, 0))
    for outcome in COUNTED:
        yield outcome, counted.get(outcome, 0)


def _role(figures: Figures, nonce: str) -> str:
    if figures.holder is not None and figures.holder.nonce == nonce:
        return "leader"
    return "inert" if _word(figures.replicas.get(nonce, {}), "inert") else "standby"


def _place(facts: Mapping[str, Any]) -> tuple[str, str]:
    pid = _number(facts, "pid")
    return _word(facts, "host") or "?", "?" if pid is None else str(round(pid))


def _word(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _number(facts: Mapping[str, Any], name: str) -> float | None:
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e15 else None  # NaN is not


def cumulative(lateness: Lateness) -> tuple[list[tuple[float, int]], float]:
    """The number of firings within each bound of `BUCKETS_S` and in all, and the sum in seconds."""
    rising, reached = [], 0
    left = sorted(lateness.counts.items(), reverse=True)
    for bound_s in BUCKETS_S:
        while left and left[-1][0] <= bound_s * 1_000:
            reached += left.pop()[1]
        rising.append((bound_s, reached))
    rising.append((float("inf"), reached + sum(count for _, count in left)))
    return rising, sum(ms * count for ms, count in lateness.counts.items()) / 1_000
