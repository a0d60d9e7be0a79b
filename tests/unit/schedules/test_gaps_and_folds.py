"""Policies at clock changes, and zones with unusual ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from celery.schedules import crontab as celery_crontab
from hypothesis import given
from hypothesis import strategies as st

from habeat.schedules import Schedule, cron, crontab
from tests.unit.schedules.oracles import zoned_minutes
from tests.unit.schedules.strategies import DAYS, HOURS, MINUTES, untimed

BERLIN = "Europe/Berlin"

# Each with a change of offset that differs from the usual hour at night.
ZONES = {
    "Europe/Berlin": 2026,
    "Europe/London": 2026,
    "Europe/Dublin": 2026,  # summer is standard time, winter the exception
    "America/New_York": 2026,
    "America/Havana": 2024,  # at midnight
    "America/Santiago": 2024,  # at midnight, and in the other hemisphere
    "Africa/Cairo": 2024,
    "Africa/Casablanca": 2024,  # four changes a year
    "Australia/Lord_Howe": 2026,  # half an hour
    "Antarctica/Troll": 2024,  # two hours
    "Asia/Kathmandu": 1986,  # once, by a quarter of an hour, at the turn of the year
    "Pacific/Apia": 2011,  # a day
    "Asia/Pyongyang": 2015,
    "America/Caracas": 2007,
}


def iso(schedule: Schedule, start: str, end: str) -> list[str]:
    """The slots in (start, end], all in UTC."""
    times = (datetime.fromisoformat(f"{at}+00:00") for at in (start, end))
    return [f"{slot.astimezone(UTC):%m-%dT%H:%M}" for slot in schedule.between(*times)]


def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours of UTC in which the offset changes."""

    def changes_within(start: datetime, step: timedelta, count: int) -> list[datetime]:
        times = [start + step * n for n in range(count + 1)]
        offsets = [time.astimezone(zone).utcoffset() for time in times]
        return [times[n] for n in range(count) if offsets[n] != offsets[n + 1]]

    days = changes_within(datetime(year - 1, 12, 31, tzinfo=UTC), timedelta(days=1), 368)
    return [hour for day in days for hour in changes_within(day, timedelta(hours=1), 24)]


CHANGES = [
    (name, change) for name, year in ZONES.items() for change in changes(ZoneInfo(name), year)
]


def test_every_zone_above_does_change_its_offset() -> None:
    assert {name for name, _ in CHANGES} == set(ZONES)


@untimed
@given(
    st.sampled_from(CHANGES),
    MINUTES,
    HOURS,
    st.one_of(st.just("*"), DAYS),
    st.integers(0, 6 * 60),
)
def test_as_a_person_watching_the_wall_clock_expects(
    change: tuple[str, datetime], minute: str, hour: str, day: str, lead_minutes: int
) -> None:
    name, around = change
    oracle = celery_crontab(minute=minute, hour=hour, day_of_month=day)
    interval_like = any(sign in minute + hour for sign in "*-/")
    start = around - timedelta(minutes=lead_minutes)
    end = around + timedelta(hours=27)
    expected = zoned_minutes(oracle, ZoneInfo(name), start, end, interval_like=interval_like)
    schedule = crontab(minute, hour, day_of_month=day, tz=name)
    # In UTC, because a datetime within a fold equals none of another zone (PEP 495).
    assert [slot.astimezone(UTC) for slot in schedule.between(start, end)] == expected


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        ("auto", ["00:30"]),
        ("first", ["00:30"]),
        ("last", ["01:30"]),
        ("both", ["00:30", "01:30"]),
    ],
)
def test_fold_of_a_fixed_rule(fold: str, expected: list[str]) -> None:
    schedule = cron("30 2 * * *", tz=BERLIN, fold=fold)  # type: ignore[arg-type]
    found = iso(schedule, "2026-10-25T00:00", "2026-10-25T03:00")
    assert found == [f"10-25T{time}" for time in expected]


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        ("auto", ["00:00", "00:30", "01:00", "01:30", "02:00"]),
        ("both", ["00:00", "00:30", "01:00", "01:30", "02:00"]),
        ("first", ["00:00", "00:30", "02:00"]),
        ("last", ["01:00", "01:30", "02:00"]),
    ],
)
def test_an_explicit_fold_also_rules_an_interval_like_rule(fold: str, expected: list[str]) -> None:
    schedule = cron("*/30 * * * *", tz=BERLIN, fold=fold)  # type: ignore[arg-type]
    found = iso(schedule, "2026-10-24T23:59", "2026-10-25T02:00")
    assert found == [f"10-25T{time}" for time in expected]


def test_the_second_pass_is_found_from_within_the_first_by_a_rare_rule() -> None:
    schedule = cron("15 2 25 10 *", tz=BERLIN, fold="both")
    assert iso(schedule, "2026-10-25T00:20", "2027-10-25T00:15") == ["10-25T01:15", "10-25T00:15"]


@pytest.mark.parametrize(("gap", "expected"), [("shift", ["03-29T01:00"]), ("skip", [])])
def test_gap_of_a_rare_rule(gap: str, expected: list[str]) -> None:
    schedule = cron("30 2 29 3 *", tz=BERLIN, gap=gap)  # type: ignore[arg-type]
    assert iso(schedule, "2026-01-01T00:00", "2026-12-31T00:00") == expected


