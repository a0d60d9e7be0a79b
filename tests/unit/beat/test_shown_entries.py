"""`scheduler.schedule` and the methods around it, as handlers of `beat_init` use them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry

from habeat.beat.declared.offline import read_offline
from habeat.beat.scheduler import Scheduler
from habeat.core.entry import Entry, Misfire
from habeat.errors import BeatRuns, ValidationError
from habeat.schedules import Cron

CRON = Cron("0 8 * * *")
GIVEN: dict[str, Any] = {
    "cfg": {"task": "cfg", "schedule": 3600.0, "options": {"queue": "slow"}},
    "cron": {"task": "cron", "schedule": CRON, "misfire": "all", "args": (1,)},
    "wrong": {"task": "wrong"},
}


@pytest.fixture
def scheduler() -> Scheduler:
    app = Celery("proj", broker="redis://127.0.0.1:1/0", set_as_current=False)
    app.conf.beat_schedule = copy.deepcopy(GIVEN)
    return Scheduler(app)


def declared_after_start(scheduler: Scheduler) -> dict[str, Entry]:
    scheduler._take_changes()
    return dict(scheduler._beat_schedule.entries)


def test_the_schedule_shows_the_entries_that_are_scheduled(scheduler: Scheduler) -> None:
    assert {"cfg", "cron"} <= set(scheduler.schedule)
    assert "wrong" not in scheduler.schedule
    assert isinstance(scheduler.schedule["cfg"], ScheduleEntry)
    assert scheduler.get_schedule() is scheduler.schedule


def test_reading_without_redis_finds_what_beat_declares(scheduler: Scheduler) -> None:
    found = read_offline(scheduler.app, with_defaults=True)
    assert "celery.backend_cleanup" in found.declared.entries
    assert found.declared.fingerprint == scheduler._beat_schedule.fingerprint


def test_walking_over_the_schedule_changes_no_definition(scheduler: Scheduler) -> None:
    before = scheduler._beat_schedule
    for entry in scheduler.schedule.values():
        assert entry.schedule is not None
    declared_after_start(scheduler)
    assert scheduler._beat_schedule.fingerprint == before.fingerprint
    assert scheduler._beat_schedule.broken.keys() == {"wrong"}


def test_what_a_handler_adds_is_declared(scheduler: Scheduler) -> None:
    scheduler.add(name="added", task="added", schedule=1.0, misfire="all")
    scheduler.update_from_dict({"updated": {"task": "updated", "schedule": CRON}})
    scheduler.schedule["plain"] = ScheduleEntry(
        name="plain", task="plain", schedule=2.0, app=scheduler.app
    )
    found = declared_after_start(scheduler)
    assert found["added"].misfire is Misfire.ALL
    assert found["updated"].schedule == CRON.bound("updated", "UTC")
    assert found["plain"].task == "plain"
    assert found["cron"].misfire is Misfire.ALL


def test_what_a_handler_changes_or_removes_is_declared_so(scheduler: Scheduler) -> None:
    scheduler.schedule["cfg"].options["queue"] = "fast"
    scheduler.schedule["cron"].args = (2,)
    assert declared_after_start(scheduler)["cfg"].options == {"queue": "fast"}
    assert scheduler._beat_schedule.entries["cron"].args == (2,)
    assert scheduler._beat_schedule.entries["cron"].schedule == CRON.bound("cron", "UTC")


def test_merge_inplace_replaces_what_is_declared(scheduler: Scheduler) -> None:
    scheduler.merge_inplace({"cfg": {"task": "other", "schedule": CRON}})
    found = declared_after_start(scheduler)
    assert found.keys() == {"cfg"}
    assert (found["cfg"].task, found["cfg"].schedule) == ("other", CRON.bound("cfg", "UTC"))


def test_setting_the_schedule_replaces_all(scheduler: Scheduler) -> None:
    scheduler.schedule = {"only": {"task": "only", "schedule": 5.0}}
    assert declared_after_start(scheduler).keys() == {"only"}


def test_an_entry_that_cannot_be_scheduled_is_refused_at_once(scheduler: Scheduler) -> None:
    with pytest.raises(ValidationError, match="schedule"):
        scheduler.add(name="bad", task="bad", schedule="every minute")
    with pytest.raises(ValidationError, match="update_from_dict"):
        scheduler.schedule["bad"] = {"task": "bad"}
    with pytest.raises(TypeError, match="misfir"):
        scheduler.add(name="bad", task="bad", schedule=1.0, misfir="all")
    assert "bad" not in scheduler.schedule


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.add(name="late", task="late", schedule=1.0),
        lambda s: s.update_from_dict({"late": {"task": "late", "schedule": 1.0}}),
        lambda s: s.merge_inplace({}),
        lambda s: s.setup_schedule(),
        lambda s: s.schedule.pop("cfg"),
        lambda s: setattr(s.schedule["cfg"], "args", (1,)),
        lambda s: setattr(s, "schedule", {}),
    ],
)
def test_after_the_first_tick_a_change_names_the_call_to_use(
    scheduler: Scheduler, change: Any
) -> None:
    declared_after_start(scheduler)
    with pytest.raises(BeatRuns, match=r"habeat\.Client"):
        change(scheduler)
    assert scheduler.schedule["cfg"].args == ()


def test_reserve_moves_the_copy_only(scheduler: Scheduler) -> None:
    entry = scheduler.schedule["cfg"]
    assert scheduler.reserve(entry).total_run_count == 1
    assert scheduler.schedule["cfg"] is entry
    assert entry.total_run_count == 0


def test_setting_when_an_entry_last_ran_names_the_call_to_use(scheduler: Scheduler) -> None:
    entry = scheduler.schedule["cfg"]
    with pytest.raises(RuntimeError, match="trigger"):
        entry.last_run_at = None
    assert next(entry).total_run_count == 1


def test_sending_by_hand_leaves_the_definition_as_it_is(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(scheduler, "send_task", lambda *_, **options: sent.append(options))
    entry = scheduler.schedule["cfg"]
    entry.options["headers"] = {"tenant": "a"}
    scheduler.apply_async(entry)
    added_by_celery = {"celery_beat_task"}  # from Celery 5.6 on
    assert sent[0]["headers"].keys() - added_by_celery == {"tenant"}
    assert entry.options["headers"] == {"tenant": "a"}


def test_reading_beat_schedule_again_before_the_first_tick_takes_effect(
    scheduler: Scheduler,
) -> None:
    before = scheduler._own_parts()
    scheduler.app.conf.beat_schedule = {"again": {"task": "proj.tick", "schedule": 60}}
    scheduler.setup_schedule()
    assert "again" in declared_after_start(scheduler)
    assert scheduler._own_parts() is not before, "the parts were built with the old entries"


def test_the_heap_is_refused_by_name(scheduler: Scheduler) -> None:
    with pytest.raises(RuntimeError, match="trigger"):
        scheduler.populate_heap()
