"""The Celery app. It declares no schedule: the tenants' entries come from the web application."""

import os

from celery import Celery

url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
app = Celery("reports", broker=url, include=["reports.tasks"])
