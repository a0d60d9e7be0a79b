"""Real beats that declare different entries: what they log, what status shows, what stays put."""

from __future__ import annotations

import json
from typing import Any

import pytest

import habeat
from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import write_app
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

#: Each process has a minute of its own, as from `random.randint` but never the same twice.
OWN_MINUTE = """{
    "version_check": {"task": "proj.work", "schedule": crontab(
        minute=__import__("os").getpid() % 60)},
    "tick": {"task": "proj.work", "schedule": 1.0},
}"""
SAME = '{"tick": {"task": "proj.work", "schedule": 1.0}}'
CHANGED = '{"tick": {"task": "proj.work", "schedule": 1.0, "kwargs": {"token": "s3cret"}}}'
LINE = "habeat: the replicas declare different entries"
OVER = "habeat: the replicas declare the same entries again"


def definition(fleet: Fleet, name: str) -> dict[str, Any]:
    raw: Any = fleet.client.hget(fleet.key("entries"), name)
    return json.loads(raw) if raw else {}


def status(server: Server) -> habeat.client.Status:
    with habeat.Client(server.url(), prefix="habeat:proj") as client:
        return client.status()


def test_a_minute_drawn_by_each_process(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), OWN_MINUTE)
    for _ in range(3):
        fleet.start_one()
    first = fleet.settle(3)
    until(lambda: definition(fleet, "version_check"), 20, fleet.logs)
    for beat in fleet.beats:
        beat.wait_for_log(LINE, 30)
    others = [each for each in fleet.beats if each is not first]
    found = until(lambda: status(valkey).differences, 20, fleet.logs)
    assert set(found) == {"version_check"}
    assert {int(where.split()[-1]) for where in found["version_check"]} <= {
        each.pid for each in others
    }
    assert any("'version_check'" in remark for remark in status(valkey).remarks)
    before = definition(fleet, "version_check")
    _stop(fleet, first)
    _stop(fleet, fleet.wait_for_leader(other_than=first))
    fleet.wait_for_leader()
    fleet.settle(1)
    assert definition(fleet, "version_check") == before, "it does not move with the lead"
    for beat in (first, *others):
        assert beat.log().count(LINE) == 1, beat.log()


def test_a_rolling_deploy(make_fleet: MakeFleet, valkey: Server) -> None:
    """It is logged while both run, ends when the old one is gone, and the new code is used."""
    conf = dict(redis_broker(valkey).conf)
    fleet = make_fleet(valkey, conf, SAME)
    write_app(fleet.folder, {**conf, "habeat_redis_url": valkey.url()}, CHANGED, module="proj_new")
    fleet.start(1)
    old = fleet.wait_for_leader()
    until(lambda: definition(fleet, "tick"), 20, fleet.logs)
    new = fleet.start_one(module="proj_new")
    new.wait_for_log(LINE, 30)
    old.wait_for_log(LINE, 30)
    assert set(status(valkey).differences) == {"tick"}
    assert "s3cret" not in fleet.logs(), "names, never arguments"
    _stop(fleet, old)
    until(lambda: definition(fleet, "tick").get("kwargs"), 30, fleet.logs)
    new.wait_for_log(OVER, 40)
    assert status(valkey).differences == {}
    assert new.log().count(LINE) == 1


def _stop(fleet: Fleet, beat: CeleryProcess) -> None:
    beat.term()
    beat.wait(20)
    fleet.beats.remove(beat)
