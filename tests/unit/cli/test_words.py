"""How values on the command line are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

import habeat
from habeat.cli.words import JSON_LIST, MOMENT, SINCE, option_values, schedule_from
from habeat.errors import ValidationError


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({"every": "5m"}, habeat.every(300)),
        ({"cron": "0 8 * * *"}, habeat.cron("0 8 * * *")),
        ({"cron": "0 8 * * *", "tz": "Asia/Tokyo"}, habeat.cron("0 8 * * *", tz="Asia/Tokyo")),
        (
            {"crontab": "minute=0 hour=8,20 day_of_week=1-5"},
            habeat.crontab(minute=0, hour="8,20", day_of_week="1-5"),
        ),
        ({"at": "2030-01-01T00:00Z"}, habeat.once(datetime(2030, 1, 1, tzinfo=UTC))),
        (
            {"at": "2030-01-01T09:00", "tz": "Asia/Tokyo"},
            habeat.once(datetime(2030, 1, 1, tzinfo=UTC)),
        ),
        ({"at": "2030-01-01T01:00"}, habeat.once(datetime(2030, 1, 1, tzinfo=UTC))),
        ({"solar": ("sunset", "52.5", "13.4")}, habeat.solar("sunset", 52.5, 13.4)),
        ({"cron": "30 2 * * *", "gap": "skip"}, habeat.cron("30 2 * * *", gap="skip")),
        (
            {"crontab": "minute=30 hour=2", "tz": "UTC", "fold": "both"},
            habeat.crontab(30, 2, tz="UTC", fold="both"),
        ),
        ({}, None),
    ],
)
def test_schedules(given: dict[str, Any], schedule: object) -> None:
    assert schedule_from(given, "Europe/Berlin") == schedule


@pytest.mark.parametrize(
    "given",
    [
        {"every": "5m", "cron": "* * * * *"},
        {"every": "often"},
        {"every": "5m", "tz": "UTC"},
        {"tz": "UTC"},
        {"gap": "skip"},
        {"every": "5m", "fold": "both"},
        {"crontab": "0 8 * * *"},
        {"crontab": "minute="},
        {"at": "tomorrow"},
        {"solar": ("sunset", "north", "13")},
    ],
)
def test_wrong_usage(given: dict[str, Any]) -> None:
    with pytest.raises(click.UsageError):
        schedule_from(given, "UTC")


@pytest.mark.parametrize(
    "given",
    [
        {"cron": "99 * * * *"},
        {"cron": "30 2 * * *", "gap": "jump"},
        {"every": "0.01"},
        {"at": "2030-01-01T00:00", "tz": "Mars/Olympus"},
    ],
)
def test_what_the_schedules_refuse(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        schedule_from(given, "UTC", "nightly")
    assert caught.value.entry == "nightly"


def test_moments() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert MOMENT.convert("2030-01-01T00:00:00+00:00", None, None) == at
    assert MOMENT.convert("2030-01-01T00:00", None, None).utcoffset() is not None
    assert SINCE.convert("2h", None, None) == timedelta(hours=2)
    assert SINCE.convert("2030-01-01T00:00:00+00:00", None, None) == at
    with pytest.raises(click.BadParameter):
        SINCE.convert("yesterday", None, None)


def test_options_and_json() -> None:
    assert option_values(("expires=60", "queue=mail", 'headers={"a": 1}', "x=a=b")) == {
        "expires": 60,
        "queue": "mail",
        "headers": {"a": 1},
        "x": "a=b",
    }
    for wrong in ("expires", "=5"):
        with pytest.raises(click.BadParameter):
            option_values((wrong,))
    assert JSON_LIST.convert("[1]", None, None) == [1]
    for wrong in ("{", '{"a": 1}'):
        with pytest.raises(click.BadParameter):
            JSON_LIST.convert(wrong, None, None)


@pytest.mark.parametrize("given", ['["s3cret', '{"token": "s3cret"}', "s3cret"])
def test_text_that_is_not_the_json_expected_is_not_quoted(given: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a JSON list") as error:
        JSON_LIST.convert(given, None, None)
    assert "s3cret" not in error.value.message
