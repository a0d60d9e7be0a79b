"""An app that takes its addresses from the environment, as containers and units give them."""

import os

from celery import Celery
from celery.schedules import crontab

app = Celery("proj", include=["proj.tasks"])

app.conf.broker_url = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
app.conf.beat_scheduler = "habeat.Scheduler"
# None means: the broker's Redis. With another broker, HABEAT_REDIS_URL is required.
app.conf.habeat_redis_url = os.environ.get("HABEAT_REDIS_URL") or None
# The file that the probes read. Every tick touches it, on the leader and on standbys.
app.conf.habeat_heartbeat_file = os.environ.get("HABEAT_HEARTBEAT_FILE") or None
# Where each beat answers probes and Prometheus; not at all by default.
app.conf.habeat_http = os.environ.get("HABEAT_HTTP") or None
app.conf.habeat_http_token = os.environ.get("HABEAT_HTTP_TOKEN") or None

app.conf.timezone = "Europe/London"
app.conf.beat_schedule = {
    "refresh-cache": {"task": "proj.tasks.refresh_cache", "schedule": 10.0},
    "morning-digest": {"task": "proj.tasks.send_digest", "schedule": crontab(hour=8, minute=0)},
}
