"""With `beat_scheduler` set, `worker -B` is all it takes."""

import os

from celery import Celery

url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
app = Celery("proj", broker=url, include=["proj.tasks"])

app.conf.beat_scheduler = "habeat.Scheduler"
app.conf.beat_schedule = {
    "tick": {"task": "proj.tasks.tick", "schedule": 1.0, "options": {"expires": 60}},
}
