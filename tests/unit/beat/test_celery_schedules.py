"""Celery's schedules in habeat's terms: all of them, and what may not be translated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery import schedules as cs

from habeat.beat.declared.celery_schedules import (
    ASK_AGAIN_S,
    LONGEST_S,
    LiveSchedule,
    to_schedule,
)
from habeat.config.from_app import timezone_of
from habeat.errors import ValidationError
from habeat.schedules import Cron, Crontab, Interval, Solar
from habeat.schedules.custom import DueState, LiveCode

NOW = datetime(2025, 6, 1, 10, 30, 15, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)


@pytest.mark.parametrize("given", [90, 90.0, timedelta(seconds=90), cs.schedule(90)])
def test_an_interval_in_each_of_its_forms(app: Celery, given: Any) -> None:
    assert to_schedule(given, app) == Interval(90_000)


@pytest.mark.parametrize(
    ("given", "relative"),
    [(cs.schedule(3_600, relative=True), False), (3_600, True), (timedelta(hours=1), True)],
)
def test_relative_is_the_round_hour(app: Celery, given: Any, relative: bool) -> None:
    found = to_schedule(given, app, relative=relative)
    assert found == Crontab("0", "*", tz="Europe/Berlin")
    assert found.next_after(NOW) == datetime(2025, 6, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", datetime(2025, 6, 2, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2025, 6, 1, 22, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2025, 6, 1, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_relative_day_is_midnight_in_the_apps_zone(zone: str, expected: datetime) -> None:
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.conf.timezone = zone
    assert to_schedule(86_400, app, relative=True).next_after(NOW) == expected


@pytest.mark.parametrize("given", [0, -5, 0.01, True, None, "every minute", object()])
def test_what_is_no_schedule_is_refused(app: Celery, given: Any) -> None:
    with pytest.raises(ValidationError):
        to_schedule(given, app)


def test_a_schedule_of_ours_stays_as_it_is(app: Celery) -> None:
    cron = Cron("0 8 * * *")
    assert to_schedule(cron, app) is cron


def test_a_crontab_keeps_its_fields_and_takes_the_apps_zone(app: Celery) -> None:
    given = cs.crontab(
        minute="*/15", hour="8-18/2", day_of_week="mon-fri", day_of_month="1,15", month_of_year=6
    )
    assert to_schedule(given, app) == Crontab(
        "*/15", "8-18/2", "mon-fri", "1,15", "6", tz="Europe/Berlin"
    )


@pytest.mark.parametrize("minutes", ["15,45", [45, 15], {15, 45}])
def test_a_crontabs_field_may_be_any_set_of_numbers(app: Celery, minutes: Any) -> None:
    assert to_schedule(cs.crontab(minutes), app).minute == "15,45"  # type: ignore[attr-defined]


def test_a_crontab_ands_its_days(app: Celery) -> None:
    found = to_schedule(cs.crontab(0, 0, day_of_week="fri", day_of_month="13"), app)
    first = found.bound("e", "UTC").next_after(NOW)
    assert first is not None
    assert (first.day, first.weekday()) == (13, 4)


@pytest.mark.parametrize(
    "zone",
    [ZoneInfo("America/New_York"), UTC, timezone(timedelta(hours=5, minutes=30))],
    ids=["zoneinfo", "utc", "fixed"],
)
def test_a_crontab_with_a_clock_of_its_own_is_due_when_this_celery_says(
    app: Celery, zone: tzinfo
) -> None:
    """Releases of Celery differ: in 5.5 the fields count in the clock's zone, in 5.7 the app's."""
    now = NOW.astimezone(zone)
    given = cs.crontab(30, 9, nowfun=lambda: now, app=app)
    celerys = NOW + given.remaining_estimate(now)
    assert to_schedule(given, app).next_after(NOW) == celerys.replace(microsecond=0)


def test_a_clock_without_a_zone_that_is_known_to_show_utc_is_no_code(app: Celery) -> None:
    given = cs.crontab(30, 9, nowfun=datetime.utcnow, app=app)
    assert to_schedule(given, app) == Crontab("30", "9", tz="Europe/Berlin")


@pytest.mark.parametrize("hours", [-5, 0, 9])
def test_a_crontab_whose_clock_has_no_zone_is_due_when_celery_says(app: Celery, hours: int) -> None:
    """As with `nowfun=datetime.now`: Celery takes the host's local time for UTC."""
    begin = NOW.replace(tzinfo=None) + timedelta(hours=hours)
    at = [begin]
    given = cs.crontab(30, 9, nowfun=lambda: at[0], app=app)
    wait = given.remaining_estimate(begin)
    found = live(given, app)
    due_ms = NOW_MS + int(wait.total_seconds() * 1_000)
    at[0] = begin + wait - timedelta(seconds=1)
    assert found.ask(NOW_MS, due_ms - 1_000).due is False
    at[0] = begin + wait
    assert found.ask(NOW_MS, due_ms).due is True


