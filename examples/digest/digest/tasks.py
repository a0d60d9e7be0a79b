"""The orchestrator and its subtasks: each may run twice, and each user gets one mail a day."""

import os
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from celery import group
from celery.utils.log import get_task_logger

from digest import mail
from digest.celery import app

log = get_task_logger(__name__)

WRITING_S = float(os.environ.get("DIGEST_WRITING_S", "1"))


@app.task(bind=True)
def start(self):
    """Send one subtask for each user. The day comes from the slot, however late this runs."""
    slot = datetime.fromisoformat(self.request.habeat_slot)
    day = slot.astimezone(ZoneInfo(app.conf.timezone)).date().isoformat()
    group(write.si(user, day) for user in mail.USERS).apply_async()
    log.info("the digest of %s is for %d users", day, len(mail.USERS))


@app.task(ignore_result=True)
def write(user, day):
    """Write and send one user's digest. The key says which one it is, not which attempt."""
    key = f"{day}/{user}"
    mail.attempt(key)
    time.sleep(WRITING_S)
    mail.send(key, f"Good morning, {user}")
