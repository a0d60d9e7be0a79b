"""What the tenants' entries run."""

from celery.utils.log import get_task_logger

from reports.celery import app

log = get_task_logger(__name__)


@app.task
def report(tenant, name):
    log.info("report %s of tenant %s", name, tenant)
