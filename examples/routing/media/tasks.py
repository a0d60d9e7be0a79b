"""What the queues carry."""

from celery.utils.log import get_task_logger

from media.celery import app

log = get_task_logger(__name__)


@app.task
def transcode(what):
    log.info("transcoded %s", what)


@app.task
def thumbnails():
    log.info("made thumbnails")


@app.task
def newsletter():
    log.info("sent the newsletter")
