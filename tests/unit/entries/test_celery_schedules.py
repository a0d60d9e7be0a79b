"""One translator for beat_schedule and the Client: both take the same schedules, or say why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
from celery import Celery
from celery import schedules as cs
from dateutil import tz as dateutil_tz

from habeat.beat.declared.beat_schedule import declare
from habeat.entries.draft import new_entry
from habeat.errors import ValidationError
from habeat.schedules import Crontab, Interval, Once, RRule, Schedule, Solar, cron, rrule

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def kolkata() -> Celery:
    app = Celery("proj", set_as_current=False)
    app.conf.timezone = "Asia/Kolkata"
    return app


def by_code(given: Any, app: Celery) -> Schedule:
    declared = declare(app, {"e": {"task": "t", "schedule": given}})
    assert not declared.broken
    return declared.entries["e"].schedule


def by_api(given: Any, zone: str = "Asia/Kolkata") -> Schedule:
    return new_entry("e", {"task": "t", "schedule": given}, zone).schedule


class TzAwareCrontab(cs.crontab):
    """django-celery-beat's class, as it is in its release 2.9."""

    def __init__(self, minute: Any = "*", hour: Any = "*", tz: Any = UTC, app: Any = None) -> None:
        self.tz = tz
        super().__init__(minute=minute, hour=hour, nowfun=self.nowfunc, app=app)

    def nowfunc(self) -> datetime:
        return datetime.now(self.tz)

    def is_due(self, last_run_at: datetime) -> Any:
        return super().is_due(last_run_at.astimezone(self.tz))


class Clocked(cs.BaseSchedule):
    def __init__(self, clocked_time: datetime) -> None:
        self.clocked_time = clocked_time
        super().__init__()


Clocked.__name__ = "clocked"
Clocked.__module__ = "django_celery_beat.clockedschedule"


class EveryMinutes(cs.schedule):
    """Only a constructor of its own, with keywords only."""

    def __init__(self, *, minutes: float) -> None:
        super().__init__(timedelta(minutes=minutes))


class Daily(cs.crontab):
    def __init__(self, *, hour: int) -> None:
        super().__init__(minute=0, hour=hour)

    def __repr__(self) -> str:
        return "<daily>"


AT = datetime(2031, 5, 1, 12, tzinfo=UTC)

ALIKE: list[tuple[Any, Any]] = [
    (90, Interval(90_000)),
    (1 / 3, Interval(333)),
    (timedelta(seconds=90), Interval(90_000)),
    (cs.schedule(90), Interval(90_000)),
    (cs.schedule(90, relative=True), Interval(90_000, None, "epoch")),
    (cs.schedule(3_600, relative=True), Crontab("0", tz="Asia/Kolkata")),
    (cs.schedule(6 * 3_600, relative=True), Crontab("0", "*/6", tz="Asia/Kolkata")),
    (cs.schedule(timedelta(days=1), relative=True), Crontab("0", "0", tz="Asia/Kolkata")),
    (
        cs.schedule(timedelta(days=2), relative=True),
        RRule("FREQ=DAILY;INTERVAL=2", "Asia/Kolkata", "1970-01-01T00:00:00"),
    ),
    (
        cs.schedule(timedelta(hours=36), relative=True),
        RRule("FREQ=HOURLY;INTERVAL=36", "Asia/Kolkata", "1970-01-01T00:00:00"),
    ),
    (EveryMinutes(minutes=2), Interval(120_000)),
    (cs.crontab(0, 9), Crontab("0", "9", tz="Asia/Kolkata")),
    (cs.crontab([45, 15], 9), Crontab("15,45", "9", tz="Asia/Kolkata")),
    (Daily(hour=9), Crontab("0", "9", tz="Asia/Kolkata")),
    (cs.crontab(0, 9, nowfun=datetime.utcnow), Crontab("0", "9", tz="Asia/Kolkata")),
    (TzAwareCrontab(0, 9, tz=TOKYO), Crontab("0", "9", tz="Asia/Tokyo")),
    (TzAwareCrontab(0, 9, tz=pytz.timezone("Asia/Tokyo")), Crontab("0", "9", tz="Asia/Tokyo")),
    (TzAwareCrontab(0, 9, tz=dateutil_tz.gettz("Asia/Tokyo")), Crontab("0", "9", tz="Asia/Tokyo")),
    (TzAwareCrontab(0, 9, tz=pytz.FixedOffset(330)), Crontab("0", "9", tz="UTC+05:30")),
    (TzAwareCrontab(0, 9, tz=dateutil_tz.tzutc()), Crontab("0", "9", tz="UTC")),
    (Clocked(AT), Once(int(AT.timestamp() * 1_000))),
    (cs.solar("sunset", 52.5, 13.4), Solar("sunset", 52.5, 13.4)),
    (cs.solar("sunset", 52.5, 13.4, nowfun=datetime.now), Solar("sunset", 52.5, 13.4)),
    (cron("0 9 * * *", tz="Asia/Tokyo"), cron("0 9 * * *", tz="Asia/Tokyo")),
    (rrule("FREQ=DAILY", tz="UTC", dtstart=AT), rrule("FREQ=DAILY", tz="UTC", dtstart=AT)),
]


