"""Handlers of `beat_init` that read and change the schedule, in a real beat."""

from __future__ import annotations

import json

import pytest

from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]

HANDLER = """
from celery.signals import beat_init

@beat_init.connect
def start(sender, **_):
    scheduler = sender.scheduler
    assert "every second" in scheduler.schedule
    scheduler.add(name="added", task="proj.added", schedule=1.0)
    scheduler.update_from_dict({"updated": {"task": "proj.updated", "schedule": 1.0}})
    scheduler.schedule["every second"].options["queue"] = "fast"
    del scheduler.schedule["removed"]
    scheduler.apply_async(scheduler.schedule["yearly"], advance=False)
"""
SCHEDULE = """{
    "every second": {"task": "proj.work", "schedule": 1.0},
    "removed": {"task": "proj.removed", "schedule": 1.0},
    "yearly": {"task": "proj.yearly", "schedule": crontab(0, 0, month_of_year=2)},
}"""


def test_what_a_handler_adds_changes_removes_and_sends(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    broker = redis_broker(valkey, prefix="")
    fleet = make_fleet(valkey, broker.conf, SCHEDULE, more=HANDLER)
    fleet.start(1)

    def tasks(queue: str) -> set[str]:
        return {json.loads(each)["headers"]["task"] for each in broker.client.lrange(queue, 0, -1)}

    expected = {"proj.added", "proj.updated", "proj.yearly"}
    until(lambda: expected <= tasks("celery") and tasks("fast") == {"proj.work"}, 30, fleet.logs)
    assert tasks("celery") == expected
    assert fleet.all_alive
    assert "raised" not in fleet.logs(), "no handler failed"
