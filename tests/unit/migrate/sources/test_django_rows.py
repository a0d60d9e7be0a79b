"""Rows of django-celery-beat: every column, as its scheduler reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from habeat.entries.draft import new_entry
from habeat.migrate.found import SourceEntry
from habeat.migrate.sources.django_rows import DjangoSettings, NotCarried, entry_of
from habeat.schedules import Crontab, Once, Solar

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LAST = datetime(2026, 11, 29, 11, 58, 3, 250_400, tzinfo=UTC)
CHANGED = datetime(2026, 11, 1, 8, tzinfo=UTC)
EVERY_10_S = SimpleNamespace(every=10, period="seconds")
DAILY = {"minute": "0", "hour": "8", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
SETTINGS = DjangoSettings("Europe/Berlin")


def crontab(**fields: str) -> SimpleNamespace:
    return SimpleNamespace(**{**DAILY, **fields}, timezone=ZoneInfo("America/New_York"))


def clocked(at: datetime) -> dict[str, Any]:
    return {"interval": None, "clocked": SimpleNamespace(clocked_time=at), "one_off": True}


def row(**fields: Any) -> SimpleNamespace:
    """A row as the ORM returns it: an interval of 10 s, unless another schedule is given."""
    given = {
        "name": "report",
        "task": "proj.report",
        "interval": EVERY_10_S,
        "crontab": None,
        "solar": None,
        "clocked": None,
        "args": "[]",
        "kwargs": "{}",
        "queue": None,
        "exchange": None,
        "routing_key": None,
        "headers": "{}",
        "priority": None,
        "expires": None,
        "expire_seconds": None,
        "one_off": False,
        "start_time": None,
        "enabled": True,
        "last_run_at": LAST,
        "total_run_count": 7,
        "date_changed": CHANGED,
        "description": "",
        **fields,
    }
    keys = {
        f"{kind}_id": None if given[kind] is None else 1
        for kind in ("interval", "crontab", "solar", "clocked")
    }
    return SimpleNamespace(**{**keys, **given})


def carried(settings: DjangoSettings = SETTINGS, **fields: Any) -> SourceEntry:
    found = entry_of(row(**fields), settings, NOW)
    assert new_entry(found.name, found.arguments, "UTC"), "the client accepts it"
    return found


def why_not(**fields: Any) -> str:
    with pytest.raises(NotCarried) as caught:
        entry_of(row(**fields), SETTINGS, NOW)
    return caught.value.why


def test_the_least_row_has_only_its_task_and_schedule() -> None:
    found = carried()
    assert found == SourceEntry(
        name="report",
        arguments={
            "task": "proj.report",
            "schedule": timedelta(seconds=10),
            "args": [],
            "kwargs": {},
            "options": {},
            "enabled": True,
        },
        last_run_at=LAST,
        total_run_count=7,
    )


# -- schedules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "period", "expected"),
    [
        (2, "days", timedelta(days=2)),
        (3, "hours", timedelta(hours=3)),
        (5, "minutes", timedelta(minutes=5)),
        (90, "seconds", timedelta(seconds=90)),
        (250_000, "microseconds", timedelta(milliseconds=250)),
    ],
)
def test_every_unit_of_a_period(every: int, period: str, expected: timedelta) -> None:
    found = carried(interval=SimpleNamespace(every=every, period=period))
    assert found.arguments["schedule"] == expected
    assert found.notes == ()


def test_a_period_is_rounded_to_milliseconds_and_that_is_noted() -> None:
    found = carried(interval=SimpleNamespace(every=333_333, period="microseconds"))
    assert found.arguments["schedule"] == timedelta(milliseconds=333)
    assert found.notes == ("its period is rounded to 333 ms",)


@pytest.mark.parametrize(
    ("every", "period", "why"),
    [
        (500, "microseconds", "its period is 0:00:00.000500"),
        (0, "seconds", "its period is 0:00:00"),
        (1, "fortnights", "its period is 'fortnights'"),
        (2**31 - 1, "days", "its period is too long"),
    ],
)
def test_a_period_that_habeat_does_not_have_is_named(every: int, period: str, why: str) -> None:
    assert why_not(interval=SimpleNamespace(every=every, period=period)) == why


def test_a_crontab_counts_in_its_own_zone() -> None:
    fields = {
        "minute": "*/15",
        "hour": "1,2",
        "day_of_week": "mon-fri",
        "day_of_month": "1-7",
        "month_of_year": "3",
    }
    found = carried(interval=None, crontab=crontab(**fields))
    assert found.arguments["schedule"] == Crontab(**fields, tz="America/New_York")


def test_without_zones_of_their_own_crontabs_count_in_the_apps() -> None:
    settings = DjangoSettings("Europe/Berlin", own_zones=False)
    found = carried(settings, interval=None, crontab=crontab())
    assert found.arguments["schedule"] == Crontab(**DAILY, tz="Europe/Berlin")


def test_a_crontab_that_celery_refuses_is_named() -> None:
    assert "day_of_week" in why_not(interval=None, crontab=crontab(day_of_week="7"))


def test_a_solar_event() -> None:
    event = SimpleNamespace(
        event="sunrise", latitude=Decimal("52.520000"), longitude=Decimal("13.405000")
    )
    found = carried(interval=None, solar=event)
    assert found.arguments["schedule"] == Solar("sunrise", 52.52, 13.405)


def test_a_clocked_time_to_come() -> None:
    at = NOW + timedelta(days=1, microseconds=900)
    found = carried(**clocked(at), last_run_at=None, total_run_count=0)
    assert found.arguments["schedule"] == Once(int(at.timestamp() * 1_000))
    assert "max_runs" not in found.arguments


def test_a_clocked_time_that_was_not_sent_is_still_due() -> None:
    at = NOW - timedelta(minutes=1)
    found = carried(**clocked(at), last_run_at=None, total_run_count=0)
    assert found.first_run_at == at


def test_a_clocked_time_that_was_sent_is_done() -> None:
    at = NOW - timedelta(minutes=1)
    assert why_not(**clocked(at), total_run_count=1) == "it is a one-off task and has run"


def test_a_disabled_clocked_time_in_the_past_is_done() -> None:
    at = NOW - timedelta(minutes=1)
    why = why_not(**clocked(at), enabled=False, total_run_count=0)
    assert why == "its time, 2026-11-29 11:59:00 UTC, is over and it is disabled"


def test_of_two_schedules_the_one_that_its_scheduler_takes_is_carried() -> None:
    found = carried(crontab=crontab())
    assert found.arguments["schedule"] == timedelta(seconds=10)
    assert found.notes == (
        "it has crontab as well as interval; django-celery-beat runs it by the interval",
    )


def test_a_row_without_a_schedule_is_named() -> None:
    assert why_not(interval=None) == "it has no schedule"


def test_a_row_whose_schedule_was_deleted_is_named() -> None:
    assert why_not(interval=None, interval_id=3) == "its interval was deleted from the database"


# -- what is sent -----------------------------------------------------------------------------


def test_arguments_and_headers_are_read_from_their_texts() -> None:
    found = carried(
        args='[1, {"a": null}]',
        kwargs='{"id": 7}',
        headers='{"tenant": "x"}',
    )
    assert found.arguments["args"] == [1, {"a": None}]
    assert found.arguments["kwargs"] == {"id": 7}
    assert found.arguments["options"] == {"headers": {"tenant": "x"}}


def test_values_of_kombus_types_are_what_the_worker_gets() -> None:
    text = '[{"__type__": "datetime", "__value__": "2026-11-29T08:00:00+00:00"}]'
    assert carried(args=text).arguments["args"] == [datetime(2026, 11, 29, 8, tzinfo=UTC)]


def test_empty_texts_are_no_arguments() -> None:
    found = carried(args="", kwargs="", headers=None)
    assert (found.arguments["args"], found.arguments["kwargs"]) == ([], {})
    assert found.arguments["options"] == {}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"args": "[1,"}, "its args are not JSON"),
        ({"args": '{"secret": 1}'}, "its args are a dict"),
        ({"kwargs": "[1]"}, "its kwargs are a list"),
        ({"headers": "7"}, "its headers are an int"),
        ({"kwargs": "[" * 100_000}, "its kwargs are not JSON"),
        ({"kwargs": '{"x": {"__type__": "uuid", "__value__": 1}}'}, "its kwargs are not JSON"),
    ],
)
def test_broken_texts_are_named_without_what_they_hold(fields: dict[str, str], why: str) -> None:
    assert why_not(**fields) == why


def test_where_and_how_it_is_sent() -> None:
    found = carried(queue="q", exchange="x", routing_key="r", priority=0)
    expected = {"queue": "q", "exchange": "x", "routing_key": "r", "priority": 0}
    assert found.arguments["options"] == expected


def test_empty_routing_is_none() -> None:
    assert carried(queue="", exchange="", routing_key="").arguments["options"] == {}


def test_expire_seconds_are_the_messages() -> None:
    found = carried(expire_seconds=30)
    assert found.arguments["options"] == {"expires": 30}
    assert "end" not in found.arguments


def test_expires_ends_the_entry_and_its_messages() -> None:
    ends = NOW + timedelta(days=1)
    found = carried(expires=ends)
    assert found.arguments["options"] == {"expires": ends}
    assert found.arguments["end"] == ends - timedelta(milliseconds=1), "at expires, none is sent"


def test_an_entry_that_has_expired_is_done() -> None:
    why = why_not(expires=NOW - timedelta(days=1))
    assert why == "it expired at 2026-11-28 12:00:00 UTC"


def test_a_description() -> None:
    assert carried(description="what for").arguments["description"] == "what for"


# -- when it starts ---------------------------------------------------------------------------


def test_a_start_time_to_come_is_the_first_slot_of_a_period() -> None:
    start = NOW + timedelta(hours=1)
    found = carried(start_time=start, last_run_at=None, total_run_count=0)
    assert found.arguments["start"] == found.first_run_at == start


def test_a_crontab_with_a_start_time_has_its_first_slot_after_it() -> None:
    start = datetime(2026, 12, 1, 13, tzinfo=UTC)
    found = carried(start_time=start, interval=None, crontab=crontab(), last_run_at=None)
    assert found.first_run_at == start, "08:00 in New York"


def test_a_start_time_that_was_passed_while_disabled_counts_from_the_change() -> None:
    found = carried(start_time=CHANGED - timedelta(days=3), last_run_at=None)
    assert found.first_run_at == CHANGED


def test_an_entry_that_has_never_run_counts_from_its_last_change() -> None:
    assert carried(last_run_at=None).first_run_at == CHANGED + timedelta(seconds=10)
    found = carried(last_run_at=None, interval=None, crontab=crontab())
    assert found.first_run_at == datetime(2026, 11, 1, 13, tzinfo=UTC)


def test_an_entry_that_has_run_counts_from_there() -> None:
    found = carried(start_time=CHANGED)
    assert (found.last_run_at, found.first_run_at) == (LAST, None)


def test_a_one_off_task_runs_once() -> None:
    found = carried(one_off=True, last_run_at=None, total_run_count=0)
    assert (found.arguments["max_runs"], found.total_run_count) == (1, 0)


def test_a_one_off_task_that_has_run_is_done() -> None:
    assert why_not(one_off=True, total_run_count=1) == "it is a one-off task and has run"


def test_a_disabled_one_off_task_may_be_enabled_again() -> None:
    found = carried(one_off=True, enabled=False, last_run_at=None, total_run_count=0)
    assert found.arguments["enabled"] is found.enabled is False


def test_a_disabled_row() -> None:
    assert carried(enabled=False, last_run_at=None).enabled is False


def test_datetimes_without_a_zone_are_utc_as_its_scheduler_reads_them() -> None:
    naive = datetime(2026, 12, 1, 8)
    found = carried(last_run_at=naive, start_time=naive, expires=naive + timedelta(days=1))
    assert found.last_run_at == naive.replace(tzinfo=UTC)
    assert found.arguments["start"] == naive.replace(tzinfo=UTC)
    at = carried(**clocked(naive), last_run_at=None, total_run_count=0).arguments["schedule"]
    assert at == Once(int(naive.replace(tzinfo=UTC).timestamp() * 1_000))
