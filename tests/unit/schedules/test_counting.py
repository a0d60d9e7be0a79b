"""`count_between` by arithmetic gives what walking the slots gives."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import habeat
from habeat.schedules.schedule import Schedule

RULES = [
    "* * * * *",
    "*/15 * * * *",
    "30 2 * * *",
    "0,30 1-3 * * *",
    "0 2,3 * * sun",
    "*/20 30 2 * * *",
    "0 0 l * *",
    "59 23 31 12 *",
    "0 12 15w * *",
    "5 0 * 2 mon#1",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]
START_MS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1_000)
YEAR_MS = 366 * 86_400_000


@settings(max_examples=300, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    zone=st.sampled_from(ZONES),
    gap=st.sampled_from(["shift", "skip"]),
    fold=st.sampled_from(["auto", "first", "last", "both"]),
    after=st.integers(0, 2 * YEAR_MS),
    span=st.integers(0, 20 * 86_400_000),
    limit=st.one_of(st.none(), st.integers(1, 500)),
)
def test_counting_agrees_with_walking(
    rule: str, zone: str, gap: str, fold: str, after: int, span: int, limit: int | None
) -> None:
    schedule = habeat.cron(rule, tz=zone, gap=gap, fold=fold)  # type: ignore[arg-type]
    after_ms = START_MS + after
    walked = Schedule.count_between(schedule, after_ms, after_ms + span, limit)
    assert schedule.count_between(after_ms, after_ms + span, limit) == walked


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("rule", RULES)
def test_every_change_of_clocks_is_counted_right(rule: str, zone: str) -> None:
    for gap, fold in (("shift", "auto"), ("skip", "last"), ("shift", "both")):
        schedule = habeat.cron(rule, tz=zone, gap=gap, fold=fold)  # type: ignore[arg-type]
        for month in range(1, 25):
            after_ms = START_MS + month * 30 * 86_400_000
            until_ms = after_ms + 2 * 86_400_000 + 12_345
            walked = Schedule.count_between(schedule, after_ms, until_ms)
            assert schedule.count_between(after_ms, until_ms) == walked


def test_two_weeks_of_seconds_are_one_run() -> None:
    schedule = habeat.cron("* * * * * *", tz="Europe/Berlin")
    run = schedule.count_between(START_MS, START_MS + 14 * 86_400_000)
    assert run is not None
    assert run.count == 14 * 86_400
    assert run.last_ms == START_MS + 14 * 86_400_000
