"""Stopping, and what operators start beats with."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.servers.children import until
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import burst, entries
from tests.system.acceptance.arrivals import OnRabbitMQ, redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

OWN_HEARTBEAT = """
import os
app.conf.habeat_heartbeat_file = os.environ["HEARTBEAT_OF_THIS_BEAT"]
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_stopped_in_the_middle_of_publishing(
    make_fleet: MakeFleet,
    valkey: Server,
    rabbitmq: RabbitMQ,
    proxy: Callable[..., Proxy],
    how: signal.Signals,
) -> None:
    """The packets under way are finished and settled; the successor repeats none, loses none."""
    count = 2_000
    url, way = rabbitmq.fresh_vhost(), proxy(rabbitmq)
    way.delay_s = 0.004
    broker = OnRabbitMQ(url, url.replace(f":{rabbitmq.port}/", f":{way.port}/"))
    fleet = make_fleet(valkey, dict(broker.conf), burst(count, 12))
    fleet.start(2)
    leader = fleet.wait_for_leader()
    until(lambda: broker.length() > 40, 40, "the burst is under way", every_s=0)
    leader.signal(how)
    assert leader.wait(20) == 0, leader.log()
    at_stop = broker.length()
    assert at_stop < count, "it was over already: nothing is proved"
    fleet.wait_for_leader(other_than=leader)
    assert fleet.meta()["leader_cause"] == "released"
    until(lambda: int(fleet.meta()["settled"]) >= count, 40, fleet.logs)
    fleet.stop()
    expected = slots(fleet)
    assert sum(map(len, expected.values())) == count
    assert_every_slot_once(broker.take(), expected)
    assert_ledger_accounts(ledger(fleet), expected)
    assert_counters_add_up(fleet)
    assert "Traceback" not in fleet.logs()


def test_heartbeat_file(make_fleet: MakeFleet, private_server: Callable[..., Server]) -> None:
    """Touched by leader and standby alike, also while Redis is away."""
    server = private_server()
    fleet = make_fleet(server, dict(redis_broker(server).conf), entries(1), more=OWN_HEARTBEAT)
    files = [fleet.folder / f"heartbeat{i}" for i in range(2)]
    for path in files:
        fleet.start_one(env={"HEARTBEAT_OF_THIS_BEAT": str(path)})
    fleet.settle(2)
    _assert_touched(files)
    server.kill()
    time.sleep(1)
    _assert_touched(files)
    _assert_touched(files)
    assert fleet.all_alive


def _assert_touched(files: list[Path]) -> None:
    before = [path.stat().st_mtime_ns for path in files]
    until(
        lambda: all(p.stat().st_mtime_ns > at for p, at in zip(files, before, strict=True)),
        10,
        "both files are touched again",
    )


def test_max_interval(make_fleet: MakeFleet, valkey: Server) -> None:
    broker = redis_broker(valkey)
    fleet = make_fleet(valkey, dict(broker.conf), entries(2))
    fleet.start(2, "--max-interval", "1")
    until(lambda: int(fleet.meta().get("settled", 0)) >= 6, 20, fleet.logs)
    fleet.stop()
    assert_every_slot_once(broker.take(), slots(fleet))


@pytest.fixture
def detached() -> Iterator[list[int]]:
    """Pids of processes without a parent; killed with the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if _runs(pid):
            os.kill(pid, signal.SIGKILL)


def test_detach(make_fleet: MakeFleet, valkey: Server, detached: list[int]) -> None:
    broker = redis_broker(valkey)
    fleet = make_fleet(valkey, dict(broker.conf), entries(2))
    pidfile, logfile = fleet.folder / "beat.pid", fleet.folder / "detached.log"
    starter = fleet.start_one("--detach", "-f", str(logfile), f"--pidfile={pidfile}")
    assert starter.wait(20) == 0, starter.log()
    until(lambda: pidfile.exists() and pidfile.read_text().strip(), 20, starter.log)
    pid = int(pidfile.read_text())
    detached.append(pid)
    until(
        lambda: int(fleet.meta().get("settled", 0)) >= 6,
        20,
        lambda: f"it fires; it said\n{logfile.read_text()}",
    )
    assert fleet.replicas()[fleet.holder().partition(":")[2]]["pid"] == pid
    os.kill(pid, signal.SIGTERM)
    until(lambda: not _runs(pid), 20, "it ends")
    assert not pidfile.exists()
    assert not fleet.holder(), "the lease was given back"
    assert_every_slot_once(broker.take(), slots(fleet))
    assert "Traceback" not in logfile.read_text()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_two_signals_at_once(make_fleet: MakeFleet, valkey: Server) -> None:
    """An impatient second signal is not a crash: the lease is given back."""
    fleet: Fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(50))
    fleet.start(1)
    leader = fleet.wait_for_leader()
    leader.term()
    leader.term()
    leader.wait(20)
    assert not fleet.holder(), leader.log()