def test_a_class_that_compares_the_last_run_with_its_own_clock_gets_one_of_that_kind(
    app: Celery,
) -> None:
    class Naive(cs.schedule):
        def is_due(self, last_run_at: datetime) -> Any:
            return cs.schedstate((self.now() - last_run_at).total_seconds() >= 60, 1)

    for zone in (None, ZoneInfo("Asia/Tokyo")):
        now = NOW.astimezone(zone).replace(tzinfo=zone)
        found = live(Naive(60, nowfun=lambda now=now: now, app=app), app)
        assert found.ask(NOW_MS - 60_000, NOW_MS).due is True
        assert found.ask(NOW_MS - 59_000, NOW_MS).due is False


def test_the_zone_of_django_celery_beats_crontab_is_kept(app: Celery) -> None:
    class TzAwareCrontab(cs.crontab):
        def __init__(self, *args: Any, tz: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.tz = tz

    found = to_schedule(TzAwareCrontab(0, 9, tz=ZoneInfo("Asia/Tokyo")), app)
    assert found == Crontab("0", "9", tz="Asia/Tokyo")


def test_solar(app: Celery) -> None:
    assert to_schedule(cs.solar("sunrise", 52.5, 13.4), app) == Solar("sunrise", 52.5, 13.4)


@pytest.mark.parametrize(
    ("conf", "zone"),
    [
        ({"timezone": "Asia/Tokyo"}, "Asia/Tokyo"),
        ({"timezone": None, "enable_utc": True}, "UTC"),
    ],
)
def test_the_apps_zone(app: Celery, conf: dict[str, Any], zone: str) -> None:
    app.conf.update(conf)
    assert timezone_of(app.conf) == zone


# -- classes of the user's own ----------------------------------------------------------------


class WithClock(cs.schedule):
    """A class with code of its own may mean anything: it is asked through Celery's interface."""

    def is_due(self, last_run_at: datetime) -> Any:
        return super().is_due(last_run_at)


class Hinting(cs.BaseSchedule):
    """Every day at 12:00 UTC; says when to look again, and that is not the next slot."""

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return timedelta(seconds=20)

    def is_due(self, last_run_at: datetime) -> cs.schedstate:
        now = self.now().astimezone(UTC)
        noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
        if last_run_at < noon <= now:
            return cs.schedstate(True, 20.0)
        return cs.schedstate(False, 20.0)


def test_a_subclass_is_a_matter_of_code(app: Celery) -> None:
    found = to_schedule(WithClock(60), app)
    assert isinstance(found, LiveSchedule)
    assert found.to_json()["kind"] == "code"
    assert "WithClock" in found.to_json()["what"]
    assert found.next_after_ms(NOW_MS) is None  # it is asked, never enumerated
    assert found.ask(NOW_MS, NOW_MS + 59_500) == DueState(False, 500)
    assert found.ask(NOW_MS, NOW_MS + 60_000) == DueState(True, 60_000)


def test_an_interval_with_a_clock_of_its_own_is_a_matter_of_code(app: Celery) -> None:
    assert isinstance(to_schedule(cs.schedule(60, nowfun=lambda: NOW), app), LiveSchedule)


def live(given: Any, app: Celery) -> LiveCode:
    found = to_schedule(given, app)
    assert isinstance(found, LiveCode)
    return found


def test_it_answers_whether_it_is_due_and_when_to_ask_again(app: Celery) -> None:
    found = live(Hinting(app=app), app)
    noon_ms = int(datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp() * 1_000)
    assert found.ask(NOW_MS, noon_ms - 1) == DueState(False, 20_000)
    assert found.ask(NOW_MS, noon_ms) == DueState(True, 20_000)
    assert found.ask(noon_ms, noon_ms + 20_000) == DueState(False, 20_000)


@pytest.mark.parametrize(
    ("seconds", "again_ms"),
    [(None, ASK_AGAIN_S * 1_000), (0, 0), (-5, 0), (0.0001, 1), (1e300, LONGEST_S * 1_000)],
)
def test_when_to_ask_again_is_bounded(app: Celery, seconds: Any, again_ms: int) -> None:
    assert live(answering((True, seconds), app), app).ask(NOW_MS, NOW_MS) == DueState(
        True, again_ms
    )


def test_a_class_that_names_no_delay_is_asked_at_beats_longest_interval(app: Celery) -> None:
    app.conf.beat_max_loop_interval = 7
    assert live(answering((False, None), app), app).ask(NOW_MS, NOW_MS) == DueState(False, 7_000)


@pytest.mark.parametrize(
    "answer", [None, True, (True,), (True, "soon"), (True, float("nan")), (True, timedelta(1))]
)
def test_an_answer_that_is_none_is_an_error_of_the_class(app: Celery, answer: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        live(answering(answer, app), app).ask(NOW_MS, NOW_MS)


def answering(answer: Any, app: Celery) -> cs.BaseSchedule:
    class Answering(Hinting):
        def is_due(self, last_run_at: datetime) -> Any:
            return answer

    return Answering(app=app)


def test_a_crontab_subclass_is_due_when_the_crontab_is(app: Celery) -> None:
    class Mine(cs.crontab):
        def is_due(self, last_run_at: datetime) -> Any:
            return super().is_due(last_run_at)

    mine = live(Mine(minute="*/20", app=app), app)
    plain = to_schedule(cs.crontab(minute="*/20"), app)
    last_ms = NOW_MS
    for _ in range(5):
        slot_ms = plain.next_after_ms(last_ms)
        assert slot_ms is not None
        assert mine.ask(last_ms, slot_ms - 1_000).due is False
        assert mine.ask(last_ms, slot_ms).due is True
        last_ms = slot_ms


def test_it_sees_the_time_in_the_apps_zone(app: Celery) -> None:
    app.conf.timezone = "Asia/Tokyo"
    seen: list[tuple[datetime, datetime]] = []

    class Looking(Hinting):
        def is_due(self, last_run_at: datetime) -> cs.schedstate:
            seen.append((last_run_at, self.now()))
            return cs.schedstate(False, 1.0)

    live(Looking(app=app), app).ask(NOW_MS, NOW_MS + 1_000)
    assert seen == [(NOW, NOW + timedelta(seconds=1))]
    assert [each.utcoffset() for each in seen[0]] == [timedelta(hours=9)] * 2


def test_a_class_with_a_clock_of_its_own_keeps_it(app: Celery) -> None:
    found = live(cs.schedule(60, nowfun=lambda: NOW + timedelta(minutes=5)), app)
    assert found.ask(NOW_MS, NOW_MS).due is True


def test_it_is_asked_with_all_that_the_instance_has(app: Celery) -> None:
    class Flagged(cs.schedule):
        """Celery's `__reduce__` does not know `flag`."""

        def __init__(self, flag: str) -> None:
            super().__init__(60)
            self.flag = flag

        def is_due(self, last_run_at: datetime) -> cs.schedstate:
            return cs.schedstate(self.flag == "up", 1.0)

    assert live(Flagged("up"), app).ask(NOW_MS, NOW_MS) == DueState(True, 1_000)


def test_a_class_may_remember_something_and_the_users_object_stays_as_it_was(app: Celery) -> None:
    class Counting(Hinting):
        asked = 0

        def is_due(self, last_run_at: datetime) -> cs.schedstate:
            self.asked += 1
            return cs.schedstate(self.asked == 3, 1.0)

    given = Counting(app=app)
    before = dict(vars(given))
    found = live(given, app)
    assert [found.ask(NOW_MS, NOW_MS).due for _ in range(4)] == [False, False, True, False]
    assert vars(given) == before


def test_a_class_without_a_repr_is_the_same_in_every_process(app: Celery) -> None:
    """Otherwise, the replicas would declare different entries: its default repr has an address."""

    class Plain(cs.BaseSchedule):  # type: ignore[misc]
        def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
            return False, 1.0

    one, other = (to_schedule(Plain(app=app), app).to_json() for _ in range(2))
    assert one == other
    assert "Plain" in one["what"]
