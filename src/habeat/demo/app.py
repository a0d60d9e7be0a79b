"""The demo's project: twenty entries and one task, which counts every run of every slot.

The demo's worker and beats run this app. The URL of its Redis and the prefix of its keys come from
the environment, so the demo can run on any Redis without touching other keys there.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from celery import Celery

from habeat.demo.entries import SCHEDULES
from habeat.demo.location import Location

location = Location.from_environment(os.environ)

app = Celery("habeat-demo", broker=location.broker_url)
app.conf.update(
    task_default_queue=location.queue,
    broker_transport_options={"global_keyprefix": location.broker_prefix},
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    result_expires=0,  # without results, Celery adds no entry of its own to delete them
    worker_send_task_events=False,
    enable_utc=True,
    timezone="UTC",
    habeat_key_prefix=location.prefix,
    habeat_lease_ttl=location.lease_ttl_s,
)

app.conf.beat_schedule = {
    name: {"task": "habeat-demo.run", "schedule": schedule} for name, schedule in SCHEDULES.items()
}

_counts: redis.Redis | None = None


@app.task(name="habeat-demo.run", bind=True)
def run(task: Any) -> None:
    """Count this run of its entry's slot; both are in the message's headers."""
    global _counts
    if _counts is None:
        _counts = redis.Redis.from_url(location.url)
    headers = task.request.headers
    _counts.hincrby(location.tally, f"{headers['habeat_slot']} {headers['habeat_entry']}", 1)
