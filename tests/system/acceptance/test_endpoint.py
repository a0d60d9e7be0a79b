"""The endpoint of real beats: a thousand probes, no Redis, a worker, a port that is shared."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from typing import Any

import psutil
import pytest

from tests.support.servers.children import free_port, until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import entries
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PATHS = ("/healthz", "/readyz", "/metrics")
#: How many thousands of probes there are at most, until one leaves everything as it was.
ROUNDS = 3
#: What the process may allocate for other reasons while it is probed.
GROWS_BY_LESS_THAN = 2 * 1024 * 1024


def status(port: int, path: str) -> int:
    """The status of an answer; 0 without one."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except OSError:
        return 0


def serving(make_fleet: MakeFleet, server: Server) -> tuple[Fleet, int]:
    """An app whose beats all serve at one port; none has started."""
    port = free_port()
    conf = {"broker_url": server.url(), "habeat_http": f"127.0.0.1:{port}", "habeat_lease_ttl": 2}
    return make_fleet(server, conf, entries(3)), port


def measured(process: psutil.Process, redis: Any) -> dict[str, int]:
    """What may grow, apart from memory."""
    return {
        "threads": process.num_threads(),
        "files": process.num_fds(),
        "connections to Redis": len(redis.client_list()),
    }


def test_a_thousand_probes_leave_no_growth(make_fleet: MakeFleet, valkey: Server) -> None:
    pytest.importorskip("prometheus_client")
    fleet, port = serving(make_fleet, valkey)
    fleet.start(1)
    process = psutil.Process(fleet.beats[0].pid)
    for path in PATHS * 60:
        assert status(port, path) == 200
    before, memory = measured(process, fleet.client), process.memory_info().rss
    for _ in range(ROUNDS):
        for number in range(1_000):
            assert status(port, PATHS[number % 3]) == 200
        now = measured(process, fleet.client)
        grown = {what: (before[what], now[what]) for what in now if now[what] > before[what]}
        if not grown:
            break
        before = now  # a thread of the beat connected only now: what leaks grows in each round
    assert not grown
    assert process.memory_info().rss - memory < GROWS_BY_LESS_THAN
    fleet.stop()


def test_without_redis_a_beat_is_alive_and_not_ready(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet, port = serving(make_fleet, valkey)
    fleet.start(1)
    assert [status(port, path) for path in PATHS[:2]] == [200, 200]
    valkey.kill()
    until(lambda: status(port, "/readyz") == 503, 20, fleet.logs)
    assert status(port, "/healthz") == 200
    valkey.start()
    until(lambda: status(port, "/readyz") == 200, 20, fleet.logs)
    fleet.stop()


def test_a_second_beat_of_the_host_runs_on_and_takes_the_port_when_it_is_free(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    fleet, port = serving(make_fleet, valkey)
    first = fleet.start_one()
    until(lambda: status(port, "/healthz") == 200, 30, fleet.logs)
    second = fleet.start_one()
    fleet.settle(2)
    second.wait_for_log("habeat_http cannot listen")
    fleet.kill(first)
    until(lambda: status(port, "/readyz") == 200, 20, fleet.logs)
    second.term()
    assert second.wait() == 0
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_beat_in_a_worker_serves_and_its_pool_does_not_keep_the_port(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    fleet, port = serving(make_fleet, valkey)
    worker = fleet.processes.worker(
        fleet.module, ["-B", "--scheduler", "habeat.Scheduler"], None, fleet.folder
    )
    until(lambda: status(port, "/readyz") == 200, 40, worker.log)
    (beat,) = (
        each
        for each in psutil.Process(worker.pid).children(recursive=True)
        if any(link.laddr.port == port for link in each.net_connections("tcp"))
    )
    beat.send_signal(signal.SIGKILL)
    until(lambda: status(port, "/healthz") == 0, 10, worker.log)
    worker.kill()
