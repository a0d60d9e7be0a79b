"""examples/digest: one mail for each user and day, whatever dies in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.servers.processes import Processes, until
from tests.support.servers.redis_server import Server
from tests.system.examples.project import Project, project_in

pytestmark = pytest.mark.slow

USERS = 10


@pytest.fixture
def project(tmp_path: Path, processes: Processes, valkey: Server) -> Iterator[Project]:
    env = {"DIGEST_USERS": str(USERS), "DIGEST_WRITING_S": "0.5"}
    yield from project_in("digest", "digest", tmp_path, processes, valkey, **env)


def test_each_user_gets_one_mail_although_a_worker_dies_in_the_middle(project: Project) -> None:
    def count(table: str) -> int:
        rows = project.rows("digest.db", f"select count(*) from {table}")
        return int(rows[0][0]) if rows else 0

    worker = project.worker("--concurrency", "2")
    worker.wait_for_log("ready.")
    project.beat("morning-digest")
    assert "08:00" in project.client.get("morning-digest").schedule.describe()
    project.client.trigger("morning-digest")
    # Some mails are sent, and both processes are in the middle of another one.
    until(lambda: count("mails") >= 2 and count("attempts") == count("mails") + 2, 20, worker.log)
    victim = max(child.pid for child in psutil.Process(worker.pid).children())
    os.kill(victim, signal.SIGKILL)
    until(lambda: count("mails") == USERS, 20, worker.log)
    worker.wait_for_log("WorkerLostError")
    assert count("attempts") == USERS + 1  # what the dead process had begun, another one did

    project.client.trigger("morning-digest")  # the same day once more
    until(lambda: count("attempts") == 2 * USERS + 1, 20, worker.log)
    keys = [key for (key,) in project.rows("digest.db", "select key from mails")]
    assert len(keys) == len(set(keys)) == USERS
