"""`beat_cron_starting_deadline` cuts off what Celery's own crontab would cut off, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab

import habeat
from habeat.beat.declared.beat_schedule import declare
from habeat.core.catchup import plan
from habeat.core.entry import Entry, Policies
from habeat.core.firing import Firing
from habeat.schedules.schedule import to_ms
from tests.unit.beat.conftest import make_app

DAILY = {"task": "proj.add", "schedule": crontab(hour=3, minute=0)}
SLOT = datetime(2026, 5, 4, 3, tzinfo=UTC)


def app_with(deadline: Any) -> Celery:
    app = make_app(beat_cron_starting_deadline=deadline)
    app.conf.timezone = "UTC"
    return app


def declared(app: Celery, policies: Policies | None = None, **keys: Any) -> Entry:
    found = declare(app, {"daily": {**DAILY, **keys}}, policies=policies or Policies())
    assert not found.broken
    return found.entries["daily"]


def fires(entry: Entry, late: timedelta) -> bool:
    steps = plan(
        entry,
        entry.policies(Policies()),
        cursor_ms=to_ms("slot", SLOT) - 1,
        now_ms=to_ms("now", SLOT + late),
    )
    return any(isinstance(step.what, Firing) for step in steps)


@pytest.mark.parametrize("deadline", [1, 5, 59.5, 60, 61, 1_800, 90_000])
@pytest.mark.parametrize("late_s", [0.001, 4.999, 5, 5.001, 59.999, 60, 60.001, 1_800, 1_801, 9e4])
def test_a_late_slot_fires_if_celerys_crontab_is_due(deadline: float, late_s: float) -> None:
    app, late = app_with(deadline), timedelta(seconds=late_s)
    asked = crontab(hour=3, minute=0, app=app, nowfun=lambda: SLOT + late)
    due, _ = asked.is_due(SLOT - timedelta(seconds=0.1))  # Celery 5.5 walks in steps of `late`
    assert fires(declared(app), late) == due


def test_of_several_missed_slots_only_the_newest_fires() -> None:
    entry, late = declared(app_with(1_800)), timedelta(minutes=20)
    steps = plan(
        entry,
        entry.policies(Policies()),
        cursor_ms=to_ms("slot", SLOT - timedelta(days=5)) - 1,
        now_ms=to_ms("now", SLOT + late),
    )
    fired = [step.what.slot_ms for step in steps if isinstance(step.what, Firing)]
    assert fired == [to_ms("slot", SLOT)]


def test_without_the_setting_nothing_is_cut_off() -> None:
    entry = declared(app_with(None))
    assert (entry.misfire_window_ms, entry.misfire_grace_ms) == (None, None)


def test_what_the_entry_says_itself_goes_first() -> None:
    entry = declared(app_with(5), misfire_window=600, misfire_grace=30)
    assert (entry.misfire_window_ms, entry.misfire_grace_ms) == (600_000, 30_000)


def test_of_the_deadline_and_the_apps_window_the_shorter_counts() -> None:
    policies = Policies(misfire_window_ms=3_000, misfire_grace_ms=2_000)
    entry = declared(app_with(5), policies)
    assert (entry.misfire_window_ms, entry.misfire_grace_ms) == (3_000, None)
    entry = declared(app_with(1), policies)
    assert (entry.misfire_window_ms, entry.misfire_grace_ms) == (1_000, 1_000)


class OwnIsDue(crontab):  # type: ignore[misc]
    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        return True, 60.0


@pytest.mark.parametrize(
    "schedule",
    [
        60,
        timedelta(minutes=1),
        OwnIsDue(),
        habeat.cron("0 3 * * *"),
        habeat.crontab(hour=3, minute=0),
    ],
    ids=["seconds", "timedelta", "own is_due", "habeat.cron", "habeat.crontab"],
)
def test_it_is_for_celerys_crontabs_only(schedule: Any) -> None:
    entry = declared(app_with(5), schedule=schedule)
    assert (entry.misfire_window_ms, entry.misfire_grace_ms) == (None, None)


@pytest.mark.parametrize("deadline", ["soon", -1, float("nan")])
def test_a_deadline_that_is_no_span_is_named_by_the_crontabs_and_stops_no_other(
    deadline: Any,
) -> None:
    found = declare(app_with(deadline), {"daily": DAILY, "other": {**DAILY, "schedule": 60}})
    assert list(found.entries) == ["other"]
    assert "beat_cron_starting_deadline" in found.broken["daily"]
