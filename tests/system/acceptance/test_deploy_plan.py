"""A deploy with real beats, old and new: `habeat plan` predicted what happens to each entry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

import habeat
from habeat.cli.printing import plain
from tests.integration.deploys import EXPECTED, agree, definitions, source, stage
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import write_app
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


def test_a_deploy_does_what_plan_said(make_fleet: MakeFleet, valkey: Server) -> None:
    conf = dict(redis_broker(valkey).conf)
    fleet = make_fleet(valkey, conf, source(0))
    write_app(fleet.folder, {**conf, "habeat_redis_url": valkey.url()}, source(1), module="new")
    fleet.start(1)
    old, base = fleet.wait_for_leader(), fleet.key("")
    with habeat.Client(valkey.url(), prefix="habeat:proj") as client:
        until(lambda: client.status().entries.total >= 21, 20, fleet.logs)
        stage(client, fleet.client, base, losing=False)
        plan = planned(fleet)
        before, last = definitions(fleet.client, base), client.changes(limit=1)[0].id
        for _ in range(2):
            fleet.start_one(module="new")
        fleet.settle(3)
        old.term()
        old.wait(20)
        fleet.beats.remove(old)
        fleet.wait_for_leader()
        until(lambda: forgotten(fleet), 30, fleet.logs)
        until(lambda: b"gone" not in names(fleet), 60, fleet.logs, every_s=0.1)
        records = {
            each.entry: (each.act, plain(each.fields))
            for each in client.changes(limit=1_000)
            if each.way == "beat_schedule" and each.id > last
        }
        assert agree(plan, before, definitions(fleet.client, base), records) == []
        assert {each.entry for each in client.history(limit=1_000, outcome="missed")} == set()
        paused = {each.name for each in client.list(state="paused")}
    assert paused == {"same-paused", "kwargs-paused", "schedule-paused"}
    verdicts = {each["name"]: each["what"] for each in plan["entries"]}
    expected = {**EXPECTED, "left-behind": "same"}
    assert {name: verdicts.get(name, "same") for name in EXPECTED} == expected


def planned(fleet: Fleet) -> dict[str, Any]:
    command = [sys.executable, "-m", "celery", "-A", "new", "habeat", "plan", "--json"]
    done = subprocess.run(
        command, cwd=fleet.folder, env=dict(os.environ), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names(fleet: Fleet) -> set[bytes]:
    found: Any = fleet.client.hkeys(fleet.key("entries"))
    return set(found)


def forgotten(fleet: Fleet) -> bool:
    """Have the old configuration count as gone for a minute; True once that is so.

    A new beat may have rewritten the record meanwhile only if it carries that configuration.
    """
    key = fleet.key("configs")
    configs: Any = fleet.client.hgetall(key)
    if len(configs) < 2:
        return True
    oldest = min(configs, key=lambda each: int(configs[each].split(b"|")[0]))
    generation, seen, count = configs[oldest].split(b"|")
    then = int(seen) - 100_000
    fleet.client.hset(key, oldest, f"{generation.decode()}|{then}|{count.decode()}")
    return True
