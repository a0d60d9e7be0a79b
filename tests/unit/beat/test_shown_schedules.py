"""Schedules as Sentry's crons and handlers of `beat_init` see them: right, or not shown at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from celery import schedules as cs

import habeat
from habeat.beat.declared.celery_schedules import to_schedule
from habeat.beat.declared.shown_schedules import delayed, to_celery
from habeat.schedules import Cron, Crontab, Schedule
from tests.unit.beat.test_send_path import Bench

HOUR_MS = 3_600_000


def text_of(shown: Any) -> str:
    """The crontab as Sentry writes it, "" if there is none to show."""
    if not isinstance(shown, cs.crontab):
        return ""
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return " ".join(str(getattr(shown, f"_orig_{name}")) for name in names)


@pytest.mark.parametrize(
    "given", [cs.schedule(90), cs.crontab("*/5", "8-18"), cs.solar("dawn_civil", 1, 2)]
)
def test_a_schedule_of_celerys_comes_back_as_it_was(app: Celery, given: Any) -> None:
    back = to_celery(to_schedule(given, app), app)
    assert type(back) is type(given)
    if isinstance(given, cs.crontab):
        assert back == given
    elif isinstance(given, cs.schedule):
        assert back.run_every == given.run_every


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("0 8 * * *", "0 8 * * *"),
        ("*/1 * * * *", "* * * * *"),
        ("@daily", "0 0 * * *"),
        ("0 8 * * MON-FRI", "0 8 * * 1-5"),
        ("0 8 * * 7", "0 8 * * 0"),
        ("0 8 * * 5-7", "0 8 * * 0,5-6"),
        ("59/15 * * * *", "59 * * * *"),
        ("*/15 17-9 1,2,3,15 jan *", "*/15 0-9,17-23 1-3,15 1 *"),
        ("0 0 8 * * *", "0 8 * * *"),
        ("0 0 13 * +5", "0 0 13 * 5"),
    ],
)
def test_a_cron_expression_is_shown_as_the_same_crontab(
    app: Celery, expression: str, shown: str
) -> None:
    found = to_celery(Cron(expression, tz="Asia/Tokyo"), app)
    assert (text_of(found), str(found.tz)) == (shown, "Asia/Tokyo")


@pytest.mark.parametrize(
    "expression",
    ["30 0 8 * * *", "0 0 8 * * * 2030", "0 0 L * *", "0 0 15W * *", "0 0 * * 5#2", "0 0 13 * 5"],
)
def test_what_no_crontab_can_say_is_not_shown(app: Celery, expression: str) -> None:
    assert not hasattr(to_celery(Cron(expression, tz="UTC"), app), "run_every")


def test_an_h_is_shown_as_the_value_that_it_stands_for(app: Celery) -> None:
    schedule = Cron("H H(1-4) * * *").bound("nightly", "UTC")
    minute, hour, *_ = text_of(to_celery(schedule, app)).split()
    first = schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC))
    assert first is not None
    assert (first.hour, first.minute) == (int(hour), int(minute))
    assert not hasattr(to_celery(Cron("H 8 * * *"), app), "run_every"), "it has no name yet"


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("Asia/Tokyo", "Asia/Tokyo"), ("UTC+05:00", "Etc/GMT-5"), ("UTC-03:00", "Etc/GMT+3")],
)
def test_a_zone_is_shown_by_its_iana_name(app: Celery, zone: str, shown: str) -> None:
    assert str(to_celery(Crontab("5", tz=zone), app).tz) == shown


def test_an_offset_without_an_iana_name_is_not_shown(app: Celery) -> None:
    assert not hasattr(to_celery(Crontab("5", tz="UTC+05:30"), app), "run_every")


@pytest.mark.parametrize(
    ("expression", "most_h", "delay_min", "shown"),
    [
        ("50 2 * * *", 4, 75, "5 4 * * *"),
        ("50 23 * * *", 4, 75, "5 1 * * *"),
        ("50 23 * * 1", 4, 75, "50 23 * * 1"),
        ("50 2 * * 1", 4, 75, "5 4 * * 1"),
        ("50 * * * *", 0.5, 20, "10 * * * *"),
        ("50 * * * 1", 0.5, 5, "55 * * * 1"),
        ("50 * * * *", 4, 5, "50 * * * *"),
        ("50 2 * * *", 24, 5, "50 2 * * *"),
        ("*/5 2 * * *", 1, 3, "*/5 2 * * *"),
    ],
)
def test_a_spread_moves_what_is_shown_if_a_crontab_can_say_so(
    app: Celery, expression: str, most_h: float, delay_min: int, shown: str
) -> None:
    schedule: Schedule = Cron(expression, tz="UTC")
    moved = delayed(schedule, round(most_h * HOUR_MS), delay_min * 60_000 + 7)
    assert text_of(to_celery(moved, app)) == shown


def test_an_entry_is_shown_at_its_effective_times(app: Celery) -> None:
    bench = Bench(
        app, {"a": {"task": "proj.add", "schedule": Cron("0 2 * * *", tz="UTC"), "spread": 7_200}}
    )
    entry = bench.declared.entries["a"]
    shown = text_of(bench.renderer._schedule_of(entry)).split()
    slot = entry.schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC))
    assert slot is not None
    effective = datetime.fromtimestamp(entry.effective_ms(int(slot.timestamp()) * 1_000) / 1e3, UTC)
    assert shown[:2] == [str(effective.minute), str(effective.hour)]
    assert effective != slot, "the spread of this name is not zero"


@pytest.mark.parametrize(
    "schedule",
    [
        Cron("0 8 * * 7"),
        Cron("59/15 * * * *"),
        Crontab("5", tz="UTC+05:30"),
        habeat.rrule("FREQ=DAILY", dtstart=datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_entry_is_sent_whatever_celery_makes_of_its_schedule(
    app: Celery, schedule: Schedule
) -> None:
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": schedule, "args": (1, 2)}})
    assert len(bench.render("a")) == 1
