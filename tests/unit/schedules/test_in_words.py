"""Schedules in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from habeat.schedules import Schedule, cron, crontab, every, once, solar


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (every(300), "every 5 minutes"),
        (every(1), "every second"),
        (every(90), "every 90 seconds"),
        (every(0.25), "every 250 milliseconds"),
        (every(timedelta(days=7)), "every 7 days"),
        (every(3600, offset=3000.5), "every hour, offset 50 minutes 500 milliseconds"),
        (once(datetime(2026, 1, 1, 12, tzinfo=UTC)), "once, at 2026-01-01 12:00:00 UTC"),
        (solar("sunset", -33.9, -18.4), "at sunset, 33.9°S 18.4°W"),
        (crontab(0, "9-17", tz="UTC"), "at minute 0 from 09:00 to 17:59, UTC"),
        (crontab(0, 0, "mon", "1-7"), "at 00:00 on Mondays, only on the 1st to 7th"),
        (cron("30 2 * * *", "UTC", gap="skip"), "at 02:30, UTC, gap skipped"),
        (cron("30 2 * * *", "UTC", fold="both"), "at 02:30, UTC, fold: both passes"),
    ],
)
def test_kinds(schedule: Schedule, words: str) -> None:
    assert schedule.describe() == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/15 * * * * *", "every 15 seconds"),
        ("5 * * * * *", "at second 5 of every minute"),
        ("0,30 */20 * * * *", "every 30 seconds of minutes 0, 20 and 40 of every hour"),
        ("10 0 9 * * *", "at 09:00:10"),
        ("*/5 9-17 * * 1-5", "every 5 minutes from 09:00 to 17:59 from Monday to Friday"),
        ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("5 * * * *", "at minute 5 of every hour"),
        ("0 */6 * * *", "every 6 hours"),
        ("1,2,3,9 3,5 * * *", "at minutes 1 to 3 and 9 of hours 3 and 5"),
        ("30 2,14 * * *", "at 02:30 and 14:30"),
        ("0 0,12 * * *", "at 00:00 and 12:00"),
        ("0 0 13 * 5", "at 00:00 on the 13th or on Fridays"),
        ("0 0 1-31 * 1", "at 00:00"),
        ("0 0 1,22,23,l * *", "at 00:00 on the last day of the month, 1st, 22nd and 23rd"),
        ("0 0 * * mon#1,fri#3", "at 00:00 on the first Monday and third Friday"),
        ("0 0 * * l5", "at 00:00 on the last Friday"),
        ("0 0 15W * *", "at 00:00 on the weekday nearest to the 15th"),
        ("0 0 LW,1 * *", "at 00:00 on the 1st and last weekday of the month"),
        ("0 0 11-13 1-3,6 *", "at 00:00 on the 11th to 13th in January to March and June"),
        ("@weekly", "at 00:00 on Sundays"),
        ("0 0 L-3 * *", "at 00:00 on the 3rd day before the last of the month"),
        (
            "0 0 L-1W * *",
            "at 00:00 on the weekday nearest to the 1st day before the last of the month",
        ),
        ("0 0 * * 1,5L", "at 00:00 on Mondays and on the last Friday"),
        ("0 0 13 * +friday", "at 00:00 on Fridays, only on the 13th"),
        ("0 0 9 1 1 * 2027", "at 09:00 on the 1st in January of 2027"),
        ("0 0 9 1 * * 2027-2029,2031", "at 09:00 on the 1st in 2027 to 2029 and 2031"),
        ("0 0 9 1 * * */2", "at 09:00 on the 1st in 65 years from 1970 to 2098"),
    ],
)
def test_cron(expression: str, words: str) -> None:
    assert cron(expression).describe() == words
    assert cron(expression, tz="Europe/Berlin").describe() == f"{words}, Europe/Berlin"


def test_an_h_is_said_to_be_open_until_it_is_bound() -> None:
    assert cron("H 3 * * *").describe() == "H 3 * * * (H is chosen from the entry's name)"
    assert cron("H 3 * * *").bound("nightly", "UTC").describe().startswith("at 03:")
