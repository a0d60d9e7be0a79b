"""examples/worker-b: a beat in every worker; one leads, and another one takes over."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.servers.processes import CeleryProcess, Processes, until
from tests.support.servers.redis_server import Server
from tests.system.examples.project import Project, project_in

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, processes: Processes, valkey: Server) -> Iterator[Project]:
    found = project_in("worker-b", "proj", tmp_path, processes, valkey)
    for project in found:
        try:
            yield project
        finally:
            for worker in processes.started:
                kill_all(worker)


def kill_all(worker: CeleryProcess) -> None:
    """SIGKILL to a worker and everything that it started."""
    try:
        family = [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def ticks(*workers: CeleryProcess) -> Counter[str]:
    """How often each slot was run."""
    return Counter(slot for worker in workers for slot in re.findall(r"tick (\S+Z)", worker.log()))


def test_one_of_the_beats_leads_and_another_takes_over(project: Project) -> None:
    one, two = (project.worker("-B", "-n", f"{name}@%h") for name in ("one", "two"))
    until(lambda: len(project.client.status().standbys) == 1, 20, lambda: one.log() + two.log())
    until(lambda: len(ticks(one, two)) >= 2, 20, lambda: one.log() + two.log())
    pid = beat_pid(project)
    led, other = (one, two) if is_of(one, pid) else (two, one)
    assert is_of(led, pid)
    kill_all(led)
    before = set(ticks(one, two))
    until(lambda: len(set(ticks(other)) - before) >= 3, 20, other.log)
    assert set(ticks(one, two).values()) == {1}


def beat_pid(project: Project) -> int:
    """The process of the leading beat."""
    leader = project.client.status().leader
    assert leader is not None
    assert leader.replica is not None
    assert leader.replica.pid is not None
    return leader.replica.pid


def is_of(worker: CeleryProcess, pid: int) -> bool:
    """Whether a process was started by this worker."""
    return any(pid == child.pid for child in psutil.Process(worker.pid).children(recursive=True))
