"""The schedulers that are compared, and the apps that they are started with.

Each runs as `celery beat` in a process of its own, from the same app module but for its own
settings, logging warnings only (a line per message would be part of the cost). RedBeat has its
loop at 1 s and its lock at 5 s; with its defaults (300 s and 1,500 s) it would not see a change,
nor take over, for minutes. Celery's own scheduler and django-celery-beat have their defaults.
django-celery-beat keeps its entries in an SQLite file; they are written to its tables before it
starts, because through `beat_schedule` it takes some milliseconds an entry.

Where entries have to be due for the first time at one instant T there are two ways to say it:

crontab: ``crontab(minute=M, hour=H)`` for a whole minute T. The same declaration for all four,
and what a real schedule at :00 is made of. It costs up to a minute of waiting.

interval: a period of a day whose slot is T. Celery, RedBeat and django-celery-beat count from
`last_run_at`, which is given as T minus a day; habeat counts on a grid, which is given its offset.
Any second will do for T, so it is what `--quick` takes; and it is cheaper to calculate for all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.servers.redis_server import Server

DAY_S = 86_400
MODULE = "bench"

_APP = """\
{before}
from datetime import datetime, timezone
from celery import Celery
from celery.schedules import crontab
import habeat

app = Celery("bench")
app.conf.update({conf!r})
app.conf.beat_schedule = {schedule}

@app.task(name="bench.work")
def work(*args, **kwargs):
    return None

{more}
"""

_SIGNALS = """\
from celery.signals import before_task_publish

@before_task_publish.connect
def receiver(**kwargs):
    pass
"""

_DJANGO_SETTINGS = """\
SECRET_KEY = "bench"
INSTALLED_APPS = ["django_celery_beat"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "beat.sqlite3"}}
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
"""

_DJANGO_BEFORE = """\
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "bench_settings"
import django
django.setup()
"""

_DJANGO_FILL = """\
import json
from datetime import timedelta
import bench
from django.core.management import call_command
call_command("migrate", verbosity=0)
from celery import schedules
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
entries, kept = {schedule}, {{}}
rows = []
for name, entry in entries.items():
    given = schedules.maybe_schedule(entry["schedule"])
    field, model = ("crontab", CrontabSchedule) if isinstance(given, schedules.crontab) else (
        "interval", IntervalSchedule)
    if repr(given) not in kept:
        kept[repr(given)] = model.from_schedule(given)
        kept[repr(given)].save()
    rows.append(PeriodicTask(
        name=name, task=entry["task"], args=json.dumps(entry.get("args", [])),
        kwargs=json.dumps(entry.get("kwargs", {{}})),
        last_run_at=entry.get("last_run_at", timezone.now()), **{{field: kept[repr(given)]}}))
PeriodicTask.objects.bulk_create(rows, batch_size=500)
PeriodicTasks.update_changed()
"""


@dataclass(frozen=True)
class Scheduler:
    """One contender. `conf` is what it is set to beside the common settings."""

    name: str
    path: str
    conf: Mapping[str, Any] = field(default_factory=dict)
    more: str = ""

    @property
    def is_habeat(self) -> bool:
        return self.path.startswith("habeat")

    @property
    def is_django(self) -> bool:
        return self.path.startswith("django")


HABEAT = Scheduler("habeat", "habeat.Scheduler")
SIGNALS = Scheduler("habeat (publish signals)", "habeat.Scheduler", more=_SIGNALS)
NO_TEMPLATE = Scheduler("habeat (no template)", "habeat.Scheduler", {"habeat_template": False})
OUTBOX = Scheduler("habeat (outbox)", "habeat.Scheduler", {"habeat_dispatch": "outbox"})
WINDOW_1 = Scheduler("habeat (window 1)", "habeat.Scheduler", {"habeat_outbox_window": 1})
REDBEAT = Scheduler(
    "redbeat",
    "redbeat.RedBeatScheduler",
    {"redbeat_lock_timeout": 5, "beat_max_loop_interval": 1},
)
CELERY = Scheduler("celery", "celery.beat.PersistentScheduler")
DJANGO = Scheduler("django-celery-beat", "django_celery_beat.schedulers.DatabaseScheduler")


def available(wanted: tuple[Scheduler, ...]) -> list[Scheduler]:
    """Those that are installed."""
    return [each for each in wanted if find_spec(each.path.partition(".")[0]) is not None]


def due_at(scheduler: Scheduler, count: int, at_s: int, way: str) -> str:
    """The source of a beat_schedule of `count` entries, all due for the first time at `at_s`."""
    when = time.gmtime(at_s)
    if way == "crontab":
        if at_s % 60:
            raise ValueError(f"{at_s} is not a whole minute")
        schedule, also = f"crontab(minute={when.tm_min}, hour={when.tm_hour})", ""
    elif scheduler.is_habeat:
        schedule, also = f"habeat.every({DAY_S}, offset={at_s % DAY_S})", ""
    else:
        moment = f"datetime.fromtimestamp({at_s - DAY_S}, timezone.utc)"
        schedule, also = f"{float(DAY_S)}", f', "last_run_at": {moment}'
    return entries(count, schedule, also)


def entries(count: int, schedule: str, also: str = "") -> str:
    """The source of `count` entries with some arguments; `schedule` may use their number, i."""
    return (
        '{f"entry-{i:06d}": {"task": "bench.work", "args": (i,), "kwargs": {"tenant": "abc"}, '
        f'"schedule": {schedule}{also}}} for i in range({count})}}'
    )


def far(scheduler: Scheduler) -> str:
    """The source of a schedule that is not due for two weeks, for `entries`: thirty days.

    habeat's grid would have some of many entries due at any moment, so it is given its offset.
    """
    period_s = 30 * DAY_S
    if not scheduler.is_habeat:
        return f"{float(period_s)} + i % 7"
    offset_s = (int(time.time()) + period_s // 2) % period_s
    return f"habeat.every({period_s} + i % 7, offset={offset_s})"


def settings(server: Server, broker_url: str | None = None) -> dict[str, Any]:
    """What all apps have in common: schedule in database 0, messages in database 1."""
    return {
        "broker_url": broker_url or server.url(1),
        "habeat_redis_url": server.url(0),
        "redbeat_redis_url": server.url(0),
        "result_expires": None,
        "broker_connection_retry_on_startup": True,
        "task_ignore_result": True,
    }


def write_app(
    folder: Path,
    scheduler: Scheduler,
    conf: Mapping[str, Any],
    schedule: str = "{}",
    also: str = "{}",
) -> None:
    """Write the app's module; `also` is the source of further entries.

    The entries of django-celery-beat do not stand in it: they are for `fill`, beside it.
    """
    settled = {**conf, **scheduler.conf}
    if not scheduler.is_habeat:
        settled = {k: v for k, v in settled.items() if not k.startswith("habeat_")}
    both = f"{{**{schedule}, **{also}}}"
    before, declared = "", both
    if scheduler.is_django:
        (folder / "bench_settings.py").write_text(_DJANGO_SETTINGS)
        imports = "from datetime import datetime, timezone as tz\nfrom celery.schedules import *\n"
        source = _DJANGO_FILL.format(schedule=both.replace("timezone.utc", "tz.utc"))
        (folder / "fill.py").write_text(imports + source)
        before, declared = _DJANGO_BEFORE, "{}"
    text = _APP.format(before=before, conf=settled, schedule=declared, more=scheduler.more)
    (folder / f"{MODULE}.py").write_text(text)
