"""The app and its schedule."""

import os

from celery import Celery
from celery.schedules import crontab

url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
app = Celery("digest", broker=url, include=["digest.tasks"])

app.conf.timezone = "Europe/London"

# A message is acknowledged when its task is done, so a worker that dies loses none.
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True
app.conf.worker_prefetch_multiplier = 1

app.conf.beat_schedule = {
    "morning-digest": {
        "task": "digest.tasks.start",
        "schedule": crontab(hour=8, minute=0),
        # After an outage over several mornings, only the last digest is of interest.
        "misfire": "latest",
        "misfire_window": 6 * 3600,
    },
}
