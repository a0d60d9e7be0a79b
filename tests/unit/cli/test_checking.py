"""`check`: a beat_schedule is validated without Redis."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from celery.schedules import crontab, schedule
from click.testing import CliRunner

from habeat.cli import habeat as group
from habeat.cli.checking import checked


class Odd(schedule):  # type: ignore[misc]
    """A schedule that only code knows."""


@pytest.fixture
def app() -> Celery:
    made = Celery("proj", broker="redis://127.0.0.1:1/0", set_as_current=False)

    @made.task(name="proj.a", shared=False)  # type: ignore[untyped-decorator]
    def a() -> None: ...

    return made


def check(app: Celery, *argv: str) -> Any:
    done = CliRunner().invoke(group, ["check", *argv], obj=CLIContext(app, True, None))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_valid_schedule_needs_no_redis(app: Celery) -> None:
    app.conf.beat_schedule = {
        "a": {"task": "proj.a", "schedule": crontab(minute=5)},
        "b": {"task": "proj.a", "schedule": 5.0},
        "code": {"task": "proj.a", "schedule": Odd(5)},
    }
    done = check(app, "--strict")
    assert (done.exit_code, done.output) == (0, "beat_schedule is valid: 3 entries\n")
    del app.conf.beat_schedule["b"], app.conf.beat_schedule["code"]
    assert check(app).output == "beat_schedule is valid: 1 entry\n"


def test_each_bad_entry_is_named_with_what_is_wrong(app: Celery) -> None:
    app.conf.beat_schedule = {
        "fine": {"task": "proj.a", "schedule": 5.0},
        "typo": {"task": "proj.a", "schedul": 5.0},
        "option": {"task": "proj.a", "schedule": 5.0, "options": {"expire": 5}},
        "none": {"task": "proj.a", "schedule": None},
    }
    done = check(app)
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert [line.partition(":")[0] for line in lines[:3]] == ["typo", "option", "none"]
    assert "did you mean 'expires'?" in lines[1]
    assert lines[3] == "beat_schedule is not valid: 4 entries, 3 with a problem"
    found = json.loads(check(app, "--json").stdout)
    assert (found["valid"], found["entries"]) == (False, 4)
    assert list(found["problems"]) == ["typo", "option", "none"]


def test_what_deserves_a_look_is_a_note_unless_it_is_strict(app: Celery) -> None:
    app.conf.beat_schedule = {
        "unknown": {"task": "proj.b", "schedule": 5.0},
        "over": {"task": "proj.a", "schedule": 5.0, "end": datetime(2020, 1, 1, tzinfo=UTC)},
    }
    done = check(app)
    assert done.exit_code == 0, done.output
    assert "note: over: it never fires: " in done.output
    assert "note: unknown: the task proj.b is not registered in this code: " in done.output
    strict = check(app, "--strict")
    assert strict.exit_code == 1
    assert "has notes" in strict.output
    app.conf.habeat_remote_tasks = ["proj.b"]
    del app.conf.beat_schedule["over"]
    assert check(app, "--strict").exit_code == 0


def test_a_beat_that_has_only_the_names_of_its_tasks_gets_no_notes() -> None:
    app = Celery("proj", broker="redis://127.0.0.1:1/0", set_as_current=False)
    app.conf.beat_schedule = {"a": {"task": "proj.a", "schedule": 5.0}}
    done = check(app, "--strict")
    assert (done.exit_code, done.output) == (0, "beat_schedule is valid: 1 entry\n")


def test_entries_of_the_project_s_signals_are_checked(app: Celery) -> None:
    @app.on_after_finalize.connect  # type: ignore[untyped-decorator]
    def add(sender: Celery, **_: Any) -> None:
        sender.add_periodic_task(5.0, sender.signature("proj.a"), name="bad", expire=1)

    done = check(app)
    assert done.exit_code == 1
    assert "bad: unknown option 'expire'" in done.output


def test_settings_are_checked_but_a_place_for_redis_is_not_needed(app: Celery) -> None:
    app.conf.beat_schedule = {"a": {"task": "proj.a", "schedule": 5.0}}
    app.conf.broker_url = "amqp://nowhere"
    done = check(app, "--strict")
    assert done.exit_code == 0
    assert "note: habeat_redis_url: " in done.output
    app.conf.habeat_misfire = "sometimes"
    done = check(app)
    assert done.exit_code == 1
    assert "habeat_misfire: " in done.output


def test_a_module_that_cannot_be_imported_fails_the_check(app: Celery) -> None:
    app.conf.include = ["no_such_module_of_the_project"]
    done = check(app)
    assert done.exit_code == 1
    assert "imports: ModuleNotFoundError" in done.output


def of_a_project(broker: str, **conf: Any) -> Celery:
    app = Celery("proj", broker=broker, set_as_current=False)

    @app.task(name="proj.a", shared=False)  # type: ignore[untyped-decorator]
    def a() -> None: ...

    app.conf.update(conf)
    app.conf.beat_schedule = {
        "own": {"task": "proj.a", "schedule": 5.0, "options": {"tenant": "t"}},
        "far": {"task": "far.a", "schedule": 5.0},
        "long": {"task": "proj.a", "schedule": 5.0, "description": "x" * 40},
    }
    return app


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"habeat_own_options": ["tenant"], "habeat_remote_tasks": ["far.*"]},
        {"habeat_description_chars": 20},
        {"habeat_dispatch": "atomic"},
        {"habeat_crash_poll": 9, "habeat_lease_ttl": 10},
        {"habeat_dedup_ttl": 1},
        {"habeat_key_prefix": "{}"},
        {"habeat_misfire": "sometimes"},
        {"habeat_redis_options": {"no_such_option": 1}, "habeat_dedup_ttl": 1},
    ],
)
def test_a_project_is_judged_alike_with_and_without_a_redis(conf: dict[str, Any]) -> None:
    without = checked(of_a_project("amqp://nowhere", **conf))
    url = "redis://127.0.0.1:1/0"
    with_one = checked(of_a_project("amqp://nowhere", habeat_redis_url=url, **conf))
    if "habeat_misfire" not in conf and "habeat_key_prefix" not in conf:
        assert "habeat_redis_url" in without.notes
    without.notes.pop("habeat_redis_url", None)
    assert without == with_one
    assert "imports" not in without.problems


def test_settings_count_without_a_redis() -> None:
    app = of_a_project("amqp://nowhere", habeat_own_options=["tenant"])
    app.conf.habeat_remote_tasks = ["far.*"]
    assert json.loads(check(app, "--json").stdout)["problems"] == {}
    app.conf.habeat_dispatch = "atomic"
    assert "habeat_dispatch" in json.loads(check(app, "--json").stdout)["problems"]


def test_a_project_that_ends_the_program_is_reported(app: Celery) -> None:
    def ends(**_: Any) -> None:
        raise SystemExit(0)

    app.loader.import_default_modules = ends
    done = check(app)
    assert done.exit_code == 1
    assert "imports: SystemExit: 0" in done.output


def test_a_configuration_that_cannot_be_imported_is_reported() -> None:
    app = Celery("proj", set_as_current=False)
    app.config_from_object("no_such_module_of_settings")
    done = check(app)
    assert done.exit_code == 1
    assert "no_such_module_of_settings" in done.output


def test_what_is_no_mapping_is_said(app: Celery) -> None:
    app.conf.beat_schedule = ["a"]
    done = check(app)
    assert done.exit_code == 1
    assert "beat_schedule: " in done.output


def test_preview_of_a_schedule_needs_neither_redis_nor_a_place_for_it() -> None:
    app = Celery("proj", broker="amqp://nowhere", set_as_current=False)
    app.conf.timezone = "Europe/Berlin"
    words = ["preview", "--cron", "0 8 * * *", "--count", "2", "--json"]
    done = CliRunner().invoke(group, words, obj=CLIContext(app, True, None))
    assert done.exit_code == 0, done.output
    assert [slot["zone"] for slot in json.loads(done.stdout)] == ["Europe/Berlin"] * 2
    done = CliRunner().invoke(group, words[:-1], obj=CLIContext(app, True, None))
    assert len(done.output.splitlines()) == 2
