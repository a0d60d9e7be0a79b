"""The settings that form a message do to habeat's what they do to that of Celery's beat."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS
from celery.beat import ScheduleEntry, Scheduler
from kombu import Queue
from kombu.serialization import registry

from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import Bench

TASK, ARGS = "proj.add", (1, 2)
#: Headers that differ from message to message, or that old releases of Celery do not have.
OWN = ("id", "root_id", "origin", "periodic_task_name", "celery_beat_task")
#: The first of each has the effect, perhaps only beside the others.
SETTINGS: list[dict[str, Any]] = [
    {"task_annotations": {TASK: {"priority": 3, "queue": "annotated"}}},
    {"task_compression": "gzip"},
    {"task_default_delivery_mode": "transient"},
    {"task_default_exchange": "one", "task_default_exchange_type": "topic"},
    {"task_default_exchange_type": "topic", "task_default_exchange": "one"},
    {"task_default_priority": 7},
    {"task_default_queue": "other"},
    {"task_default_queue_type": "quorum"},
    {"task_default_routing_key": "key", "task_default_exchange_type": "topic"},
    {"task_ignore_result": True},
    {"task_protocol": 1},
    {"task_queue_max_priority": 9},
    {
        "task_queues": [Queue("mine", queue_arguments={"x-expires": 9})],
        "task_default_queue": "mine",
    },
    {"task_routes": {TASK: {"queue": "routed", "priority": 2}}},
    {"task_create_missing_queue_type": "quorum", "task_routes": {TASK: "made"}},
    {"task_create_missing_queue_exchange_type": "topic", "task_routes": {TASK: "made"}},
    {"task_serializer": "pickle"},
]


def by_celery(app: Celery) -> dict[str, Any]:
    """The message of Celery's own beat."""
    found: list[dict[str, Any]] = []

    class Recorder(app.amqp.Producer):  # type: ignore[misc, name-defined]
        def publish(self, body: Any, **arguments: Any) -> None:
            found.append({"body": body, **arguments})

    with app.connection_for_write() as connection:
        producer = Recorder(connection, auto_declare=False)
        entry = ScheduleEntry("a", TASK, schedule=60, args=ARGS, app=app)
        Scheduler(app, lazy=True).apply_async(entry, producer=producer, advance=False)
    (sent,) = found
    content_type = registry.name_to_type[sent.pop("serializer")]
    return compared(sent, content_type)


def by_habeat(app: Celery) -> dict[str, Any]:
    bench = Bench(app, {"a": {"task": TASK, "schedule": 60, "args": ARGS}})
    (message,) = bench.render("a")
    return compared(message.arguments, message.content_type)


def compared(sent: Any, content_type: str) -> dict[str, Any]:
    ways = ("exchange", "routing_key", "delivery_mode", "priority", "compression")
    headers = {
        name: value
        for name, value in sent["headers"].items()
        if name not in OWN and not name.startswith("habeat_")
    }
    declared = [
        (queue.name, queue.queue_arguments, queue.exchange.name, queue.exchange.type)
        for queue in sent.get("declare") or ()
    ]
    return {
        **{way: sent.get(way) or None for way in ways},
        "headers": headers,
        "declared": declared,
        "content type": content_type,
    }


@pytest.mark.parametrize("conf", SETTINGS, ids=lambda conf: next(iter(conf)))
def test_a_setting_does_what_it_does_in_celerys_beat(conf: dict[str, Any]) -> None:
    first, *others = conf
    if first not in DEFAULTS:
        pytest.skip(f"this Celery has no {first}")
    message = by_habeat(make_app(**conf))
    assert message == by_celery(make_app(**conf))
    assert message != by_habeat(make_app(**{name: conf[name] for name in others}))


def test_a_queue_that_must_not_be_made_fails_its_entry_in_both() -> None:
    app = make_app(task_routes={TASK: "unknown"}, task_create_missing_queues=False)
    for send in (by_celery, by_habeat):
        with pytest.raises(Exception, match="unknown"):
            send(app)
