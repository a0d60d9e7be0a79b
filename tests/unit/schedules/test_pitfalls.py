"""Schedules that other schedulers get wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from habeat.errors import ValidationError
from habeat.schedules import cron, crontab, every, from_json, once

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_wall_clock_does_not_shift_over_dst_and_past_rules_end() -> None:
    monthly = cron("0 9 * * mon#1", tz="Europe/Berlin")
    year = (datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2027, 1, 1, tzinfo=BERLIN))
    found = list(monthly.between(*year))
    assert len(found) == 12  # not every Monday
    assert {slot.hour for slot in found} == {9}  # nor an hour later in summer
    assert once(year[0]).next_after(year[0]) is None


def test_a_crontabs_own_zone_is_kept() -> None:
    schedule = crontab(0, 9, tz="America/New_York")
    stored = from_json(schedule.bound("report", "UTC").to_json())
    assert stored == schedule
    found = stored.next_after(datetime(2026, 7, 1, tzinfo=UTC))
    assert found == datetime(2026, 7, 1, 13, tzinfo=UTC)


def test_the_repeated_hour_in_autumn_is_not_skipped() -> None:
    start, end = (datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in (0, 3))
    hourly = crontab(minute=0, tz="Europe/Berlin")
    quarterly = crontab(minute="*/15", tz="Europe/Berlin")
    assert len(list(hourly.between(start, end))) == 3
    assert len(list(quarterly.between(start, end))) == 12


def test_a_time_missing_in_spring_runs_at_the_end_of_the_gap() -> None:
    found = crontab(30, 2, tz="Europe/Berlin").next_after(datetime(2026, 3, 29, tzinfo=BERLIN))
    assert found == datetime(2026, 3, 29, 3, 0, tzinfo=BERLIN)  # not at 03:30


def test_the_cadence_does_not_slip_with_the_publish() -> None:
    schedule = every(1)
    slot_ms, slots = 1_767_225_600_000, []
    for _ in range(1000):
        found = schedule.next_after_ms(slot_ms + 50)  # asked again 50 ms after the firing
        assert found is not None
        slots.append(found)
        slot_ms = found
    assert slots[-1] - slots[0] == 999_000


def test_an_answer_does_not_depend_on_when_it_is_asked() -> None:
    slot_ms = every(300).bound("poll", "UTC").next_after_ms(1_767_225_600_000)
    assert slot_ms is not None
    asked = range(slot_ms - 300_000, slot_ms, 7919)
    assert {every(300).bound("poll", "UTC").next_after_ms(at) for at in asked} == {slot_ms}


def test_a_fixed_time_fires_once_in_the_fold() -> None:
    start, end = (datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in (0, 3))
    found = list(cron("30 2 * * *", tz="Europe/Berlin").between(start, end))
    assert [slot.astimezone(UTC).hour for slot in found] == [0]


def test_a_start_with_a_step_is_a_range_to_the_end() -> None:
    start, end = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (0, 1))
    assert [slot.minute for slot in cron("59/15 * * * *").between(start, end)] == [59]
    assert [slot.minute for slot in cron("50/4 * * * *").between(start, end)] == [50, 54, 58]


def test_day_of_month_and_day_of_week() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)
    either = cron("0 0 13 * 5").between(start, end)
    both = crontab(0, 0, day_of_month=13, day_of_week=5).between(start, end)
    assert [slot.day for slot in either] == [2, 9, 13, 16, 23, 30]
    assert list(both) == []


def test_the_end_of_the_calendar_is_none_not_an_error() -> None:
    late = datetime(9999, 12, 30, tzinfo=UTC)
    for schedule in (cron("0 0 1 1 *"), crontab(0, 0), every(10**9), once(late)):
        assert schedule.next_after(late + timedelta(hours=30)) is None


def test_seconds_come_first() -> None:
    found = cron("30 0 9 * * *").next_after(datetime(2026, 1, 1, tzinfo=UTC))
    assert found == datetime(2026, 1, 1, 9, 0, 30, tzinfo=UTC)


def test_a_name_does_not_move_daily() -> None:
    daily = cron("@daily").bound("report", "UTC")
    assert daily.next_after(datetime(2026, 1, 1, 12, tzinfo=UTC)) == datetime(
        2026, 1, 2, tzinfo=UTC
    )


@pytest.mark.parametrize("expression", ["R 3 * * *", "0 3 L-31 * *", "0~9 3 * * *"])
def test_what_would_differ_between_replicas_or_is_not_supported_is_refused(
    expression: str,
) -> None:
    with pytest.raises(ValidationError):
        cron(expression)


def test_sunday_is_7_too_and_spaces_may_be_double() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert cron("0 3  * * 7").next_after(start) == cron("0 3 * * 0").next_after(start)


def test_naive_datetimes_are_refused() -> None:
    naive, aware = datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)
    for schedule in (every(60), cron("* * * * *", tz="Europe/Berlin"), crontab()):
        for ask in (
            lambda schedule=schedule: schedule.next_after(naive),
            lambda schedule=schedule: schedule.between(naive, aware),
            lambda schedule=schedule: schedule.between(aware, naive),
        ):
            with pytest.raises(ValidationError, match="with a timezone"):
                ask()
    with pytest.raises(ValidationError, match="with a timezone"):
        once(naive)


def test_a_weekly_grid_keeps_its_day() -> None:
    weekly = every(timedelta(weeks=1)).bound("report", "UTC")
    slots = list(weekly.between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert len(slots) == 52
    assert len({(slot.weekday(), slot.time()) for slot in slots}) == 1
