"""Each fault that is staged on purpose is named within seconds, by health and in a log.

Two beats share all stages: their app does what files in its folder say. Messages go to a broker of
their own, so that it can hang while the schedule's Redis answers.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from habeat.client import Client, Finding
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server, start_server, valkey_binary
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: The promise is ten seconds; a busy machine may take longer.
NAMED_WITHIN_S = pick(25.0, 40.0)
QUIET_ENTRIES = 1_000
QUIET_S = pick(6.0, 120.0)

_MORE = """
import os, time
from pathlib import Path
from celery.schedules import schedule
from celery.signals import before_task_publish
from habeat.engine import planning

HERE = Path(__file__).parent
plan = planning.Planner.plan

def staged(name):
    return (HERE / name).exists()

def starving(self, due, **given):
    if staged(f"wedge-{os.getpid()}"):
        due = []
    if staged("starve"):
        due = [each for each in due if each.name != "e00007"]
    return plan(self, due, **given)

planning.Planner.plan = starving

@before_task_publish.connect
def receiver_that_hangs(**_):
    while staged("hang"):
        time.sleep(0.05)

class Endless(schedule):
    def is_due(self, last_run_at):
        while staged("endless"):
            time.sleep(0.05)
        return super().is_due(last_run_at)

app.conf.beat_schedule["endless"] = {"task": "proj.work", "schedule": Endless(2)}
"""


class Stage:
    """The fleet, and what its health says."""

    def __init__(self, fleet: Fleet, client: Client) -> None:
        self.fleet = fleet
        self.client = client
        self.took_s: dict[str, float] = {}

    def put(self, name: str) -> Path:
        file = self.fleet.folder / name
        file.touch()
        return file

    def errors(self) -> list[Finding]:
        return [each for each in self.client.status().findings if each.severity == "error"]

    def named(self, *codes: str, entry: str = "") -> Finding:
        """Waits for this finding of health."""
        began_s = time.monotonic()

        def found() -> Finding | None:
            fits = (each for each in self.errors() if each.code in codes and entry in each.entry)
            return next(fits, None)

        finding: Finding = until(
            found, NAMED_WITHIN_S, lambda: f"{codes}, but {self.errors()}\n{self.fleet.logs()}"
        )
        self.took_s[" ".join((*codes, entry)).strip()] = round(time.monotonic() - began_s, 1)
        return finding

    def logged(self, text: str) -> None:
        until(
            lambda: any(text in beat.log() for beat in self.fleet.beats),
            NAMED_WITHIN_S,
            lambda: f"a beat logs {text!r}\n{self.fleet.logs()}",
        )

    def well(self) -> None:
        until(lambda: not self.errors(), 90, lambda: f"{self.errors()}\n{self.fleet.logs()}")


@pytest.fixture
def broker_server() -> Iterator[Server]:
    server = start_server(valkey_binary())
    try:
        yield server
    finally:
        server.dispose()


@pytest.fixture
def stage(make_fleet: MakeFleet, valkey: Server, broker_server: Server) -> Iterator[Stage]:
    conf = {"broker_url": broker_server.url(), "habeat_heartbeat_file": "alive"}
    schedule = '{f"e{i:05d}": {"task": "proj.work", "schedule": 1.0} for i in range(20)}'
    fleet = make_fleet(valkey, conf, schedule, more=_MORE)
    fleet.start(2)
    app = Celery("proj", broker=broker_server.url())
    app.conf.habeat_redis_url = valkey.url()
    with Client(app) as client:
        yield Stage(fleet, client)


def test_each_staged_fault_is_named(stage: Stage, broker_server: Server) -> None:
    fleet = stage.fleet
    stage.well()

    starve, endless = stage.put("starve"), stage.put("endless")
    stage.client.add("bad", "proj.work", 1, options={"exchange": "nowhere", "routing_key": "x"})
    stage.named("entry_waits", "entry_unsendable", "circuit_opened", entry="bad")
    assert "have been sent" in stage.named("entry_starved", entry="e00007").sentence
    assert "did not answer" in stage.named("entry_waits", entry="endless").sentence
    stage.logged("the broker refuses entry 'bad'")
    stage.logged("entry 'e00007' has been due for")
    stage.logged("entry 'endless' waits")
    starve.unlink()
    endless.unlink()
    stage.client.remove("bad")
    stage.well()

    hang = stage.put("hang")
    assert "receiver_that_hangs" in stage.named("tick_hangs").sentence
    stage.logged("the loop has been stuck for")
    hang.unlink()
    stage.well()

    touched = fleet.folder / "alive.ok"
    assert touched.exists()
    broker_server.pause()
    stage.named("broker_unavailable", "dispatch_stalled", "tick_hangs")
    stage.logged("the broker takes no messages")
    broker_server.resume()
    stage.well()

    leader = fleet.wait_for_leader()
    wedge = stage.put(f"wedge-{leader.pid}")
    stage.named("dispatch_stalled")
    stage.logged("ticks and has sent nothing for")
    fleet.wait_for_leader(other_than=leader)
    assert fleet.meta()["leader_cause"] == "wedged"
    wedge.unlink()
    stage.well()

    leader = fleet.wait_for_leader()
    leader.stop_signal()
    stage.named("dispatch_stalled", "no_leader")
    leader.cont()
    stage.well()

    stored = fleet.client.hlen(fleet.key("entries"))
    fleet.client.delete(fleet.key("entries"))
    stage.named("entries_gone", "keys_repaired")
    until(lambda: fleet.client.hlen(fleet.key("entries")) == stored, 30, "they are stored again")

    fleet.client.flushall()
    stage.named("data_lost")
    stage.logged("Redis was emptied")
    print("named after", stage.took_s)

    leader = fleet.wait_for_leader()
    leader.signal(signal.SIGUSR1)
    leader.wait_for_log("state on request: thread MainThread")
    leader.signal(signal.SIGHUP)
    assert leader.wait() == 0
    fleet.wait_for_leader(other_than=leader)
    assert fleet.meta()["leader_cause"] == "released"


def test_nothing_is_named_while_all_is_well(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(QUIET_ENTRIES))
    fleet.start(2)
    app = Celery("proj", broker=valkey.url())
    with Client(app) as client:
        stage = Stage(fleet, client)
        until(lambda: stage.client.status().entries.total == QUIET_ENTRIES, 60, "all are stored")
        stage.well()
        began_s, found = time.monotonic(), []
        while time.monotonic() < began_s + QUIET_S:
            found += stage.errors()
            time.sleep(0.25)
    assert found == []
    assert not [line for line in fleet.logs().splitlines() if "ERROR" in line]