@pytest.mark.parametrize(("given", "meant"), ALIKE, ids=lambda value: repr(value)[:50])
def test_code_and_api_take_the_same_schedules(kolkata: Celery, given: Any, meant: Any) -> None:
    meant = meant.bound("e", "Asia/Kolkata")
    assert by_code(given, kolkata) == meant
    assert by_api(given) == meant


def test_a_crontabs_clock_has_one_meaning_in_code_and_api(kolkata: Celery) -> None:
    """Which zone that is depends on the release of Celery, but not on where it is written."""
    given = cs.crontab(0, 9, nowfun=lambda: datetime.now(TOKYO))
    assert by_api(given) == by_code(given, kolkata)


def test_without_an_app_of_its_own_a_client_takes_the_zone_of_the_crontabs_app(
    kolkata: Celery,
) -> None:
    assert by_api(cs.crontab(0, 9, app=kolkata), "UTC") == Crontab("0", "9", tz="Asia/Kolkata")
    assert by_api(cs.crontab(0, 9), "UTC") == Crontab("0", "9", tz="UTC")


def test_the_hosts_zone_is_stored_by_name_and_not_as_its_abbreviation(
    monkeypatch: pytest.MonkeyPatch, kolkata: Celery
) -> None:
    """`astimezone()` returns the offset of today, called EST or EDT."""
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        here, chosen = AT.astimezone().tzinfo, timezone(timedelta(hours=-4))
        found = [by_api(_at_nine(lambda zone=zone: AT.astimezone(zone))) for zone in (here, chosen)]
    finally:
        monkeypatch.undo()
        time.tzset()
    counts_in_clocks_zone = by_api(_at_nine(lambda: datetime.now(TOKYO))) != by_api(
        cs.crontab(0, 9)
    )
    expected = ["America/New_York", "UTC-04:00"] if counts_in_clocks_zone else ["Asia/Kolkata"] * 2
    assert [each.tz for each in found] == expected  # type: ignore[attr-defined]


def _at_nine(now: Callable[[], datetime]) -> cs.crontab:
    return cs.crontab(0, 9, nowfun=now)


# -- code of one's own ------------------------------------------------------------------------


class OwnDue(cs.crontab):
    def is_due(self, last_run_at: datetime) -> Any:
        return super().is_due(last_run_at)


class OwnEstimate(cs.schedule):
    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return timedelta(0)


class OwnNow(cs.crontab):
    def now(self) -> datetime:
        return AT


class FromTheWorld(cs.schedule):
    """Its period is read each time."""

    @property
    def run_every(self) -> timedelta:
        return timedelta(seconds=5)

    @run_every.setter
    def run_every(self, value: Any) -> None:
        pass


class Whenever(cs.BaseSchedule):
    pass


def _patched() -> cs.schedule:
    given: Any = cs.schedule(60)
    given.is_due = lambda last_run_at: (True, 60)
    return given  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (OwnDue(0, 9), "is_due"),
        (OwnEstimate(60), "remaining_estimate"),
        (OwnNow(0, 9), "now"),
        (FromTheWorld(60), "run_every"),
        (Whenever(), "is_due"),
        (cs.schedule(60, nowfun=lambda: AT), "nowfun"),
        (_patched(), "is_due"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_class_with_code_of_its_own_works_in_beat_schedule_and_the_api_names_it(
    kolkata: Celery, given: Any, code: str
) -> None:
    assert by_code(given, kolkata).to_json()["kind"] == "code"
    with pytest.raises(ValidationError) as caught:
        by_api(given)
    assert type(given).__qualname__ in str(caught.value)
    assert f"its own code ({code})" in str(caught.value)
    assert "put this one in beat_schedule" in str(caught.value)


@pytest.mark.parametrize("given", [None, True, "every day", object(), cs.schedule(None), 0.01, -1])
def test_what_neither_takes(kolkata: Celery, given: Any) -> None:
    declared = declare(kolkata, {"e": {"task": "t", "schedule": given}})
    assert "invalid schedule" in declared.broken["e"]
    with pytest.raises(ValidationError, match="invalid schedule"):
        by_api(given)


def test_a_subclass_with_code_counts_its_hours_in_the_apps_zone(kolkata: Celery) -> None:
    """09:00 in Kolkata is 03:30 UTC."""
    live: Any = by_code(OwnDue(0, 9), kolkata)
    due_ms = int(datetime(2025, 6, 1, 3, 30, tzinfo=UTC).timestamp() * 1_000)
    last_ms = due_ms - 3_600_000
    assert live.ask(last_ms, due_ms - 60_000).due is False
    assert live.ask(last_ms, due_ms - 60_000).again_ms == 60_000
    assert live.ask(last_ms, due_ms).due is True
