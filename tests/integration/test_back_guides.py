"""The guides from django-celery-beat and back, followed as written: what each command prints."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab

import habeat
from habeat.client import Client
from tests.integration.test_cli import Shell
from tests.integration.test_migrate_guides import plain, steps
from tests.support.django_databases import empty_beat_tables
from tests.support.positions import place
from tests.support.redbeat import redbeat
from tests.support.servers.redis_server import Server

_DATABASE = re.compile(r"\((postgresql|sqlite) database [^)]*\)")
_AGE = re.compile(r"is \d+ seconds? old")
START = datetime(2030, 1, 7, 9, tzinfo=UTC)


@pytest.fixture
def shell(valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)  # another test may have a beat in the project's own folder
    made = Shell(valkey.url())
    made.app.conf.beat_schedule = {
        "nightly-report": {"task": "proj.report", "schedule": crontab(minute=0, hour=3)}
    }
    return made


def follow(shell: Shell, guide: str, title: str, status: int = 0) -> None:
    for words, printed in steps(guide, title):
        done = shell(*words)
        assert done.exit_code == status, done.output
        found = [plain(line, shell.url) for line in done.stdout.splitlines()]
        expected = [plain(line, shell.url) for line in printed]
        assert list(map(in_general, found)) == list(map(in_general, expected))


def in_general(line: str) -> str:
    """The line without ages, and without the database: the guide names a reader's."""
    return _AGE.sub("is N seconds old", _DATABASE.sub("(a database)", line))


def fill_tables(now: datetime) -> None:
    empty_beat_tables()
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

    five = IntervalSchedule.objects.create(every=5, period="minutes")
    nightly = CrontabSchedule.objects.create(minute="0", hour="3", timezone="UTC")
    rows: dict[str, dict[str, Any]] = {
        "nightly-report": {"crontab": nightly},
        "refresh-cache": {"interval": five},
        "tenant-7:digest": {"crontab": nightly, "enabled": False, "last_run_at": None},
        "launch-mail": {"interval": five, "one_off": True, "total_run_count": 1},
    }
    for name, fields in rows.items():
        given = {"task": "proj.work", "last_run_at": now, **fields}
        PeriodicTask.objects.bulk_create([PeriodicTask(name=name, **given)])


def test_from_django_celery_beat(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("habeat.migrate.sources.django.LOOK_S", 0.0)
    fill_tables(datetime.now(UTC))
    follow(shell, "from-django-celery-beat.md", "dry run")
    follow(shell, "from-django-celery-beat.md", "apply")
    with Client(shell.app) as client:
        assert {entry.name for entry in client.list(owner="api")} == {
            "refresh-cache",
            "tenant-7:digest",
        }
        history = client.history("refresh-cache")
        assert history[0].reason.startswith("migrated from django-celery-beat")
    for words, _ in steps("from-django-celery-beat.md", "look"):
        shell.ok(words[0], "--help")


def test_going_back(shell: Shell, valkey: Server) -> None:
    app, make = shell.app, redbeat().RedBeatSchedulerEntry
    app.conf.redbeat_redis_url = valkey.url()
    with Client(app) as client:
        now = client.server_time()
        old = make("old-export", "proj.work", 60, app=app, last_run_at=now - timedelta(days=9))
        old.save()
        soon = habeat.every(300, offset=int(now.timestamp() + 200) % 300)
        client.add("refresh-cache", "proj.refresh", soon, tags=["cache"])
        client.add(
            "first-monday", "proj.work", habeat.rrule("FREQ=MONTHLY;BYDAY=1MO", "UTC", START)
        )
        client.add("nightly-report", "proj.report", habeat.crontab(0, 3, tz="UTC"))
        place(client, "nightly-report", now, owned=True)
    follow(shell, "going-back.md", "dry run", status=1)
    follow(shell, "going-back.md", "apply", status=1)
