"""`habeat_log_json` in real processes: beat, ``worker -B``, and the user's own logging
configuration. Celery sets up logging in each of them differently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

OWN_LOGGING = """
import logging
from celery.signals import setup_logging

@setup_logging.connect
def set_up(**_):
    logging.basicConfig(level="WARNING", format="OWN %(name)s %(message)s", force=True)
    logging.getLogger("celery.beat").error("in my own form")
"""


def said(process: CeleryProcess) -> list[dict[str, Any]]:
    """The lines that are JSON objects."""
    return [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]


def events(process: CeleryProcess) -> set[str]:
    return {line["event"] for line in said(process) if "event" in line}


def wait_for_leading(process: CeleryProcess) -> None:
    until(lambda: "leader_acquired" in events(process), 40, process.log)
    leading = next(line for line in said(process) if line.get("event") == "leader_acquired")
    assert {"host", "replica", "time", "lease_epoch"} <= leading.keys()
    bare = [line for line in process.log().splitlines() if ": habeat: " in line]
    assert not bare, "a line of habeat is not JSON"


def test_beat_and_a_logging_configuration_of_ones_own(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    conf = {**redis_broker(valkey).conf, "habeat_log_json": True}
    fleet = make_fleet(valkey, conf, entries(2))
    beat = fleet.start_one()
    wait_for_leading(beat)
    own = make_fleet(valkey, conf, entries(2), module="own", more=OWN_LOGGING)
    other = own.start_one(module="own")
    until(lambda: "standing_by" in events(other), 40, other.log)
    assert "OWN celery.beat in my own form" in other.log()


def test_a_beat_within_a_worker(make_fleet: MakeFleet, valkey: Server) -> None:
    conf = {**redis_broker(valkey).conf, "habeat_log_json": True}
    fleet = make_fleet(valkey, conf, entries(2))
    worker = fleet.processes.worker(
        "proj", ["-B", "-P", "solo", "--scheduler", "habeat.Scheduler"], None, fleet.folder
    )
    wait_for_leading(worker)
