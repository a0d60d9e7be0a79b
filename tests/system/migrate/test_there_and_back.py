"""A schedule under load moves to habeat and back: no slot is missed or doubled at either cut.

The old beats are django-celery-beat's and RedBeat's own, the commands are those of the guides, and
a worker runs what is sent and notes when. Another beat counts a period from its last run, so there
a run is early if it comes less than half a period after the one before.

Celery's beat saves a run before it sends it, and loses the run if it is stopped just between. No
scheduler that comes after can know of it. So the old beat notes what it begins and what it has
sent: only a run that it began and never sent may be missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess, Processes
from tests.support.servers.redis_server import Server
from tests.system.acceptance.fleet import Fleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

#: A beat that starts with everything overdue needs this long to send it, and the worker to run it.
SLACK_S = 12.0
#: A worker notes a run up to this much later than the old beat did.
EARLY_S = 1.5
RUNS = "runs"

WORK = """
import json, os, time
import redis
from celery import Celery

{prologue}
app = Celery("proj")
{configure}
app.conf.beat_schedule = {{
    f"code {{n}}": {{"task": "proj.work", "schedule": 3.0, "args": [f"code {{n}}"]}}
    for n in range({declared})
}}
notes = redis.Redis.from_url({notes!r})

def noting(scheduler):
    # The scheduler, which also notes the name of what it begins and of what it has sent.
    class Noting(scheduler):
        def reserve(self, entry):
            notes.rpush("begun", entry.name)
            return super().reserve(entry)

        def apply_async(self, entry, *args, **kwargs):
            sent = super().apply_async(entry, *args, **kwargs)
            notes.rpush("sent", entry.name)
            return sent

    return Noting

def __getattr__(name):  # Celery imports the scheduler from here; a worker needs neither
    if name == "NotingDjango":
        from django_celery_beat.schedulers import DatabaseScheduler as scheduler
    elif name == "NotingRedBeat":
        from redbeat import RedBeatScheduler as scheduler
    else:
        raise AttributeError(name)
    return noting(scheduler)

@app.task(name="proj.work", bind=True)
def work(self, name):
    slot = getattr(self.request, "habeat_slot", None)
    notes.rpush("runs", json.dumps([name, time.time(), slot]))
"""


@dataclass
class Runs:
    """What the worker ran for one entry: when by another beat, and which slots by habeat."""

    other: list[float] = field(default_factory=list)
    slots: list[float] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.other) + len(self.slots)


@dataclass
class Project:
    """A project in a folder, its worker, and what the worker noted."""

    folder: Path
    processes: Processes
    notes: redis.Redis

    def celery(self, *argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "celery", "-A", "proj", *argv]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    def migrate(self, *argv: str) -> dict[str, Any]:
        done = self.celery("habeat", "migrate", *argv, "--apply", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def python(self, source: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", source],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def runs(self) -> dict[str, Runs]:
        found: dict[str, Runs] = {}
        raw: Any = self.notes.lrange(RUNS, 0, -1)
        for name, at, slot in map(json.loads, raw):
            runs = found.setdefault(name, Runs())
            if slot is None:
                runs.other.append(at)
            else:
                runs.slots.append(time_of(slot))
        for runs in found.values():
            runs.other.sort()
            runs.slots.sort()
        return found

    def never_sent(self) -> Counter[str]:
        """The entries that the old beat began and did not send, when it was stopped."""
        begun, sent = (Counter(self._names(key)) for key in ("begun", "sent"))
        assert begun.total() > 100, "the old beat notes what it does"
        return begun - sent

    def _names(self, key: str) -> list[str]:
        raw: Any = self.notes.lrange(key, 0, -1)
        return [name.decode() for name in raw]

    def first_after(self, moment: float) -> float:
        """When the first run of another beat after this moment was."""
        return min(at for runs in self.runs().values() for at in runs.other if at > moment)

    def wait_for(self, names: Sequence[str], more: int, beat: CeleryProcess) -> None:
        """Wait until each of these entries has run `more` times more."""
        before = {name: runs.total for name, runs in self.runs().items()}

        def have_run() -> bool:
            runs = self.runs()
            return all(
                name in runs and runs[name].total >= before.get(name, 0) + more for name in names
            )

        until(have_run, 40, lambda: f"{names} ran; the beat said:\n{beat.log()}", every_s=0.2)

    def stop(self, beat: CeleryProcess) -> None:
        """SIGTERM, again after some seconds: Celery's own beat loses one that comes while it sends
        a message, because it takes the SystemExit for an error of that entry."""
        for _ in range(5):
            beat.term()
            again_s = time.monotonic() + 5
            while beat.alive and time.monotonic() < again_s:
                time.sleep(0.05)
            if not beat.alive:
                break
        assert beat.wait(30) == 0, beat.log()


def time_of(slot: str) -> float:
    return datetime.fromisoformat(slot).timestamp()


def move_there_and_back(
    project: Project, server: Server, old: str, scheduler: str, watched: Sequence[str]
) -> Any:
    """Run the old beat, habeat, and the old beat again; when the last began to send."""
    fleet = Fleet(project.processes, project.folder, server.client())
    options = ["-l", "WARNING"]

    def start_old() -> CeleryProcess:
        return project.processes.beat("proj", options, cwd=project.folder, scheduler=scheduler)

    beat = start_old()
    project.wait_for(watched, 2, beat)
    project.stop(beat)
    come = project.migrate("--from", old)

    fleet.start(2)
    [first, _] = fleet.beats
    project.wait_for(watched, 2, first)
    fleet.stop()
    gone = project.migrate("--to", old)

    started = time.time()
    beat = start_old()
    project.wait_for(watched, 2, beat)
    ended = time.time()
    project.stop(beat)
    time.sleep(1)  # the worker runs what is in its queue
    return come, gone, project.first_after(started), ended


def actions(done: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in done["rows"]:
        found[row["action"]] = found.get(row["action"], 0) + 1
    return found


def lost_of_period(
    name: str, runs: Runs, period_s: float, restarted: float, ended: float
) -> Iterator[str]:
    """One entry with a period: no run is early; its name once for each run that is missing.

    A run of the old beat is noted when the worker ran it, and a run of habeat counts as its slot.
    What fell due while no beat ran is sent by the next one when it starts.
    """
    steps = {round(b - a, 3) for a, b in pairwise(runs.slots)}
    assert steps <= {period_s}, f"{name}: slots of habeat are {steps} s apart"
    times = sorted([*runs.other, *runs.slots])
    for before, at in pairwise(times):
        gap = at - before
        assert gap > period_s - EARLY_S, f"{name}: ran {gap:.3f} s after the run before"
        if at in runs.slots and before in runs.other and 1.5 < gap / period_s < 2.5:
            yield name
        elif at in runs.slots:
            assert gap < period_s * 1.5, f"{name}: a slot was missed, {gap:.3f} s"
        elif before < restarted <= at:
            late = at - max(before + period_s, restarted)
            assert late < SLACK_S, f"{name}: {late:.3f} s late, back again"
    assert max(times[-1] + period_s, restarted) + SLACK_S > ended, (
        f"{name}: its last run is missing"
    )


# -- django-celery-beat -----------------------------------------------------------------------

SETTINGS = """
SECRET_KEY = "x"
USE_TZ = True
INSTALLED_APPS = ["django_celery_beat"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}}}}
CELERY_BROKER_URL = {broker!r}
CELERY_HABEAT_REDIS_URL = {redis!r}
CELERY_RESULT_EXPIRES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_MAX_LOOP_INTERVAL = 0.5
"""
FILL = """
import json
from datetime import datetime, timedelta, timezone
import proj, django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django_celery_beat.models import *
def every(seconds):
    return IntervalSchedule.objects.create(every=seconds, period="seconds")
