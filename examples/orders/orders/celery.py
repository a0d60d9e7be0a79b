"""The Celery app. The schedule is plain Celery; `beat -S habeat.Scheduler` keeps it."""

import os

from celery import Celery

url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
app = Celery("orders", broker=url, backend=url, include=["orders.tasks"])

# Orders are not lost with the worker that has them: the message is acknowledged at the end.
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True

app.conf.beat_schedule = {
    "clean-up": {
        "task": "orders.tasks.clean_up",
        "schedule": 3600.0,
        # An hour without a beat needs one clean-up afterwards, and none is needed twice.
        "misfire": "latest",
        "options": {"expires": 1800},
    },
}
