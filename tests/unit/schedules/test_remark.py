"""How a clock change affects a slot."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from habeat.schedules import Schedule, cron, crontab, every, once, rrule

BERLIN = "Europe/Berlin"
MARCH, OCTOBER = ("2026-03-29T00:00", "2026-03-29T03:00"), ("2026-10-24T23:59", "2026-10-25T03:00")
SPRING = datetime(2026, 3, 1, 2, 30, tzinfo=ZoneInfo(BERLIN))


def remarks(schedule: Schedule, start: str, end: str) -> list[str]:
    """The slots in (start, end] of UTC that deserve a remark, with it."""
    times = (datetime.fromisoformat(f"{at}+00:00") for at in (start, end))
    found = []
    for slot in schedule.between(*times):
        if remark := schedule.remark(round(slot.timestamp() * 1000)):
            found.append(f"{slot.astimezone(UTC):%H:%M} {remark}")
    return found


@pytest.mark.parametrize(
    ("schedule", "window", "expected"),
    [
        (cron("30 2 * * *", tz=BERLIN), MARCH, ["01:00 gap"]),
        (cron("30 2 * * *", tz=BERLIN, gap="skip"), MARCH, []),
        (cron("0 2,3 * * *", tz=BERLIN), MARCH, ["01:00 gap"]),  # for 02:00, and 03:00 itself
        (cron("0 3 * * *", tz=BERLIN), MARCH, []),
        (cron("0 * * * *", tz=BERLIN), MARCH, []),
        (rrule("FREQ=DAILY", tz=BERLIN, dtstart=SPRING), MARCH, ["01:00 gap"]),
        (cron("30 2 * * *", tz=BERLIN), OCTOBER, ["00:30 fold first"]),
        (cron("30 2 * * *", tz=BERLIN, fold="last"), OCTOBER, ["01:30 fold second"]),
        (crontab(30, "*/1", tz=BERLIN), OCTOBER, ["00:30 fold first", "01:30 fold second"]),
        (cron("0 1,3 * * *", tz=BERLIN), OCTOBER, []),
        (
            cron("0 2 * * *", tz=BERLIN, fold="both"),
            OCTOBER,
            ["00:00 fold first", "01:00 fold second"],
        ),
        (cron("30 2 * * *", tz="UTC"), OCTOBER, []),
        (every(1800), OCTOBER, []),
    ],
)
def test_remarks(schedule: Schedule, window: tuple[str, str], expected: list[str]) -> None:
    assert remarks(schedule, *window) == expected


def test_half_an_hour_and_a_whole_day() -> None:
    lord_howe = crontab("*/15", tz="Australia/Lord_Howe")
    assert remarks(lord_howe, "2026-04-04T14:15", "2026-04-04T15:30") == [
        "14:30 fold first",
        "14:45 fold first",
        "15:00 fold second",
        "15:15 fold second",
    ]
    apia = cron("0 9 * * *", tz="Pacific/Apia")
    assert remarks(apia, "2011-12-29T00:00", "2011-12-31T00:00") == ["10:00 gap"]


def test_kinds_without_a_wall_clock_have_nothing_to_say() -> None:
    assert once(SPRING).remark(round(SPRING.timestamp() * 1000)) == ""
    assert cron("0 0 1 1 *", tz=BERLIN).remark(10**18) == ""
    assert cron("0 0 1 1 *", tz=BERLIN).remark(-(10**18)) == ""
