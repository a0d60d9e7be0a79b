"""The app and its schedule. Nothing here is habeat's: `beat -S habeat.Scheduler` is all."""

from celery import Celery
from celery.schedules import crontab

app = Celery("proj", broker="redis://localhost:6379/0", include=["proj.tasks"])

app.conf.timezone = "Europe/London"

app.conf.beat_schedule = {
    "morning-digest": {
        "task": "proj.tasks.send_digest",
        "schedule": crontab(hour=8, minute=0),
        "options": {"queue": "mail"},
    },
    "refresh-cache": {
        "task": "proj.tasks.refresh_cache",
        "schedule": 300.0,
        "options": {"queue": "cache"},
    },
    "sunday-clean-up": {
        "task": "proj.tasks.clean_up",
        "schedule": crontab(hour=2, minute=0, day_of_week="sunday"),
        "args": (90,),
        "options": {"queue": "maintenance"},
    },
}

if __name__ == "__main__":
    app.start()
