"""Events of `task_send_sent_event`, as a monitor such as Flower receives them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from celery import Celery

from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import TASK, entries
from tests.system.acceptance.arrivals import Broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]


@contextmanager
def received(conf: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The task-sent events that arrive in the meantime."""
    found: list[dict[str, Any]] = []
    app = Celery("monitor", set_as_current=False)
    app.conf.update(conf)
    ready, over = threading.Event(), threading.Event()

    def receive() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"task-sent": found.append})
            with receiver.consumer_context() as (own, _, _):
                ready.set()
                while not over.is_set():
                    with suppress(TimeoutError):
                        own.drain_events(timeout=0.2)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield found
    over.set()
    thread.join(20)


def test_a_monitor_receives_one_event_for_each_message(
    make_fleet: MakeFleet, valkey: Server, broker: Broker
) -> None:
    conf = {**broker.conf, "task_send_sent_event": True}
    fleet = make_fleet(valkey, conf, entries(3))
    with received(conf) as events:
        fleet.start(1)
        until(lambda: len(events) >= 9, 40, fleet.logs)
        fleet.stop()
        sent = broker.take()
        until(lambda: len(events) >= len(sent), 20, fleet.logs)
    assert sorted(event["uuid"] for event in events) == sorted(each.task_id for each in sent)
    assert {event["name"] for event in events} == {TASK}
    assert {event["queue"] for event in events} == {"celery"}
