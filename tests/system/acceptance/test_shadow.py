"""A shadow beside Celery's own beat and a worker: what `diff` says when they agree or do not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat.client import Diff
from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]

PREFIX = "habeat:proj"
QUIET = ["-l", "WARNING"]
ENTRIES = 20
#: Of 2 to 4 seconds, half of them with the same task and arguments of their own.
SCHEDULE = (
    '{f"e{i:02d}": {"task": "proj.work", "schedule": 2.0 + i % 3, "args": (i, "secret"),'
    ' "options": {"queue": "slow" if i % 5 == 0 else "celery"}}'
    f" for i in range({ENTRIES})}}"
)
MORE = """
import os
app.conf.task_send_sent_event = True
app.conf.habeat_shadow = bool(os.environ.get("SHADOW"))
if os.environ.get("CHANGED"):
    app.conf.beat_schedule["e01"]["args"] = ("changed",)
"""


class Looking:
    """What the shadow has recorded since a moment, by the API."""

    def __init__(self, server: Server) -> None:
        self.client = habeat.Client(server.url(), prefix=f"{PREFIX}-shadow")
        self.since = self.client.server_time()

    def diff(self, tolerance_s: float = 1) -> Diff:
        return self.client.diff(since=self.since, tolerance=timedelta(seconds=tolerance_s))

    def entries(self, verdict: str) -> set[str]:
        slots = self.diff(0.2).slots
        return {name for each in slots if each.verdict == verdict for name in each.entries}


def watching(fleet: Fleet, env: dict[str, str]) -> CeleryProcess:
    """A shadow that has begun to watch."""
    key = f"{{{PREFIX}-shadow}}:watched"
    before: Any = fleet.client.hlen(key)
    shadow = fleet.start_one(env={"SHADOW": "1", **env})
    until(lambda: fleet.client.hlen(key) != before, 30, fleet.logs)
    return shadow


def by_command(fleet: Fleet, since: datetime) -> tuple[int, str]:
    """The exit code of the command, and what it prints."""
    arguments = ["habeat", "diff", "--since", since.isoformat(), "--tolerance", "200ms"]
    command = fleet.processes.celery("proj", arguments, {"SHADOW": "1"}, fleet.folder)
    return command.wait(20), command.log()


def test_a_shadow_agrees_with_celerys_beat_until_one_of_them_is_changed(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    conf = {**redis_broker(valkey).conf, "habeat_key_prefix": PREFIX}
    fleet = make_fleet(valkey, conf, SCHEDULE, more=MORE)
    persistent = "celery.beat:PersistentScheduler"
    old = fleet.processes.beat("proj", QUIET, None, fleet.folder, scheduler=persistent)
    fleet.processes.worker("proj", ["-Q", "celery,slow", *QUIET], None, fleet.folder)
    shadow = watching(fleet, {})
    looking = Looking(valkey)
    until(lambda: looking.diff().counts["same"] >= 60, 40, fleet.logs, every_s=0.5)
    found = looking.diff()
    assert found.agrees, found.differences
    assert [str(old.pid) in sender for sender in found.beats] == [True]
    assert all(each.entries for each in found.slots)

    shadow.term()
    shadow.wait()
    watching(fleet, {"CHANGED": "1"})
    looking = Looking(valkey)
    until(lambda: "e01" in looking.entries("missing"), 30, fleet.logs, every_s=0.5)
    old.stop_signal()
    stopped = looking.client.server_time()
    late = timedelta(seconds=3)
    until(lambda: looking.client.server_time() > stopped + late, 20, "time passes")
    old.cont()

    def differs() -> bool:
        return bool(looking.entries("shifted")) and looking.diff().counts["extra"] >= 2

    until(differs, 30, fleet.logs, every_s=0.5)
    extra = [each for each in looking.diff(0.2).slots if each.verdict == "extra"]
    assert {each.task for each in extra} == {"proj.work"}
    assert any(not each.entries for each in extra), "of the arguments that the shadow lacks"
    code, said = by_command(fleet, looking.since)
    assert code == 1
    assert "secret" not in said
