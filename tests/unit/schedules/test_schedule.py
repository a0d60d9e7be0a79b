"""The public questions: aware datetimes in and out, half-open windows, runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import ValidationError
from habeat.schedules import Run, Schedule, cron, crontab, every, once, rrule, solar
from tests.unit.schedules.strategies import untimed

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 10, 24, 22, tzinfo=UTC)

ALL = [
    every(7),
    every(3600).bound("nightly", "UTC"),
    cron("*/7 * * * *", tz="Europe/Berlin"),
    cron("10,40 30 2,3 * * *", tz="Europe/Berlin"),
    crontab(minute="*/20", hour="1-4", tz="Australia/Lord_Howe"),
    rrule("FREQ=MINUTELY;INTERVAL=25;BYHOUR=1,2,3", tz="Europe/Berlin", dtstart=START),
    once(START + timedelta(hours=1)),
    solar("sunrise", 52.5, 13.4),
]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_windows_are_half_open_and_lose_nothing(schedule: Schedule) -> None:
    cuts = [START + timedelta(minutes=31 * n) for n in range(20)]
    slots = list(schedule.between(cuts[0], cuts[-1]))
    cuts = sorted({*cuts, *(slot.astimezone(UTC) for slot in slots[:5])})
    pieces = [slot for a, b in pairwise(cuts) for slot in schedule.between(a, b)]
    assert pieces == slots
    for slot in slots[:3]:
        assert slot not in list(schedule.between(slot, slot))
        assert list(schedule.between(slot - timedelta(milliseconds=1), slot)) == [slot]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_a_run_is_what_between_yields(schedule: Schedule) -> None:
    end = START + timedelta(hours=9)
    slots = [round(slot.timestamp() * 1000) for slot in schedule.between(START, end)]
    after_ms, until_ms = (round(at.timestamp() * 1000) for at in (START, end))
    expected = Run(len(slots), slots[0], slots[-1]) if slots else None
    assert schedule.count_between(after_ms, until_ms) == expected
    assert schedule.count_between(until_ms, after_ms) is None


def test_a_limited_run_continues_where_it_stopped() -> None:
    schedule = cron("* * * * *")
    first = schedule.count_between(0, 600_000, limit=7)
    assert first == Run(7, 60_000, 420_000)
    assert schedule.count_between(first.last_ms, 600_000, limit=7) == Run(3, 480_000, 600_000)
    assert schedule.count_between(600_000, 600_000, limit=7) is None


@untimed
@given(st.sampled_from(ALL[2:5]), st.integers(-(10**12), 4 * 10**12))
def test_the_next_slot_is_later_whole_and_the_same_from_just_before(
    schedule: Schedule, after_ms: int
) -> None:
    slot_ms = schedule.next_after_ms(after_ms)
    assert slot_ms is not None
    assert slot_ms > after_ms
    assert slot_ms % 1000 == 0
    assert schedule.next_after_ms(slot_ms - 1) == slot_ms
    assert schedule.next_after_ms((after_ms + slot_ms) // 2) == slot_ms


def test_answers_are_in_the_schedules_zone_or_in_utc() -> None:
    in_berlin = cron("0 3 * * *", tz="Europe/Berlin").next_after(START)
    assert in_berlin is not None
    assert in_berlin.tzinfo == BERLIN
    for schedule in (cron("0 3 * * *"), every(60), once(START + timedelta(days=1))):
        found = schedule.next_after(START)
        assert found is not None
        assert found.tzinfo is UTC


def test_the_zone_of_the_question_does_not_matter() -> None:
    schedule = cron("0 3 * * *", tz="Europe/Berlin")
    for zone in (UTC, BERLIN, timezone(timedelta(hours=-3, minutes=-30))):
        found = schedule.next_after(START.astimezone(zone))
        assert found == datetime(2026, 10, 25, 3, tzinfo=BERLIN)


def test_both_passes_of_a_fold_can_be_asked_about() -> None:
    schedule = cron("*/15 * * * *", tz="Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 50, tzinfo=BERLIN)
    after_first, after_second = (schedule.next_after(first.replace(fold=f)) for f in (0, 1))
    assert after_first is not None
    assert after_second is not None
    assert (after_first.hour, after_first.fold) == (2, 1)
    assert (after_second.hour, after_second.fold) == (3, 0)


def test_microseconds_of_the_question_are_no_slot() -> None:
    at = START + timedelta(hours=1)
    assert once(at).next_after(at) is None
    assert once(at).next_after(at - timedelta(microseconds=1)) == at
    assert once(at).next_after(at + timedelta(microseconds=1)) is None


@pytest.mark.parametrize("instant", [None, 1.5, "2026-01-01", START.date()])
def test_only_datetimes_are_instants(instant: object) -> None:
    with pytest.raises(ValidationError, match="with a timezone"):
        every(1).next_after(instant)  # type: ignore[arg-type]
