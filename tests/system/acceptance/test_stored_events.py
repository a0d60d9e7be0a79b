"""What happened to the schedule, from outside: a leader killed and stopped, Redis away."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable

import pytest

from habeat.client import Client, Event
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

AWAY_S = 2.5


def newest(client: Client, code: str) -> Event:
    return client.events(code=code, limit=1)[0]


def test_each_change_of_leader_and_an_outage_are_in_the_history(
    make_fleet: MakeFleet, private_server: Callable[..., Server]
) -> None:
    server = private_server(appendonly=True)
    fleet = make_fleet(server, redis_broker(server).conf, entries(3))
    fleet.start(3)
    host = socket.gethostname()
    with Client(server.url(), prefix="habeat:proj") as client:
        killed = fleet.wait_for_leader()
        fleet.kill(killed)
        heir = fleet.wait_for_leader(other_than=killed)
        change = newest(client, "leader_acquired")
        assert (change.cause, change.by.host, change.by.pid) == ("crash", host, heir.pid)
        assert change.previous is not None
        assert (change.previous.host, change.previous.pid) == (host, killed.pid)
        assert change.span_ms is not None
        said = f"{host} pid {killed.pid} crashed; gap {change.span_ms} ms"
        assert change.sentence == f"{host} pid {heir.pid} leads: {said}"
        until(lambda: said in heir.log(), 10, heir.log)

        heir.term()
        heir.wait(20)
        last = fleet.wait_for_leader(other_than=heir)
        change = newest(client, "leader_acquired")
        assert (change.cause, change.detail, change.by.pid) == ("released", "stop", last.pid)
        stopped = re.search(r"stopped leading \(lease epoch \d+\): (.*)", heir.log())
        assert stopped, heir.log()
        assert stopped[1].startswith(f"{host} pid {last.pid} leads after ")
        assert "nothing in flight" in stopped[1]

        fleet.start_one()
        fleet.settle(2)
        server.kill()
        time.sleep(AWAY_S)
        server.start()
        until(lambda: client.events(code="redis_unavailable"), 20, fleet.logs)
        time.sleep(2.5)  # the other replica reports it within one look
        outages = client.events(code="redis_unavailable")
        assert len(outages) == 1, outages
        assert outages[0].span_ms is not None
        assert (AWAY_S - 1.5) * 1_000 <= outages[0].span_ms <= (AWAY_S + 6) * 1_000
        records = client.history(limit=10)
        assert {record.host for record in records} == {host}
        queues = {record.queue for record in records if record.outcome == "sent"}
        assert queues == {"kp:celery"}  # the key, with the broker's global_keyprefix
    fleet.stop()
