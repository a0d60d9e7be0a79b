"""A beat on another host is recognised by the Celery events of the messages that it sends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from celery import Celery

from habeat.migrate.found import SourceEntry
from habeat.migrate.sources import heard as module
from habeat.migrate.sources.heard import heard
from tests.support.servers.redis_server import Server

ENTRY = SourceEntry("tick", {"task": "proj.t", "args": ["x"], "schedule": timedelta(hours=1)})


@pytest.fixture
def app(valkey: Server) -> Celery:
    made = Celery("proj", broker=valkey.url(), set_as_current=False)
    made.conf.task_send_sent_event = True
    return made


@contextmanager
def sending(app: Celery, *args: str) -> Iterator[None]:
    """A process that sends a task a few times a second, as a beat on another host may do."""
    over = threading.Event()
    other = Celery("other", broker=app.conf.broker_url, set_as_current=False)
    other.conf.task_send_sent_event = True

    def send() -> None:
        while not over.wait(0.1):
            other.send_task("proj.t", list(args))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        other.close()


def test_a_message_of_an_entry_that_is_sent_now_shows_that_a_beat_lives(app: Celery) -> None:
    with sending(app, "x"):
        assert heard(app, [ENTRY]).endswith("has sent the message of entry 'tick'")


def never() -> Callable[..., str]:
    def listen(*given: object) -> str:
        raise AssertionError("it listens")

    return listen


def test_without_events_or_entries_it_does_not_listen(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_heard", never())
    assert heard(app, []) == ""
    assert heard(app, [replace(ENTRY, enabled=False)]) == ""
    app.conf.task_send_sent_event = False
    assert heard(app, [ENTRY]) == ""


def test_other_arguments_are_another_message(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_S", 0.7)
    with sending(app, "y"):
        assert heard(app, [ENTRY]) == ""


def test_a_broker_that_is_away_is_no_sign(app: Celery) -> None:
    app.conf.broker_url = "redis://127.0.0.1:1/0"
    assert heard(app, [ENTRY]) == ""


@pytest.mark.parametrize(("period_s", "seconds"), [(0.5, 2), (9, 10), (14, 15), (15, 2), (600, 2)])
def test_it_listens_until_the_shortest_period_has_passed(period_s: float, seconds: float) -> None:
    short = replace(ENTRY, arguments={"schedule": timedelta(seconds=period_s)})
    off = replace(ENTRY, arguments={"schedule": timedelta(seconds=1)}, enabled=False)
    assert module._listening_s([ENTRY, short, off]) == seconds
