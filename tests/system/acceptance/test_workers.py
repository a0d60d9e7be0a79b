"""Beats that answer `inspect ping`, and beats embedded in workers (``worker -B``)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import celery
import psutil
import pytest

from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import OnRedis, redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

HAS_REMOTE_CONTROL = tuple(map(int, celery.__version__.split(".")[:2])) >= (5, 7)
#: A queue that no worker consumes, so that the test finds every message in it.
UNWATCHED = '"options": {"queue": "unwatched"}'
ENTRIES = 10


@pytest.mark.skipif(not HAS_REMOTE_CONTROL, reason="beat answers ping since Celery 5.7")
def test_leader_and_standbys_answer_ping(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(2))
    names = {f"beat{number}@here" for number in range(3)}
    for name in sorted(names):
        fleet.start_one("--enable-remote-control", f"--hostname={name}")
    fleet.settle(3)
    answered: set[str] = set()

    def all_have() -> bool:
        answered.update(_pinged(fleet.folder))
        return answered >= names

    until(all_have, 60, lambda: f"all answer; so far {answered}; they said\n{fleet.logs()}")
    assert fleet.leader() is not None


def _pinged(folder: Path) -> set[str]:
    """The nodes that answered one `celery inspect ping`."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "proj", "inspect", "ping", "--json", "-t", "3"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return {name for line in lines for name in json.loads(line)}


@pytest.fixture
def workers() -> Iterator[list[CeleryProcess]]:
    """Workers have children of their own, which are killed with the test."""
    started: list[CeleryProcess] = []
    yield started
    for worker in started:
        try:
            os.killpg(worker.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_three_workers_with_a_beat_each(
    make_fleet: MakeFleet, valkey: Server, workers: list[CeleryProcess]
) -> None:
    """The leading one is SIGKILLed: its beat is orphaned, goes, and another takes over."""
    fleet, broker = _embedding(make_fleet, valkey)
    for number in range(3):
        workers.append(_worker(fleet, number))
    until(lambda: len(fleet.replicas()) == 3 and _settled(fleet) >= 30, 60, fleet.logs)
    beat = _leading_pid(fleet)
    doomed = next(w for w in workers if w.pid == psutil.Process(beat).ppid())
    doomed.kill()
    until(lambda: not _runs(beat), 30, lambda: f"the orphan ends; it said\n{doomed.log()}")
    until(lambda: _leading_pid(fleet) not in (0, beat), 30, fleet.logs)
    before = _settled(fleet)
    until(lambda: _settled(fleet) >= before + 3 * ENTRIES, 30, fleet.logs)
    rest = [worker for worker in workers if worker is not doomed]
    for worker in rest:
        worker.term()
    for worker in rest:
        worker.wait(30)
    assert not fleet.holder(), "the last one gave the lease back"
    expected = slots(fleet)
    assert_every_slot_once(broker.take(), expected)
    assert_ledger_accounts(ledger(fleet), expected)
    assert_counters_add_up(fleet)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools(
    make_fleet: MakeFleet, valkey: Server, workers: list[CeleryProcess], pool: str
) -> None:
    fleet, broker = _embedding(make_fleet, valkey)
    worker = _worker(fleet, 0, "-P", pool)
    workers.append(worker)
    until(lambda: _settled(fleet) >= 3 * ENTRIES, 40, fleet.logs)
    worker.term()
    worker.wait(30)
    assert not fleet.holder(), fleet.logs()
    assert_every_slot_once(broker.take(), slots(fleet))


def _embedding(make_fleet: MakeFleet, server: Server) -> tuple[Fleet, OnRedis]:
    broker = redis_broker(server)
    broker.queue = "unwatched"
    return make_fleet(server, dict(broker.conf), entries(ENTRIES, more=UNWATCHED)), broker


def _worker(fleet: Fleet, number: int, *arguments: str) -> CeleryProcess:
    embedding = ["-B", "--scheduler", "habeat.Scheduler", "-n", f"w{number}@here"]
    return fleet.processes.worker(
        "proj", [*embedding, "-l", "WARNING", *arguments], cwd=fleet.folder
    )


def _leading_pid(fleet: Fleet) -> int:
    fields = fleet.replicas().get(fleet.holder().partition(":")[2])
    return int(fields["pid"]) if fields else 0


def _settled(fleet: Fleet) -> int:
    return int(fleet.meta().get("settled", 0))


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
