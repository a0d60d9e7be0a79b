"""Lateness and the ledger, as people are shown them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.client.history import Drift, drift_of, drift_since, past_ms, records
from habeat.core.firing import Firing, Outcome
from habeat.core.lateness import Lateness, bucket_of
from habeat.errors import ValidationError
from habeat.store.inspection import Record


class Ledger:
    """Stands in for `Inspection`."""

    def __init__(self, *rows: tuple[str, Outcome, int]) -> None:
        self.rows = rows
        self.asked: list[int | None] = []

    def ledger(self, from_ms: int | None = None, *, high: str = "+") -> Iterator[Record]:
        assert high == "+"
        self.asked.append(from_ms)
        for place, (entry, outcome, late_ms) in enumerate(self.rows):
            yield Record(entry, 1_000, outcome, "", 1, 0, 7, late_ms, 1, 5_000 - place)

    def cluster(self) -> str:
        return "c1"

    def ledger_of(
        self, entry: str, from_ms: int | None = None, until_ms: int | None = None
    ) -> Iterator[Record]:
        assert until_ms is None
        return (record for record in self.ledger(from_ms) if record.entry == entry)


def ledger(*rows: tuple[str, Outcome, int]) -> Any:
    return Ledger(*rows)


def test_drift_counts_only_what_left() -> None:
    rows = ledger(
        ("a", Outcome.SENT, 5),
        ("a", Outcome.MISSED, 9),
        ("b", Outcome.LATE, 7),
        ("a", Outcome.NOTE, 1),
    )
    assert drift_since(rows, None, 3) == [Drift("b", 1, 7, 7, 7, 7), Drift("a", 1, 5, 5, 5, 5)]
    assert rows.asked == [3]
    assert drift_since(rows, "a", 3) == [Drift("a", 1, 5, 5, 5, 5)]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300))
def test_exact_and_histogram_agree(values: list[int]) -> None:
    (exact,) = drift_since(ledger(*(("a", Outcome.SENT, value) for value in values)), None, 0)
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    (rough,) = drift_of([("a", Lateness(counts, max(values)))])
    assert rough.count == exact.count == len(values)
    assert rough.max_ms == exact.max_ms
    assert rough.p50_ms == bucket_of(exact.p50_ms)
    assert rough.p99_ms == bucket_of(exact.p99_ms)


def test_an_entry_that_never_fired_has_no_row() -> None:
    assert drift_of([("a", Lateness({}, 0))]) == []


def test_the_worst_come_first() -> None:
    rows = [("calm", Lateness({1: 9}, 1)), ("slow", Lateness({500: 1}, 500))]
    assert [row.entry for row in drift_of(rows)] == ["slow", "calm"]


def test_records_in_terms_of_people() -> None:
    rows = ledger(("a", Outcome.LATE, 1_500), ("b", Outcome.SKIPPED, 0), ("a", Outcome.SENT, 1))
    late, skipped, _ = records(rows, None, None, 10)
    assert late.slot == datetime.fromtimestamp(1, UTC) == late.until
    assert (late.at, late.outcome, late.lateness_ms) == (
        datetime.fromtimestamp(5, UTC),
        "late",
        1_500,
    )
    assert skipped.lateness_ms is None
    assert (late.task_id, skipped.task_id) == (Firing("a", 1_000, 1_000).task_id("c1"), None)
    assert [each.entry for each in records(rows, None, None, 10, outcomes=("late",))] == ["a"]
    assert [each.entry for each in records(rows, "a", None, 10)] == ["a", "a"]
    assert len(records(rows, None, None, 2)) == 2
    for limit in (0, True, "5"):
        with pytest.raises(ValidationError):
            records(rows, None, None, limit)  # type: ignore[arg-type]


def test_since_is_a_moment_or_a_span() -> None:
    assert past_ms("since", timedelta(seconds=3), 10_000) == 7_000
    assert past_ms("since", datetime.fromtimestamp(4, UTC), 10_000) == 4_000
    for wrong in (datetime(2026, 1, 1), "1h", 5):
        with pytest.raises(ValidationError) as caught:
            past_ms("since", wrong, 10_000)
        assert caught.value.field == "since"
