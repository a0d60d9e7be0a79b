"""Firings per minute, the peaks, and what a spread would do; held to counting one by one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import habeat
from habeat.client import simulation
from habeat.client.simulation import Simulation, simulated
from habeat.core.entry import Entry, EntryState
from habeat.errors import ValidationError
from habeat.schedules import Schedule
from habeat.schedules.custom import Code

START = datetime(2026, 3, 1, tzinfo=UTC)
START_MS = round(START.timestamp() * 1_000)
HOUR = timedelta(hours=1)


def entry_of(name: str, schedule: Schedule, **given: Any) -> Entry:
    state = given.pop("state", EntryState(cursor_ms=START_MS, due_ms=START_MS))
    return Entry(name, "proj.a", schedule, state=state, **given)


def run(*entries: Entry, hours: float = 1, spread: float | None = None) -> Simulation:
    return simulated(lambda: [list(entries)], START, START + hours * HOUR, spread)


def one_by_one(entry: Entry, minutes: int) -> list[int]:
    """The same by the entry's own word for each slot."""
    counted: Counter[int] = Counter()
    slot_ms = entry.next_slot_ms(START_MS - 3 * 86_400_000)
    while slot_ms is not None and slot_ms < START_MS + minutes * 60_000:
        counted[(entry.effective_ms(slot_ms) - START_MS) // 60_000] += 1
        slot_ms = entry.next_slot_ms(slot_ms)
    return [counted[minute] for minute in range(minutes)]


SCHEDULES = st.one_of(
    st.integers(500, 7_200_000).map(lambda ms: habeat.every(timedelta(milliseconds=ms), offset=0)),
    st.sampled_from(
        [
            habeat.cron("*/7 * * * *", tz="UTC"),
            habeat.cron("0 0 * * *", tz="Europe/Berlin"),
            habeat.cron("*/20 * * * * *", tz="UTC"),
            habeat.once(START + timedelta(minutes=30)),
        ]
    ),
)


@settings(max_examples=20, deadline=None)
@given(
    SCHEDULES,
    st.sampled_from([0, 1_000, 90_000, 86_400_000]),
    st.sampled_from([0, 700, 40_000, 7_200_000]),
    st.sampled_from([None, START_MS + 600_000]),
)
def test_it_counts_as_the_entries_do(
    schedule: Schedule, spread_ms: int, jitter_ms: int, end_ms: int | None
) -> None:
    entry = entry_of("e", schedule, spread_ms=spread_ms, jitter_ms=jitter_ms, end_ms=end_ms)
    assert list(run(entry).load.per_minute) == one_by_one(entry, 60)


def test_the_peaks_and_who_makes_them() -> None:
    nightly = [entry_of(f"n{n:02}", habeat.cron("30 0 * * *", tz="UTC")) for n in range(30)]
    often = entry_of("often", habeat.every(20, offset=0))
    found = run(*nightly, often)
    assert (found.entries, found.load.firings, found.load.highest) == (31, 30 + 180, 33)
    peak = found.load.peaks[0]
    assert (peak.at, peak.firings) == (START + HOUR / 2, 33)
    assert list(peak.entries.items())[:3] == [("often", 3), ("n00", 1), ("n01", 1)]
    assert len(peak.entries) == simulation.ENTRIES_OF_A_PEAK
    assert [other.firings for other in found.load.peaks[1:]] == [3] * 4


def test_what_a_spread_would_do() -> None:
    hourly = [entry_of(f"h{n}", habeat.cron("0 * * * *", tz="UTC")) for n in range(600)]
    found = run(*hourly, hours=5, spread=1_800)
    assert found.load.highest == 600
    assert found.with_spread is not None
    assert found.with_spread.highest < 60
    # What is put off into the period at its beginning, and out of it at its end, is the same.
    assert found.with_spread.firings == found.load.firings == 3_000
    assert found.spread == timedelta(minutes=30)
    own = [
        entry_of(f"h{n}", habeat.cron("0 * * * *", tz="UTC"), spread_ms=1_800_000)
        for n in range(600)
    ]
    assert list(run(*own, hours=5).load.per_minute) == list(found.with_spread.per_minute)


def test_what_does_not_fire_is_named_with_the_reason() -> None:
    every = habeat.every(60, offset=0)
    found = run(
        entry_of("on", every),
        entry_of("off", every, enabled=False),
        entry_of("held", every, state=EntryState(paused="x")),
        entry_of("bad", every, state=EntryState(quarantined="x")),
        entry_of("code", Code("proj.Tides")),
        entry_of("spent", every, max_runs=3, state=EntryState(cursor_ms=START_MS - 1, fired=3)),
    )
    assert dict(found.left_out) == {
        "off": "disabled",
        "held": "paused",
        "bad": "quarantined",
        "code": "its slots are known to code only",
    }
    assert (found.entries, found.load.firings) == (2, 60)


def test_an_empty_schedule_has_no_peaks() -> None:
    found = run()
    assert (found.load.firings, found.load.highest, found.load.peaks) == (0, 0, ())


def test_whole_minutes() -> None:
    span = (START + timedelta(seconds=30), START + timedelta(seconds=90))
    found = simulated(lambda: [[entry_of("e", habeat.every(60, offset=0))]], *span, None)
    assert (found.start, found.end) == (START, START + timedelta(minutes=2))
    assert list(found.load.per_minute) == [1, 1]


@pytest.mark.parametrize(
    ("field", "start", "end", "spread"),
    [
        ("start", datetime(2026, 1, 1), START, None),
        ("end", START, datetime(2027, 1, 1), None),
        ("end", START, START, None),
        ("end", START, START - HOUR, None),
        ("end", START, START + timedelta(days=367), None),
        ("spread", START, START + HOUR, -1),
        ("spread", START, START + HOUR, "5m"),
    ],
)
def test_what_is_refused(field: str, start: datetime, end: datetime, spread: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        simulated(lambda: [], start, end, spread)
    assert caught.value.field == field


def test_it_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "FIRINGS_MAX", 1_000)
    assert run(entry_of("e", habeat.every(4, offset=0))).load.firings == 900
    with pytest.raises(ValidationError, match="less than 1000 firings"):
        run(entry_of("e", habeat.every(4, offset=0)), entry_of("f", habeat.every(4, offset=0)))
