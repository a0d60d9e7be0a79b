"""`start_by` in real beats: a broker that is away, and a leader that is frozen."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.integration.web_service import WebService, web_service
from tests.support.servers.children import free_port, until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SCHEDULE = """{
    "promised": {"task": "proj.work", "schedule": 1.0, "start_by": 3},
    "patient": {"task": "proj.work", "schedule": 1.0, "start_by": 3600},
    "without": {"task": "proj.work", "schedule": 1.0},
}"""

RECEIVER = """
import json, os
from habeat.signals import slot_late

@slot_late.connect
def noted(entry, slot, start_by, **_):
    with open(f"late-{os.getpid()}", "a") as file:
        file.write(json.dumps([entry, slot.timestamp(), start_by.total_seconds()]) + "\\n")
"""


def alarms(fleet: Fleet) -> list[list[Any]]:
    """Entry, slot and promise, as the receivers in all beats got them."""
    files = fleet.folder.glob("late-*")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def posted(service: WebService) -> set[tuple[str, str]]:
    """Event and entry of all alarms that came to the webhook."""
    found = [alarm for asked in service.asked if asked.body for alarm in asked.alarms]
    return {(alarm["event"], alarm["entry"]) for alarm in found}


def test_a_broker_that_is_away_breaks_promises_by_name(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    with web_service() as service:
        conf = {
            "broker_url": f"redis://127.0.0.1:{free_port()}/0",
            "habeat_log_json": True,
            "habeat_webhook_url": f"{service.url}/hook",
            "habeat_pings": {"promised": f"{service.url}/promised"},
        }
        fleet = make_fleet(valkey, conf, SCHEDULE, more=RECEIVER)
        beat = fleet.start_one()
        until(lambda: alarms(fleet), 40, fleet.logs)
        until(lambda: ("slot_late", "promised") in posted(service), 20, fleet.logs)
        until(lambda: "/promised/fail" in service.paths, 20, fleet.logs)
    assert ("broker_unavailable", "") in posted(service)
    assert "/promised" not in service.paths
    assert {entry for entry, _, _ in alarms(fleet)} == {"promised"}
    lines = [json.loads(line) for line in beat.log().splitlines() if line.startswith("{")]
    late = [line for line in lines if line.get("event") == "slot_late"]
    assert {line["entry"] for line in late} == {"promised"}
    assert "has not been sent for" in late[0]["message"]
    assert int(fleet.meta()["start_by_broken"]) >= 1


def test_slots_that_were_late_because_the_leader_froze_are_alarmed_of_once_each(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    """The lease has to run out, because the frozen process keeps its connection."""
    with web_service() as service:
        pings = {"habeat_pings": {"promised": f"{service.url}/promised"}}
        conf = {**redis_broker(valkey).conf, **pings}
        fleet = make_fleet(valkey, conf, SCHEDULE, more=RECEIVER)
        fleet.start(2)
        leader = fleet.wait_for_leader()
        until(lambda: len(service.paths) >= 2, 30, fleet.logs)
        assert set(service.paths) == {"/promised"}
        assert not alarms(fleet)
        leader.signal(signal.SIGSTOP)
        fleet.wait_for_leader(other_than=leader)
        until(lambda: len(alarms(fleet)) >= 2, 30, fleet.logs)
        leader.signal(signal.SIGCONT)
    found = [tuple(each) for each in alarms(fleet)]
    assert {entry for entry, _, _ in found} == {"promised"}
    assert len(found) == len(set(found))