now = datetime.now(timezone.utc)
minutely = CrontabSchedule.objects.create(timezone="Asia/Tokyo")
far = CrontabSchedule.objects.create(minute="0", hour=str((now.hour + 6) % 24), timezone="UTC")
kinds = {
    "3 s": ({"interval": every(3)}, 90),
    "12 s": ({"interval": every(12), "last_run_at": now - timedelta(seconds=7)}, 60),
    "30 s": ({"interval": every(30), "last_run_at": now - timedelta(seconds=24)}, 60),
    "hour": ({"interval": every(3600)}, 60),
    "minute": ({"crontab": minutely}, 60),
    "far": ({"crontab": far}, 80),
    "off": ({"interval": every(5), "enabled": False}, 20),
    "one": ({"interval": every(6), "one_off": True}, 20),
}
rows = [(f"{kind} {n}", fields) for kind, (fields, count) in kinds.items() for n in range(count)]
for n in range(40):
    at = ClockedSchedule.objects.create(clocked_time=now + timedelta(seconds=6 + n))
    rows.append((f"clocked {n}", {"clocked": at, "one_off": True}))
PeriodicTask.objects.bulk_create(
    PeriodicTask(name=name, task="proj.work", args=json.dumps([name]), **fields)
    for name, fields in rows
)
PeriodicTasks.update_changed()
"""


@pytest.fixture
def django_project(tmp_path: Path, processes: Processes, valkey: Server) -> Project:
    pytest.importorskip("django_celery_beat")
    (tmp_path / "settings.py").write_text(
        SETTINGS.format(
            database=str(tmp_path / "db.sqlite3"), broker=valkey.url(1), redis=valkey.url()
        )
    )
    source = WORK.format(
        prologue='os.environ["DJANGO_SETTINGS_MODULE"] = "settings"',
        configure='app.config_from_object("django.conf:settings", namespace="CELERY")',
        notes=valkey.url(2),
        declared=10,
    )
    (tmp_path / "proj.py").write_text(source)
    return Project(tmp_path, processes, valkey.client(2))


def test_from_django_celery_beat_and_back(django_project: Project, valkey: Server) -> None:
    project = django_project
    project.python(FILL)
    began = time.time()
    worker = project.processes.worker(
        "proj", ["-l", "WARNING", "-P", "threads", "-c", "4"], cwd=project.folder
    )
    watched = ["3 s 0", "3 s 89", "code 9"]
    scheduler = "proj:NotingDjango"
    project.notes = valkey.client(2)
    come, gone, restarted, ended = move_there_and_back(
        project, valkey, "django", scheduler, watched
    )
    project.stop(worker)
    assert actions(come)["carry"] >= 400
    assert actions(come)["declare"] == 10
    assert actions(gone)["write"] >= 400
    runs = project.runs()
    lost = Counter(lost_of_periods(runs, restarted, ended))
    lost.update(f"one {n}" for n in range(20) if f"one {n}" not in runs)
    assert {kind: count_of(kind, runs) for kind in KINDS} == KINDS
    for name, each in runs.items():
        if name.startswith(("one ", "clocked ")):
            assert each.total == 1, f"{name} ran {each.total} times: {each}"
    due = [f"clocked {n}" for n in range(40) if began + 6 + n < ended - SLACK_S]
    lost.update(name for name in due if name not in runs)
    lost.update(lost_of_minutes(runs, began, ended))
    assert lost <= project.never_sent()


PERIODS_S = {"3 s": 3, "12 s": 12, "30 s": 30, "code": 3}
#: How many entries of each kind run at all.
KINDS = {"3 s": 90, "12 s": 60, "30 s": 60, "hour": 0, "far": 0, "off": 0}


def count_of(kind: str, runs: Mapping[str, Runs]) -> int:
    """How many entries of a kind have run."""
    return sum(name.startswith(f"{kind} ") for name in runs)


def lost_of_periods(runs: Mapping[str, Runs], restarted: float, ended: float) -> list[str]:
    """The entries with a period of which a run is missing."""
    found: list[str] = []
    for name, each in runs.items():
        if period_s := PERIODS_S.get(name.rpartition(" ")[0]):
            found += lost_of_period(name, each, period_s, restarted, ended)
    return found


def lost_of_minutes(runs: Mapping[str, Runs], began: float, ended: float) -> list[str]:
    """No entry of every minute ran twice in one; its name for each full minute without a run."""
    found: list[str] = []
    minutes = range(int(began // 60) + 1, int((ended - SLACK_S) // 60) + 1)
    wanted = [minute for minute in minutes if minute * 60 > began + SLACK_S]
    for n in range(60):
        each = runs.get(f"minute {n}", Runs())
        ran = [int(at // 60) for at in (*each.other, *each.slots)]
        assert len(ran) == len(set(ran)), f"minute {n}: doubled: {each}"
        found += [f"minute {n}" for minute in wanted if minute not in ran]
    return found


# -- RedBeat ----------------------------------------------------------------------------------

SAVE = """
from datetime import datetime, timedelta, timezone
from celery.schedules import crontab
import proj
from redbeat import RedBeatSchedulerEntry
now, second = datetime.now(timezone.utc), timedelta(seconds=1)
for period, count, ran in ((3, 40, 0), (12, 20, 7), (30, 20, 24)):
    for n in range(count):
        name = f"{period} s {n}"
        RedBeatSchedulerEntry(
            name, "proj.work", period, args=[name], app=proj.app, last_run_at=now - ran * second
        ).save()
