"""The project of the demo: twenty entries, one task, which counts every run of every slot.

The worker and the beats of the demo are started on this app. Where its Redis is and what its
keys begin with come from the environment, so that the demo can run on any Redis without
touching what else is there.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from celery import Celery

from habeat.demo.entries import SCHEDULES
from habeat.demo.place import Place

place = Place.from_environment(os.environ)

app = Celery("habeat-demo", broker=place.broker_url)
app.conf.update(
    task_default_queue=place.queue,
    broker_transport_options={"global_keyprefix": place.broker_prefix},
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    result_expires=0,  # no results, so no entry of Celery's own that cleans them up
    worker_send_task_events=False,
    enable_utc=True,
    timezone="UTC",
    habeat_key_prefix=place.prefix,
    habeat_lease_ttl=place.lease_ttl_s,
)

app.conf.beat_schedule = {
    name: {"task": "habeat-demo.run", "schedule": schedule} for name, schedule in SCHEDULES.items()
}

_counts: redis.Redis | None = None


@app.task(name="habeat-demo.run", bind=True)
def run(task: Any) -> None:
    """Count this run of its entry's slot; both stand in the headers of the message."""
    global _counts
    if _counts is None:
        _counts = redis.Redis.from_url(place.url)
    headers = task.request.headers
    _counts.hincrby(place.tally, f"{headers['habeat_slot']} {headers['habeat_entry']}", 1)
