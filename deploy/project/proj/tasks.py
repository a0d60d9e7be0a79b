"""The tasks that the schedule sends."""

from celery.utils.log import get_task_logger

from proj.celery import app

log = get_task_logger(__name__)


@app.task
def refresh_cache():
    log.info("the cache is fresh")


@app.task
def send_digest():
    log.info("the morning digest is on its way")
