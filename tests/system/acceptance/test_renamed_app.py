"""A running app is renamed: what the new beat says, and its entries are taken along."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

import habeat
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import write_app
from tests.system.acceptance.arrivals import Arrival, redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

SCHEDULE = '{"tick": {"task": "proj.work", "schedule": 1.0}}'


def test_an_app_renamed(make_fleet: MakeFleet, valkey: Server) -> None:
    broker = redis_broker(valkey)
    conf = dict(broker.conf)
    old = make_fleet(valkey, conf, SCHEDULE)
    url = {"habeat_redis_url": valkey.url()}
    write_app(old.folder, {**conf, **url}, SCHEDULE, module="shop", main="shop")
    new = replace(old, module="shop", prefix="habeat:shop", beats=[])
    old.start(1)
    with habeat.Client(valkey.url(), prefix=old.prefix) as client:
        client.add("api", "proj.work", 1, max_runs=1_000)
        until(lambda: client.get("api").state.fired >= 2, 20, old.logs)
        new.start(1)
        [beat] = new.beats
        beat.wait_for_log("under the other prefix 'habeat:proj'", 30)
        assert "1 entry of beat_schedule fires under both" in beat.log()
        assert "1 entry made through the API would stay there" in beat.log()
        assert adopt(new).returncode == 1, "the old beat is alive"
        old.stop()
        before = client.get("api").state
        done = adopt(new)
        assert done.returncode == 0, done.stderr
        assert "1 entry made through the API moved from habeat:proj" in done.stdout
        assert [entry.name for entry in client.list(owner="api")] == []
    with habeat.Client(valkey.url(), prefix=new.prefix) as client:
        until(lambda: client.get("api").state.fired >= before.fired + 3, 20, new.logs)
    new.stop()
    fired = api_slots(broker.take())
    assert max(Counter(fired).values()) == 1, "no slot twice"
    begun_ms = fired[0]
    expected = list(range(begun_ms, fired[-1] + 1, 1_000))
    assert fired == expected, "no slot lost: the old beats were away for less than the grace"


def api_slots(arrivals: list[Arrival]) -> list[int]:
    return sorted(each.slot_ms for each in arrivals if each.entry == "api")


def adopt(fleet: Fleet) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            fleet.module,
            *["habeat", "adopt", "--from", "habeat:proj"],
        ],
        cwd=fleet.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
