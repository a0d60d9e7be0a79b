"""Nothing is put into, or declared for, a queue that is a key of habeat's own."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from habeat.beat.broker.blame import Blame, blame
from habeat.beat.declared.beat_schedule import declare
from habeat.beat.message.unrouted import OwnKey
from habeat.config import Settings
from habeat.config.from_app import limits_of
from habeat.ports import PublishRefused
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import FIRING, Bench

BASE = "{habeat:proj}:"
ADD = {"task": "proj.add", "schedule": 60, "args": (1, 2)}


def refused(app: Celery, options: dict[str, Any], own: tuple[str, ...] = (BASE,)) -> str:
    bench = Bench(app, {"a": {**ADD, "options": options}})
    bench.broker.own_names = own
    envelope = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1).envelope
    with pytest.raises(PublishRefused) as found:
        bench.publish(envelope, 1, 1_000)
    return str(found.value)


def test_a_message_for_a_key_of_ours_is_refused_alone(app: Celery) -> None:
    assert "habeat's own" in refused(app, {"queue": BASE + "due"})


def test_neither_is_its_queue_declared(app: Celery) -> None:
    queue = Queue(BASE + "due", Exchange("x"), routing_key="r")
    assert "habeat's own" in refused(app, {"declare": [queue], "queue": "celery"})


def test_nor_reached_by_a_binding_that_another_has_made(app: Celery) -> None:
    with app.connection_for_write() as connection:
        queue = Queue(BASE + "requests", Exchange("innocent"), routing_key="r")
        queue(connection.default_channel).declare()
    assert "habeat's own" in refused(app, {"exchange": "innocent", "routing_key": "r"})


def test_it_is_the_fault_of_the_entry_alone() -> None:
    assert blame(OwnKey("x")) is Blame.ENTRY


def test_an_entry_of_the_code_is_named_and_not_scheduled() -> None:
    app = make_app(
        habeat_redis_url="redis://127.0.0.1/0",
        broker_transport_options={"global_keyprefix": "{habeat:"},
    )
    settings = Settings.from_conf(app.conf, app_main="proj")
    given = {
        "plain": {**ADD, "options": {"queue": BASE + "due"}},
        "prefixed": {**ADD, "options": {"queue": "proj}:due"}},
    }
    found = declare(app, given, limits_of(settings, app.conf))
    assert set(found.entries) == {"plain"}, "behind the prefix it is another key"
    assert "habeat's own" in found.broken["prefixed"]
