"""The guides from other beats, followed as written: each command, and what it prints."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery.beat import PersistentScheduler
from celery.schedules import crontab, schedule

from habeat.client import Client
from tests import ROOT
from tests.integration.test_cli import Shell
from tests.support.redbeat import redbeat
from tests.support.servers.redis_server import Server

GUIDES = ROOT / "docs" / "guides"
_BLOCK = re.compile(r"<!-- tried: (.+?) -->\n```console\n(.*?)```", re.DOTALL)
#: A time with its distance from now, whatever they are.
_WHEN = re.compile(r"(\d\d:\d\d:\d\d|\w{3} \d\d:\d\d) \(in [\dhms ]+\)")

SCHEDULE = {
    "nightly-report": {"task": "proj.report", "schedule": crontab(minute=0, hour=3)},
    "refresh-cache": {"task": "proj.refresh", "schedule": timedelta(seconds=300)},
}


def steps(guide: str, title: str) -> Iterator[tuple[list[str], list[str]]]:
    """The commands of a block, each as words, and the lines that it prints."""
    blocks = dict(_BLOCK.findall((GUIDES / guide).read_text()))
    for part in blocks[title].split("$ ")[1:]:
        command, *printed = part.splitlines()
        words = shlex.split(command)
        assert words[:4] == ["celery", "-A", "proj", "habeat"]
        yield words[4:], printed


def plain(line: str, url: str) -> str:
    """A line without what differs from run to run: the place of Redis, times, and blanks."""
    line = _WHEN.sub("TIME", line.replace(url, "redis://localhost:6379/0"))
    return " ".join(line.split())


def follow(shell: Shell, guide: str, title: str) -> None:
    for words, printed in steps(guide, title):
        done = shell(*words)
        assert done.exit_code == 0, done.output
        if printed:
            found = [plain(line, shell.url) for line in done.stdout.splitlines()]
            assert found == [plain(line, shell.url) for line in printed]


@pytest.fixture
def shell(valkey: Server) -> Shell:
    made = Shell(valkey.url())
    made.app.conf.beat_schedule = dict(SCHEDULE)
    return made


def test_from_redbeat(shell: Shell, valkey: Server) -> None:
    app, now = shell.app, datetime.now(UTC)
    app.conf.redbeat_redis_url = valkey.url()
    app.conf.beat_schedule = {"nightly-report": SCHEDULE["nightly-report"]}
    saved = {
        "nightly-report": crontab(minute=0, hour=3),
        "refresh-cache": schedule(300),
        "tenant-7:digest": crontab(minute=0, hour=8),
    }
    for name, given in saved.items():
        entry = redbeat().RedBeatSchedulerEntry(name, "proj.work", given, app=app)
        entry.enabled = name != "tenant-7:digest"
        entry.save()
        entry.reschedule(now)
    admin = valkey.client()
    admin.sadd("redbeat::statics", "nightly-report")
    admin.set("redbeat::lock", "x", px=1_400_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "habeat.cli.migrating.time.sleep", lambda _: admin.pexpire("redbeat::lock", 1_500_000)
        )
        follow(shell, "from-redbeat.md", "dry run")
        assert "stop it first" in shell.fails(1, "migrate", "--from", "redbeat", "--apply")
    admin.delete("redbeat::lock")
    follow(shell, "from-redbeat.md", "apply")
    with Client(app) as client:
        assert client.history("refresh-cache")[0].reason.startswith("migrated from RedBeat")
        assert client.get("nightly-report").owner == "config"


def test_from_celerys_beat(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shell.app.conf.result_expires = None
    beat = PersistentScheduler(shell.app, schedule_filename="celerybeat-schedule")
    beat.close()
    follow(shell, "from-celery-beat.md", "apply")
    with Client(shell.app) as client:
        assert [entry.name for entry in client.list(owner="config")] == sorted(SCHEDULE)


@pytest.mark.parametrize("guide", ["from-redbeat.md", "from-celery-beat.md"])
def test_the_commands_of_the_last_step_exist(shell: Shell, guide: str) -> None:
    for words, _ in steps(guide, "look"):
        shell.ok(words[0], "--help")


def test_the_table_of_equivalents(shell: Shell) -> None:
    """What the guide says to write instead of RedBeat's calls."""
    with Client(shell.app) as client:
        client.add("name", "proj.work", schedule(60), (1,), {"a": 2}, replace=True)
        client.add("name", "proj.work", crontab(), (1,), {"a": 2}, replace=True)
        client.update("name", enabled=False)
        assert client.get("name").state.next_due is None
        client.pause("name", reason="invoice overdue")
        client.remove("name")
