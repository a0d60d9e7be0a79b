"""A year in three zones, by hand from the design's rules for gaps and folds.

Clocks in 2026, in UTC: Berlin 29 March 01:00 (02:00 becomes 03:00) and 25 October 01:00 (03:00
becomes 02:00); New York 8 March 07:00 (02:00 becomes 03:00) and 1 November 06:00 (02:00 becomes
01:00); Lord Howe 4 April 15:00 (02:00 becomes 01:30) and 3 October 15:30 (02:00 becomes 02:30).
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from habeat.schedules import Schedule, cron, crontab

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def slots(schedule: Schedule, day: str, begin: str, end: str) -> list[str]:
    """The slots in (begin, end] of one day of UTC, as HH:MM of UTC."""
    start, until = (datetime.fromisoformat(f"{day}T{time}:00+00:00") for time in (begin, end))
    return [f"{slot.astimezone(UTC):%H:%M}" for slot in schedule.between(start, until)]


def in_2026(schedule: Schedule, zone: str) -> int:
    """How many slots the local year 2026 has, its first instant included."""
    start, end = (datetime(year, 1, 1, tzinfo=ZoneInfo(zone)) for year in (2026, 2027))
    begin_ms, end_ms = (int(at.timestamp()) * 1000 for at in (start, end))
    run = schedule.count_between(begin_ms - 1, end_ms - 1)
    return run.count if run else 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minute": 30, "hour": 2}, ["01:00"]),  # missing: the first instant after the gap
        ({"minute": "0,15,30,45", "hour": 2}, ["01:00"]),  # all missing: still one instant
        ({"minute": 30, "hour": "1,2,3"}, ["00:30", "01:00", "01:30"]),
        ({"minute": 0, "hour": "2,3"}, ["01:00"]),  # 02:00 moves onto 03:00: one slot
        ({"minute": 30, "hour": "1-3"}, ["00:30", "01:30"]),  # a range continues, without extra
        ({"minute": 30}, ["00:30", "01:30"]),
        ({"minute": "*/30", "hour": 2}, []),  # interval-like, and its hour is missing
        ({"minute": 0}, ["00:00", "01:00", "02:00"]),
    ],
)
def test_berlin_in_spring(fields: dict[str, object], expected: list[str]) -> None:
    schedule = crontab(**fields, tz=BERLIN)  # type: ignore[arg-type]
    assert slots(schedule, "2026-03-29", "00:00", "02:00") == [x for x in expected if x != "00:00"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minute": 30, "hour": 2}, ["00:30"]),
        ({"minute": 0, "hour": 3}, ["02:00"]),
        ({"minute": 0, "hour": "2,3"}, ["00:00", "02:00"]),
        ({"minute": 30, "hour": "1-3"}, ["00:30", "01:30", "02:30"]),
        ({"minute": 0}, ["00:00", "01:00", "02:00"]),
        ({"minute": "*/30", "hour": 2}, ["00:00", "00:30", "01:00", "01:30"]),
    ],
)
def test_berlin_in_autumn(fields: dict[str, object], expected: list[str]) -> None:
    schedule = crontab(**fields, tz=BERLIN)  # type: ignore[arg-type]
    day = "2026-10-25"
    midnight = ["00:00"] if expected[0] == "00:00" else []
    assert midnight + slots(schedule, day, "00:00", "02:30") == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minute": 30, "hour": 2}, ["07:00"]),
        ({"minute": 30, "hour": 1}, ["06:30"]),
        ({"minute": 0, "hour": 3}, ["07:00"]),
        ({"minute": "*/20"}, ["06:20", "06:40", "07:00", "07:20", "07:40"]),
    ],
)
def test_new_york_in_spring(fields: dict[str, object], expected: list[str]) -> None:
    schedule = crontab(**fields, tz=NEW_YORK)  # type: ignore[arg-type]
    assert slots(schedule, "2026-03-08", "06:00", "07:59") == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minute": 30, "hour": 1}, ["05:30"]),
        ({"minute": 30, "hour": 2}, ["07:30"]),
        ({"minute": 0, "hour": "1,2"}, ["07:00"]),
        ({"minute": 30, "hour": "*/1"}, ["05:30", "06:30", "07:30"]),
    ],
)
def test_new_york_in_autumn(fields: dict[str, object], expected: list[str]) -> None:
    schedule = crontab(**fields, tz=NEW_YORK)  # type: ignore[arg-type]
    assert slots(schedule, "2026-11-01", "05:00", "07:59") == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minute": 15, "hour": 2}, ["15:30"]),  # half an hour is missing
        ({"minute": 30, "hour": 2}, ["15:30"]),
        ({"minute": 0}, ["14:30", "16:00"]),  # 02:00 is missing, 03:00 comes half an hour early
        (
            {"minute": "*/15", "hour": "*"},
            ["14:30", "14:45", "15:00", "15:15", "15:30", "15:45", "16:00"],
        ),
    ],
)
def test_lord_howe_in_spring(fields: dict[str, object], expected: list[str]) -> None:
    schedule = crontab(**fields, tz=LORD_HOWE)  # type: ignore[arg-type]
    assert slots(schedule, "2026-10-03", "14:29", "16:00") == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minute": 45, "hour": 1}, ["14:45"]),
        ({"minute": 15, "hour": 1}, ["14:15"]),
        ({"minute": 0, "hour": 2}, ["15:30"]),
        ({"minute": 0}, ["15:30"]),  # 01:00 was at 14:00; 02:00 did not come at 15:00
        ({"minute": 45}, ["14:45", "15:15"]),
        ({"minute": "*/15"}, ["14:15", "14:30", "14:45", "15:00", "15:15", "15:30"]),
    ],
)
def test_lord_howe_in_autumn(fields: dict[str, object], expected: list[str]) -> None:
    schedule = crontab(**fields, tz=LORD_HOWE)  # type: ignore[arg-type]
    assert slots(schedule, "2026-04-04", "14:00", "15:30") == expected


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (crontab(minute=0), 8760),
        (crontab(minute="*/15"), 35_040),
        (crontab(minute=0, hour=0), 365),
        (crontab(minute=30, hour=2), 365),
        (crontab(minute=30, hour=1), 365),
        (crontab(minute=30, hour="1-2"), 730),  # one is missing in spring, one more in autumn
        (crontab(minute=30, hour=2, gap="skip"), 364),
        (cron("30 2 * * *", gap="skip"), 364),
        (cron("0 12 * * 0"), 52),
    ],
)
def test_how_many_in_a_year(zone: str, schedule: Schedule, expected: int) -> None:
    assert in_2026(schedule.bound("nightly", zone), zone) == expected


@pytest.mark.parametrize(
    ("fold", "expected"), [("auto", 365), ("first", 365), ("last", 365), ("both", 366)]
)
def test_the_repeated_time_of_a_fixed_rule_fires_as_the_policy_says(
    fold: str, expected: int
) -> None:
    assert in_2026(crontab(30, 2, tz=BERLIN, fold=fold), BERLIN) == expected  # type: ignore[arg-type]


def test_a_half_hour_shift_leaves_the_year_of_lord_howe_complete() -> None:
    assert in_2026(crontab(minute="*/15", tz=LORD_HOWE), LORD_HOWE) == 35_040
    assert in_2026(crontab(minute=15, hour=2, tz=LORD_HOWE), LORD_HOWE) == 365
    # 01:45 comes twice in autumn, and 02:00 is missing in spring.
    assert in_2026(crontab(minute=45, tz=LORD_HOWE), LORD_HOWE) == 8761
    assert in_2026(crontab(minute=0, tz=LORD_HOWE), LORD_HOWE) == 8759
