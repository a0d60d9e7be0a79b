"""Entries whose task no code of this beat registers: marked where that is certain, and logged."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import Celery

from habeat.beat.unregistered import LINES, PERIOD_MS, REMEMBERED, WRITE_EVERY_MS, UnregisteredTasks
from habeat.core.entry import Entry
from habeat.core.known_tasks import KnownTasks
from habeat.schedules import Interval


class Store:
    def __init__(self) -> None:
        self.written: list[KnownTasks | None] = []

    def write(self, known: KnownTasks | None) -> None:
        self.written.append(known)


def work() -> None:
    """Does nothing."""


def entry(name: str, task: Any = "proj.missing") -> Entry:
    return Entry(name, task, Interval(60_000))


@pytest.fixture
def project() -> Celery:
    """An app whose task modules were imported, as `celery beat` does."""
    app = Celery("proj", set_as_current=False)
    app.task(work, name="proj.work", shared=False)
    app.loader.worker_initialized = True
    return app


def looking(app: Celery, *elsewhere: str) -> tuple[UnregisteredTasks, Store]:
    store: Any = Store()
    tasks = UnregisteredTasks(app, elsewhere, store)
    tasks.begin([])
    return tasks, store


def found(tasks: UnregisteredTasks) -> dict[str, str]:
    reported: dict[str, str] = tasks.facts()["unregistered"]
    return reported


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def test_an_entry_is_logged_once_and_reported(
    project: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    tasks, _ = looking(project)
    for _ in range(3):
        tasks.look(entry("typo", "proj.wrok"))
        tasks.look(entry("right", "proj.work"))
        tasks.look(entry("celery's own", "celery.backend_cleanup"))
    assert found(tasks) == {"typo": "proj.wrok"}
    (line,) = lines(caplog)
    assert "entry 'typo'" in line
    assert "'proj.wrok'" in line
    assert "habeat_remote_tasks" in line


def test_the_entries_of_the_code_are_looked_at_when_the_lead_begins(project: Celery) -> None:
    tasks, _ = looking(project)
    tasks.begin([entry("declared"), entry("fine", "proj.work")])
    assert found(tasks) == {"declared": "proj.missing"}


def test_an_entry_whose_task_is_corrected_or_registered_is_no_longer_reported(
    project: Celery,
) -> None:
    tasks, _ = looking(project)
    tasks.look(entry("edited"))
    tasks.look(entry("late", "proj.late"))
    tasks.look(entry("edited", "proj.work"))
    project.task(work, name="proj.late", shared=False)
    tasks.look(entry("late", "proj.late"))
    assert found(tasks) == {}


def test_the_task_of_a_signature_counts(project: Celery) -> None:
    tasks, _ = looking(project)
    tasks.look(entry("signature", {"task": "proj.missing", "args": [], "kwargs": {}}))
    tasks.look(entry("canvas", {"task": "celery.chain", "args": [], "kwargs": {}}))
    assert found(tasks) == {"signature": "proj.missing"}


def test_tasks_of_other_apps_are_named_by_a_setting(project: Celery) -> None:
    tasks, store = looking(project, "billing.*", "mail.send")
    for task in ("billing.invoice", "mail.send", "mail.sent"):
        tasks.look(entry(task, task))
    assert found(tasks) == {"mail.sent": "mail.sent"}
    tasks.step(0)
    (known,) = store.written
    assert known is not None
    assert KnownTasks.from_text(known.to_text().encode()) == known


@pytest.mark.parametrize("why", ["modules not imported", "no task of its own"])
def test_without_certainty_nothing_is_marked(project: Celery, why: str) -> None:
    if why == "modules not imported":
        project.loader.worker_initialized = False
    else:
        project = Celery("names only", set_as_current=False)
        project.loader.worker_initialized = True
    tasks, store = looking(project)
    tasks.begin([entry("a")])
    tasks.look(entry("b"))
    tasks.step(0)
    assert found(tasks) == {}
    assert store.written == [None]


def test_thousands_of_such_entries_are_summed_up(
    project: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    tasks, _ = looking(project)
    tasks.step(0)
    for number in range(5_000):
        tasks.look(entry(f"e{number}"))
    tasks.step(PERIOD_MS - 1)
    assert len(lines(caplog)) == LINES
    tasks.step(PERIOD_MS)
    assert f"at least {REMEMBERED - LINES} more entries" in lines(caplog)[-1]
    assert len(lines(caplog)) == LINES + 1
    for number in range(5_000):
        tasks.look(entry(f"e{number}"))
    tasks.step(2 * PERIOD_MS)
    assert len(lines(caplog)) == LINES + 1, "none is logged twice"
    facts = tasks.facts()
    assert len(facts["unregistered"]) == 100
    assert facts["unregistered_count"] == REMEMBERED


def test_the_known_tasks_are_stored_now_and_then_and_by_each_new_leader(project: Celery) -> None:
    tasks, store = looking(project)
    for now_ms in (0, 1, WRITE_EVERY_MS - 1, WRITE_EVERY_MS, WRITE_EVERY_MS + 1):
        tasks.step(now_ms)
    assert len(store.written) == 2
    tasks.begin([])
    tasks.step(WRITE_EVERY_MS + 2)
    assert len(store.written) == 3


@pytest.mark.parametrize(
    "stored",
    [b"", b"\xff", b"5", b"[]", b"{}", b'{"names": 5, "prefixes": []}',
     b'{"names": [5], "prefixes": []}', b'{"names": [], "prefixes": [1]}'],
)  # fmt: skip
def test_stored_tasks_that_make_no_sense_mark_nothing(stored: bytes) -> None:
    assert KnownTasks.from_text(stored) is None
