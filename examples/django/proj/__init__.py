"""The project. The Celery app is loaded with it, so that `shared_task` and the admin find it."""

from proj.celery import app as celery_app

__all__ = ["celery_app"]
