"""10,000 entries of which none is due: what an idle leader and a standby ask of Redis.

Counted by MONITOR, which marks what a script does inside; INFO's counters count that too.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict

import psutil
import pytest
import redis

from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import burst
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

ENTRIES = 10_000
COUNTED_S = pick(10.0, 30.0)


class Requests:
    """Requests by the port that they come from, as MONITOR tells them."""

    def __init__(self, client: redis.Redis) -> None:
        self.by_port: dict[int, Counter[str]] = defaultdict(Counter)
        self._client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._client.monitor() as monitor:
            for fields in monitor.listen():
                if self._over.is_set():
                    return
                if fields["client_type"] == "tcp":
                    words = " ".join(fields["command"].split()[:2])
                    self.by_port[int(fields["client_port"])][words] += 1

    def stop(self) -> dict[int, Counter[str]]:
        self._over.set()
        self._client.ping()  # the last line
        self._thread.join(10)
        return self.by_port


def test_idle(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), burst(ENTRIES, 43_200, 86_400))
    fleet.start(2)
    until(lambda: fleet.client.hlen(fleet.key("entries")) == ENTRIES, 60, "all are stored")
    until(lambda: fleet.meta().get("names") == "1", 60, "the index of names is complete")
    time.sleep(3)
    leader = fleet.wait_for_leader()
    (standby,) = [beat for beat in fleet.beats if beat is not leader]
    ports = {beat.pid: _ports(beat) for beat in (leader, standby)}
    requests = Requests(valkey.client(socket_timeout=None))
    began_s = time.monotonic()
    while time.monotonic() < began_s + COUNTED_S:
        time.sleep(0.5)
        for beat in (leader, standby):
            ports[beat.pid] |= _ports(beat)
    lasted_s = time.monotonic() - began_s
    counted = requests.stop()
    led, stood = (
        sum((counted[port] for port in ports[beat.pid]), Counter()) for beat in (leader, standby)
    )
    print(f"in {lasted_s:.1f} s the leader sent {led}, the standby {stood}")
    assert 0 < led.total() <= 4 * lasted_s, led
    assert 0 < stood.total() <= 5 * lasted_s, stood
    assert fleet.leader() is leader


def _ports(beat: CeleryProcess) -> set[int]:
    return {
        connection.laddr.port
        for connection in psutil.Process(beat.pid).net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED
    }