def test_a_range_or_a_step_makes_a_rule_interval_like_a_list_does_not() -> None:
    spring = ("2026-03-29T00:59", "2026-03-29T01:29")
    assert iso(cron("0,30 2 * * *", tz=BERLIN), *spring) == ["03-29T01:00"]
    assert iso(cron("0-30/30 2 * * *", tz=BERLIN), *spring) == []
    assert iso(cron("0 1,2 * * *", tz=BERLIN), *spring) == ["03-29T01:00"]
    # A star among the days says nothing about elapsed time.
    assert iso(cron("30 2 * * *", tz=BERLIN), *spring) == ["03-29T01:00"]
    assert iso(cron("*/10 30 2 * * *", tz=BERLIN), *spring) == []  # a step in the seconds


def test_apia_had_no_30_december_2011() -> None:
    daily = cron("0 9 * * *", tz="Pacific/Apia")
    assert iso(daily, "2011-12-29T00:00", "2011-12-31T00:00") == [
        "12-29T19:00",  # the 29th, 10 hours west
        "12-30T10:00",  # the 30th is missing: the first instant of the 31st
        "12-30T19:00",  # the 31st, 14 hours east
    ]
    hourly = cron("0 * * * *", tz="Pacific/Apia")
    assert len(iso(hourly, "2011-12-29T00:00", "2011-12-31T00:00")) == 48
    friday = cron("0 9 * * fri", tz="Pacific/Apia", gap="skip")
    assert iso(friday, "2011-12-24T00:00", "2012-01-06T00:00") == ["01-05T19:00"]


def test_cairo_has_no_midnight_on_a_friday_in_april() -> None:
    daily = crontab(0, 0, tz="Africa/Cairo")
    assert iso(daily, "2024-04-24T00:00", "2024-04-27T00:00") == [
        "04-24T22:00",
        "04-25T22:00",  # 01:00 there, for 00:00 does not exist
        "04-26T21:00",
    ]
    # In autumn the last hour of the Thursday comes twice, midnight once.
    assert iso(daily, "2024-10-30T00:00", "2024-11-02T00:00") == [
        "10-30T21:00",
        "10-31T22:00",
        "11-01T22:00",
    ]


def test_offsets_with_seconds() -> None:
    # Local mean time of Amsterdam, 19 min 32 s, held until 1937.
    noon = cron("0 12 * * *", tz="Europe/Amsterdam").next_after(datetime(1890, 1, 1, tzinfo=UTC))
    assert noon is not None
    assert (noon.hour, noon.minute, noon.second) == (12, 0, 0)
    offset = noon.utcoffset()
    assert offset is not None
    assert offset.total_seconds() % 60 != 0 or offset == timedelta(0)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "year", [1, 1883, 2026, pytest.param(1969, marks=SLOW), pytest.param(2400, marks=SLOW)]
)
def test_no_zone_crashes_and_every_slot_shows_the_time_asked_for(year: int) -> None:
    start = datetime(year, 3, 1, tzinfo=UTC)
    for name in sorted(available_timezones() - {"localtime"}):
        slot = cron("17 13 * * *", tz=name, gap="skip").next_after(start)
        assert slot is not None
        assert (slot.hour, slot.minute) == (13, 17)
        assert start < slot < start + timedelta(days=3)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati", BERLIN])
def test_the_end_of_the_calendar_is_exhaustion(zone: str) -> None:
    schedule = cron("0 12 * * *", tz=zone)
    last = datetime(9999, 12, 28, tzinfo=UTC)
    found = list(schedule.between(last, datetime(9999, 12, 31, 23, 59, tzinfo=UTC)))
    assert 1 <= len(found) <= 2
    assert schedule.next_after(found[-1]) is None
    assert cron("0 0 29 2 *", tz=zone).next_after(datetime(9996, 3, 2, tzinfo=UTC)) is None
    assert schedule.next_after(datetime.max.replace(tzinfo=UTC)) is None


def test_the_beginning_of_the_calendar_does_not_overflow() -> None:
    first = cron("0 0 * * *", tz="Asia/Tokyo").next_after(datetime.min.replace(tzinfo=UTC))
    assert first is not None
    assert first.year == 1
    assert cron("0 0 * * *", tz="Asia/Tokyo").next_after_ms(-(10**18)) is not None


@pytest.mark.parametrize(("field", "value"), [("gap", "later"), ("fold", "second"), ("gap", None)])
def test_unknown_policies_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"invalid {field} ") as caught:
        crontab(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field  # type: ignore[attr-defined]


@pytest.mark.parametrize("tz", ["Mars/Olympus", "", "Europe", "../etc/passwd", "localtime", 1, []])
def test_unknown_zones_are_refused(tz: object) -> None:
    for make in (crontab, lambda tz: cron("* * * * *", tz=tz)):
        with pytest.raises(ValueError, match="invalid tz ") as caught:
            make(tz=tz)  # type: ignore[arg-type]
        assert caught.value.field == "tz"  # type: ignore[attr-defined]
