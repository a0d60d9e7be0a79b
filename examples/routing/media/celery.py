"""Queues, routes and priorities; the schedule says only what is urgent."""

import os

from celery import Celery
from kombu import Exchange, Queue

broker = os.environ.get("BROKER_URL", "redis://localhost:6379/0")
app = Celery("media", broker=broker, include=["media.tasks"])
app.conf.habeat_redis_url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")

# One queue for each kind of work, so that slow work never delays quick work.
app.conf.task_queues = [
    Queue("fast", Exchange("fast"), routing_key="fast"),
    Queue("heavy", Exchange("heavy"), routing_key="heavy", queue_arguments={"x-max-priority": 9}),
    Queue("mail", Exchange("mail"), routing_key="mail"),
]
app.conf.task_default_queue = "fast"
app.conf.task_routes = {
    "media.tasks.transcode": {"queue": "heavy"},
    "media.tasks.newsletter": {"queue": "mail"},
}

# A worker that takes messages in advance has chosen before a more urgent one arrives.
app.conf.worker_prefetch_multiplier = 1
app.conf.task_acks_late = True

if broker.startswith("redis"):
    # Redis has a list for each step, and 0 is the most urgent.
    app.conf.broker_transport_options = {"priority_steps": list(range(10))}
    URGENT, USUAL = 0, 6
else:
    # RabbitMQ sorts within the queue, and the highest number is the most urgent.
    URGENT, USUAL = 9, 3

app.conf.beat_schedule = {
    "archive": {
        "task": "media.tasks.transcode",
        "schedule": 3600.0,
        "args": ("archive",),
        "options": {"priority": USUAL},
    },
    "live": {
        "task": "media.tasks.transcode",
        "schedule": 600.0,
        "args": ("live",),
        "options": {"priority": URGENT, "expires": 600},
    },
    "thumbnails": {"task": "media.tasks.thumbnails", "schedule": 300.0},
    "newsletter": {"task": "media.tasks.newsletter", "schedule": 86_400.0},
}
