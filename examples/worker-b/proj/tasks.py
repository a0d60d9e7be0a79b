"""A task that says for which slot it runs."""

from celery.utils.log import get_task_logger

from proj.celery import app

log = get_task_logger(__name__)


@app.task(bind=True)
def tick(self):
    log.info("tick %s", self.request.habeat_slot)