for n in range(20):
    name = f"minute {n}"
    RedBeatSchedulerEntry(name, "proj.work", crontab(), args=[name], app=proj.app).save()
"""


@pytest.fixture
def redbeat_project(tmp_path: Path, processes: Processes, valkey: Server) -> Project:
    pytest.importorskip("redbeat")
    conf = {
        "broker_url": valkey.url(1),
        "habeat_redis_url": valkey.url(),
        "redbeat_redis_url": valkey.url(3),
        "redbeat_lock_timeout": 60,  # RedBeat dies if it stalls for longer
        "beat_max_loop_interval": 0.5,
        "result_expires": None,
        "broker_connection_retry_on_startup": True,
    }
    configure = f"app.conf.update({conf!r})"
    source = WORK.format(prologue="", configure=configure, notes=valkey.url(2), declared=10)
    (tmp_path / "proj.py").write_text(source)
    return Project(tmp_path, processes, valkey.client(2))


def test_from_redbeat_and_back(redbeat_project: Project, valkey: Server) -> None:
    project = redbeat_project
    project.python(SAVE)
    worker = project.processes.worker(
        "proj", ["-l", "WARNING", "-P", "threads", "-c", "4"], cwd=project.folder
    )
    watched = ["3 s 0", "3 s 39", "code 9"]
    scheduler = "proj:NotingRedBeat"
    come, gone, restarted, ended = move_there_and_back(
        project, valkey, "redbeat", scheduler, watched
    )
    project.stop(worker)
    assert actions(come) == {"carry": 100, "declare": 10}
    assert actions(gone) == {"write": 100, "last run": 10}
    runs = project.runs()
    assert Counter(lost_of_periods(runs, restarted, ended)) <= project.never_sent()
    assert [count_of(kind, runs) for kind in PERIODS_S] == [40, 20, 20, 10]
