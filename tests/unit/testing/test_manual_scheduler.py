"""The scheduler that tests move by hand: what it fires is what beat would fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import crontab, schedule

from habeat import cron
from habeat.core.catchup import plan
from habeat.core.entry import Policies
from habeat.entries.draft import new_entry
from habeat.errors import (
    BulkError,
    DefinitionError,
    EntryExists,
    EntryNotFound,
    ValidationError,
)
from habeat.testing import Clock, Firing, ManualScheduler

MINUTELY = {"name": "minutely", "task": "t", "schedule": cron("* * * * *")}


def app_with(schedule: dict[str, Any], **conf: Any) -> Celery:
    app = Celery("proj", broker="amqp://nowhere", set_as_current=False)
    app.conf.update(conf, beat_schedule=schedule)
    return app


def of(*entries: Any, at: str = "2026-03-28 12:00", **given: Any) -> ManualScheduler:
    return ManualScheduler(entries=entries, at=at, **given)


def times(firings: list[Firing]) -> list[str]:
    return [f"{each.name} {each.slot:%d %H:%M%z}" for each in firings]


def test_the_firings_of_an_app_come_in_order_with_what_is_sent() -> None:
    app = app_with(
        {
            "nightly": {"task": "proj.clean", "schedule": crontab(hour=2, minute=30)},
            "hourly": {
                "task": "proj.count",
                "schedule": crontab(minute=0),
                "args": (1,),
                "kwargs": {"deep": True},
                "options": {"queue": "slow"},
            },
        },
        timezone="Europe/Berlin",
    )
    scheduler = ManualScheduler(app, at="2026-03-29 00:30")
    assert scheduler.entries == ("hourly", "nightly")
    fired = scheduler.run_until("2026-03-29 04:00")
    # The clocks skip the hour from 02:00 to 03:00: the nightly entry runs at 03:00 instead.
    assert times(fired) == [
        "hourly 29 01:00+0100",
        "hourly 29 03:00+0200",
        "nightly 29 03:00+0200",
        "hourly 29 04:00+0200",
    ]
    first = fired[0]
    assert (first.task, first.args, first.kwargs) == ("proj.count", (1,), {"deep": True})
    assert first.options == {"queue": "slow"}
    assert (first.sent, first.late, first.catch_up) == (first.slot, timedelta(0), "")
    assert scheduler.clock.now == fired[-1].slot


def test_a_span_is_given_in_units_seconds_or_as_a_timedelta() -> None:
    scheduler = of(MINUTELY)
    assert len(scheduler.advance(hours=1, minutes=5)) == 65
    assert len(scheduler.advance(120)) == 2
    assert len(scheduler.advance(timedelta(minutes=3))) == 3
    assert scheduler.clock.now == datetime(2026, 3, 28, 13, 10, tzinfo=UTC)
    for wrong in ({"span": -1}, {"fortnights": 1}):
        with pytest.raises(ValidationError, match="span"):
            scheduler.advance(**wrong)
    with pytest.raises(ValidationError, match="the clock's time"):
        scheduler.run_until("2026-03-28 13:09")


def test_the_first_slot_is_strictly_after_the_beginning() -> None:
    scheduler = of(MINUTELY)
    scheduler.clock.set("2026-05-01 00:00")  # before the first run: nothing was missed
    assert times(scheduler.advance(minutes=1)) == ["minutely 01 00:01+0000"]
    assert scheduler.skipped == []


@pytest.mark.parametrize("misfire", ["latest", "all", "skip"])
def test_what_a_stop_leaves_behind_is_caught_up_as_the_policy_says(misfire: str) -> None:
    scheduler = of({**MINUTELY, "misfire": misfire, "misfire_limit": 3})
    scheduler.advance(minutes=1)
    scheduler.stop()
    assert scheduler.advance(hours=1) == []
    scheduler.start()
    caught_up = scheduler.advance(seconds=0)
    # 60 slots are due: two within the grace of a minute (60 s is not yet beyond it).
    within = ["minutely 28 13:00+0000", "minutely 28 13:01+0000"]
    late = {
        "latest": ["minutely 28 12:59+0000"],
        "all": [f"minutely 28 12:{minute}+0000" for minute in (57, 58, 59)],
        "skip": [],
    }[misfire]
    assert times(caught_up) == late + within
    assert {each.catch_up for each in caught_up} == ({misfire} if late else set()) | {""}
    assert sum(each.count for each in scheduler.skipped) == 60 - len(caught_up)
    assert {each.outcome for each in scheduler.skipped} == {"missed"}
    assert all(each.sent == scheduler.clock.now for each in caught_up)


def test_a_backlog_is_sent_at_its_pace() -> None:
    scheduler = of({**MINUTELY, "misfire": "all", "misfire_pace": 10})
    scheduler.stop()
    scheduler.advance(hours=1)
    scheduler.start()
    sent = scheduler.advance(seconds=30)
    assert len(sent) == 60
    assert sent[0].sent < sent[-1].sent <= sent[0].sent + timedelta(seconds=6)


def test_a_clock_that_jumps_is_a_gap_too() -> None:
    scheduler = of({**MINUTELY, "misfire": "skip"})
    scheduler.advance(minutes=1)
    scheduler.clock.advance(hours=1)
    assert times(scheduler.advance(0)) == ["minutely 28 13:00+0000", "minutely 28 13:01+0000"]


def test_the_policies_are_the_app_s() -> None:
    declared = {"m": {"task": "t", "schedule": crontab()}}
    for misfire, count in (("skip", 2), ("latest", 3)):
        scheduler = ManualScheduler(app_with(declared, habeat_misfire=misfire), at="2026-03-28")
        scheduler.stop()
        scheduler.advance(hours=1)
        scheduler.start()
        assert len(scheduler.advance(0)) == count


@pytest.mark.parametrize("misfire", ["latest", "all", "skip"])
@pytest.mark.parametrize("gap_s", [59, 61, 600, 7 * 86_400])
def test_a_gap_has_the_outcome_of_the_planner_of_beat(misfire: str, gap_s: int) -> None:
    given = {"task": "t", "schedule": cron("*/7 * * * *"), "misfire": misfire, "jitter": 50}
    entry = new_entry("e", given, "UTC")
    scheduler = of(entry)
    start_ms = scheduler.clock.now_ms
    scheduler.stop()
    scheduler.advance(gap_s)
    scheduler.start()
    fired, cursor_ms, expected = scheduler.advance(0), start_ms, []
    while steps := plan(
        entry, entry.policies(Policies()), cursor_ms=cursor_ms, now_ms=start_ms + gap_s * 1_000
    ):
        expected += [step.what.slot_ms for step in steps if hasattr(step.what, "slot_ms")]
        cursor_ms = steps[-1].cursor_ms
        if steps[-1].not_before_ms:  # the rest of the backlog waits for its pace
            break
    assert [int(each.slot.timestamp() * 1_000) for each in fired] == expected


def test_limits_offsets_and_expiry_count_as_in_production() -> None:
    scheduler = of({**MINUTELY, "max_runs": 2, "spread": 30})
    fired = scheduler.advance(hours=1)
    assert len(fired) == 2
    assert timedelta(0) < fired[0].effective - fired[0].slot <= timedelta(seconds=30)
    expiring = of({**MINUTELY, "options": {"expires": 10}})
    expiring.stop()
    expiring.advance(seconds=75)
    expiring.start()
    assert expiring.advance(0) == []
    assert [(each.outcome, each.reason) for each in expiring.skipped] == [("skipped", "expired")]


def test_lazy_arguments_are_called_for_each_firing() -> None:
    counted = iter(range(10))
    declared = {
        "lazy": {
            "task": "t",
            "schedule": crontab(),
            "args": (BeatLazyFunc(lambda: next(counted)),),
        }
    }
    scheduler = ManualScheduler(app_with(declared), at="2026-03-28")
    assert [each.args for each in scheduler.advance(minutes=2)] == [(0,), (1,)]


def test_a_schedule_of_code_is_asked() -> None:
    class Odd(schedule):  # type: ignore[misc]
        def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
            now = self.now()
            return now.minute % 2 == 1, 60 - now.second

    scheduler = ManualScheduler(
        app_with({"odd": {"task": "t", "schedule": Odd(60)}}), at="2026-03-28 12:00"
    )
    assert times(scheduler.run_until("2026-03-28 12:04:30")) == [
        "odd 28 12:01+0000",
        "odd 28 12:03+0000",
    ]


def test_entries_come_and_go() -> None:
    scheduler = of(MINUTELY)
    scheduler.add("hourly", "t", 3600)
    with pytest.raises(EntryExists):
        scheduler.add("hourly", "t", 60)
    assert {each.name for each in scheduler.advance(hours=1)} == {"hourly", "minutely"}
    scheduler.remove("minutely")
    scheduler.add("late", "t", cron("*/30 * * * *"))
    assert [each.name for each in scheduler.advance(hours=1)].count("late") == 2
    with pytest.raises(EntryNotFound):
        scheduler.remove("minutely")
    assert scheduler.entries == ("hourly", "late")


def test_what_beat_would_not_schedule_is_an_error() -> None:
    app = app_with({"bad": {"task": "t", "schedul": 1}, "good": {"task": "t", "schedule": 1}})
    with pytest.raises(BulkError, match=r"1 of 2 entries .* bad: unknown key 'schedul'"):
        ManualScheduler(app, at="2026-03-28")
    with pytest.raises(BulkError, match="habeat_misfire"):
        ManualScheduler(app_with({}, habeat_misfire="sometimes"), at="2026-03-28")
    with pytest.raises(ValidationError, match="schedule is missing"):
        of({"name": "x", "task": "t"})


def test_a_schedule_that_fails_fails_the_test() -> None:
    class Broken(schedule):  # type: ignore[misc]
        def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
            raise LookupError("no calendar")

    scheduler = ManualScheduler(
        app_with({"b": {"task": "t", "schedule": Broken(60)}}), at="2026-03-28"
    )
    with pytest.raises(DefinitionError, match="no calendar"):
        scheduler.advance(hours=1)


def test_a_period_with_too_many_firings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("habeat.testing.scheduler.FIRINGS_MAX", 100)
    with pytest.raises(ValidationError, match="at most 100 firings"):
        of(MINUTELY).advance(days=1)


def test_a_clock_stands_still_and_knows_its_zone() -> None:
    clock = Clock("2026-10-25 01:30", "Europe/Berlin")
    clock.advance(hours=1)
    assert clock.now.isoformat() == "2026-10-25T02:30:00+02:00"
    clock.advance(hours=1)
    assert clock.now.isoformat() == "2026-10-25T02:30:00+01:00"
    for local in ("2026-03-29 02:30", "2026-10-25 02:30", "yesterday"):
        with pytest.raises(ValidationError):
            clock.set(local)
    clock.set(datetime(2026, 10, 25, 2, 30, fold=1))
    assert clock.now.isoformat() == "2026-10-25T02:30:00+01:00"
    assert repr(clock) == "Clock('2026-10-25 02:30:00+01:00', 'Europe/Berlin')"
    with pytest.raises(ValidationError, match="either a clock or"):
        ManualScheduler(clock=clock, at="2026-01-01")
