"""A real Prometheus scrapes real beats: each shipped alert fires in a fault, and none before.

The rules are those of deploy/monitoring, with seconds where they have minutes. What happens to the
beats is real where it can be had in seconds (a loop that hangs, a beat that is frozen or killed,
a Redis that is emptied or gone). Where it cannot, the stored state that it leaves is written.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from celery import Celery

import habeat
from habeat import Client
from habeat.contrib.prometheus import Collector
from habeat.core.circuit import Circuit
from habeat.store.keys import Keys
from tests import ROOT
from tests.deployment.rules import MONITORING, hastened, shipped
from tests.support.servers.children import end, free_port, spawn, until
from tests.support.servers.prometheus import Prometheus, start_prometheus
from tests.support.servers.redis_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

APP = """
import os, signal, time
from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"])
app.conf.beat_scheduler = "habeat.Scheduler"
app.conf.habeat_http = os.environ["ENDPOINT"]
app.conf.habeat_lease_ttl = 1.5
app.conf.beat_schedule = {f"every-{n}": {"task": "t", "schedule": 0.5} for n in range(5)}
signal.signal(signal.SIGUSR2, lambda *_: time.sleep(30))
"""
QUIET_ROUNDS = 10


class Scene:
    """Two beats, a process that exposes their schedule too, and a Prometheus that scrapes all."""

    def __init__(self, server: Server, folder: Path) -> None:
        prometheus_client = pytest.importorskip("prometheus_client")
        self.server, self.folder = server, folder
        self.fired: set[str] = set()
        self.keys, self.redis = Keys("habeat:proj"), server.client()
        app = Celery("proj", broker=server.url())
        self.client = Client(app)
        (folder / "proj.py").write_text(APP)
        ports = [free_port(), free_port(), free_port()]
        registry = prometheus_client.CollectorRegistry()
        registry.register(Collector(app))
        self.exporter, _ = prometheus_client.start_http_server(ports[2], registry=registry)
        self.beats = [self.beat(port) for port in ports[:2]]
        targets = [f"127.0.0.1:{port}" for port in ports]
        self.prometheus = start_prometheus(folder, hastened(), targets, every="500ms")

    def beat(self, port: int) -> Popen[bytes]:
        command = ["-m", "celery", "-A", "proj", "beat", "--pidfile="]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT / "src")]),
            "BROKER": self.server.url(),
            "ENDPOINT": f"127.0.0.1:{port}",
        }
        log = self.folder / f"beat-{port}.log"
        return spawn([sys.executable, *command], log=log, env=environment, cwd=self.folder)

    def leader(self) -> Popen[bytes]:
        leader = self.client.status().leader
        return next(each for each in self.beats if leader and each.pid == leader.pid)

    def fires(self, *alerts: str) -> None:
        seen: set[str] = set()

        def all_fired() -> bool:
            seen.update(self.prometheus.alerts())
            return seen >= set(alerts)

        until(all_fired, 20, lambda: f"{sorted(set(alerts) - seen)} fire", every_s=0.1)
        self.fired |= seen

    def register(self, nonce: str, **facts: Any) -> None:
        """A replica that is nowhere, as far as Redis knows."""
        self.redis.hset(self.keys.replicas, nonce, json.dumps(facts))
        self.redis.zadd(self.keys.seen, {nonce: time.time() * 1_000})

    def close(self) -> None:
        self.exporter.shutdown()
        self.client.close()
        for each in (*self.beats, self.prometheus.child):
            end(each, signal.SIGKILL)


@pytest.fixture
def scene(valkey: Server, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(valkey, tmp_path)
    yield made
    made.close()


def test_each_alert_fires_in_its_fault_and_none_before(scene: Scene) -> None:
    prometheus = scene.prometheus
    _begin(scene)
    _quiet(scene)
    _every_query_of_the_dashboard_is_answered(prometheus)
    _stored_faults(scene)
    _a_loop_that_hangs(scene)
    _a_standby_that_is_gone(scene)
    _a_leader_that_is_frozen(scene)
    scene.redis.flushall()
    scene.fires("HabeatDataLost")
    scene.server.kill()
    scene.fires("HabeatRedisDown")
    for each in scene.beats:
        end(each, signal.SIGKILL)
    scene.exporter.shutdown()
    scene.exporter.server_close()
    scene.fires("HabeatNotScraped")
    assert scene.fired >= shipped().keys()


def _begin(scene: Scene) -> None:
    until(lambda: len(scene.client.status().replicas) == 2, 30, "two beats are there")
    for name, more in (("victim", {}), ("strict", {"misfire": "skip", "misfire_grace": 1})):
        scene.client.add(name, "t", habeat.every(1), **more)
    listed = 'count(habeat_entry_firings_total{entry="strict",outcome="sent"} > 0)'
    until(lambda: scene.prometheus.value(listed) == 3, 30, "all three targets are scraped")


def _quiet(scene: Scene) -> None:
    begun = scene.prometheus.rounds()

    def is_over() -> bool:
        assert scene.prometheus.alerts() == set()
        return scene.prometheus.rounds() >= begun + QUIET_ROUNDS

    until(is_over, 30, "some rounds without an alert", every_s=0.2)


def _every_query_of_the_dashboard_is_answered(prometheus: Prometheus) -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expr = re.sub(r"\$__(rate_interval|range)", "10s", target["expr"])
            found = prometheus.get("query", query=expr.replace("$job", "habeat"))
            assert found is not None, (panel["title"], expr)
            if "> 0" not in expr:
                assert found["result"], (panel["title"], expr)


def _stored_faults(scene: Scene) -> None:
    redis, keys, now_ms = scene.redis, scene.keys, round(time.time() * 1_000)
    redis.hset(keys.entries, "victim", "garbage")
    redis.hset(keys.circuits, "every-1", Circuit.opened(5, "refused", now_ms).to_json())
    redis.hset(keys.dead, "gone@1", f"dead {now_ms} attempts used up\n")
    redis.hincrby(keys.meta, "claimed", 1)
    redis.hincrby(keys.meta, "leader_changes", 20)
    redis.hincrby(keys.meta, "leader_changes_crash", 20)
    scene.register("inert", host="far", pid=1, skew_ms=5_000, inert="another app")
    scene.register("cut-off", host="cut-off", pid=2)
    scene.fires(
        *("HabeatQuarantined", "HabeatCircuitOpen", "HabeatDeadLetters", "HabeatAccountingOff"),
        *("HabeatLeaderChangesOften", "HabeatReplicaInert", "HabeatClockSkew"),
        "HabeatStandbyWithoutBroker",
        "HabeatFinding",
        "HabeatEntryFinding",
    )


def _a_loop_that_hangs(scene: Scene) -> None:
    hung = scene.leader()
    hung.send_signal(signal.SIGUSR2)
    scene.fires("HabeatBeatStuck")
    end(hung, signal.SIGKILL)


def _a_standby_that_is_gone(scene: Scene) -> None:
    until(lambda: scene.client.status().leader, 10, "another one leads")
    alive = scene.client.status().leader
    assert alive is not None
    seen = scene.redis.zrange(scene.keys.seen, 0, -1)
    scene.redis.zrem(scene.keys.seen, *(each for each in seen if each.decode() != alive.id))
    scene.fires("HabeatNoStandby")


def _a_leader_that_is_frozen(scene: Scene) -> None:
    frozen = scene.leader()
    frozen.send_signal(signal.SIGSTOP)
    scene.fires("HabeatNoLeader", "HabeatNothingSent")
    frozen.send_signal(signal.SIGCONT)
    scene.fires("HabeatLate", "HabeatSlotsNotFired", "HabeatEntrySlotsNotFired")
