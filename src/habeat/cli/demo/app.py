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
from celery.schedules import crontab

from habeat.cli.demo.place import Place
from habeat.core.schedule import every

place = Place.from_environment(os.environ)

app = Celery("habeat-demo", broker=place.broker_url)
app.conf.update(
    task_default_queue=place.queue,
    broker_transport_options={"global_keyprefix": place.broker_prefix},
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    result_expires=0,
    worker_send_task_events=False,
    enable_utc=True,
    timezone="UTC",
    habeat_key_prefix=place.prefix,
    habeat_lease_ttl=place.lease_ttl_s,
)

# An offset each, so that no moment is a quiet one in which a leader could die unnoticed.
_EVERY_SECOND = (
    *("presence", "heartbeat", "sessions", "stock"),
    *("prices", "queue-depth", "ticker", "positions"),
)
_EVERY_2_S = ("inbox", "outbox", "ranking", "search-index", "webhooks")
_EVERY_5_S = ("cache", "alerts", "geo", "invoices")

periods_s: dict[str, float] = {"pulse": 0.5}
periods_s |= dict.fromkeys(_EVERY_SECOND, 1)
periods_s |= dict.fromkeys(_EVERY_2_S, 2)
periods_s |= dict.fromkeys(_EVERY_5_S, 5)
periods_s |= {"report": 10}


def _spread_s(place_in_line: int, period_s: float) -> float:
    return place_in_line * 0.125 % period_s


app.conf.beat_schedule = {
    name: {"task": "habeat-demo.run", "schedule": every(period_s, offset=_spread_s(i, period_s))}
    for i, (name, period_s) in enumerate(periods_s.items())
} | {"minute": {"task": "habeat-demo.run", "schedule": crontab()}}

_counts: redis.Redis | None = None


@app.task(name="habeat-demo.run", bind=True)
def run(task: Any) -> None:
    """Count this run of its entry's slot; both stand in the headers of the message."""
    global _counts
    if _counts is None:
        _counts = redis.Redis.from_url(place.url)
    headers = task.request.headers or {}
    _counts.hincrby(place.tally, f"{headers.get('habeat_slot')} {headers.get('habeat_entry')}", 1)
