"""Entries whose task no code knows, in real beats: sent, logged once, marked for clients."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.client import Client
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import TASK, entries
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]

SCHEDULE = """{
    "right": {"task": "proj.work", "schedule": 1.0},
    "typo": {"task": "proj.wrok", "schedule": 1.0},
    "yearly": {"task": "proj.yearly", "schedule": crontab(0, 0, month_of_year=2)},
    "elsewhere": {"task": "billing.invoice", "schedule": 1.0},
}"""


def test_they_are_sent_and_marked(make_fleet: MakeFleet, valkey: Server) -> None:
    broker = redis_broker(valkey)
    conf: dict[str, Any] = {**broker.conf, "habeat_remote_tasks": ["billing.*"]}
    fleet = make_fleet(valkey, conf, SCHEDULE)
    client = Client(valkey.url(), prefix=fleet.prefix)
    fleet.start(2)
    client.add("by hand", "proj.missing", 1)
    client.add("rarely", "proj.rare", 86_400)
    client.add("good", TASK, 1)
    expected = {"typo": "proj.wrok", "yearly": "proj.yearly", "by hand": "proj.missing"}
    until(lambda: dict(client.status().unregistered) == expected, 30, fleet.logs)
    assert client.unregistered(client.list()) == {**expected, "rarely": "proj.rare"}
    sent = {arrival.entry for arrival in broker.take()}
    assert {"typo", "right", "elsewhere"} <= sent
    status = client.status()
    assert status.healthy
    assert any("proj.wrok" in remark for remark in status.remarks)
    for name in expected:
        assert fleet.logs().count(f"entry {name!r}: its task") == 1, fleet.logs()
    client.update("by hand", task=TASK)
    assert "by hand" not in client.status().unregistered


def test_a_beat_that_knows_names_only_marks_nothing(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, redis_broker(valkey).conf, entries(2), more="app.tasks")
    module = fleet.folder / "proj.py"
    module.write_text(module.read_text().partition("@app.task")[0])
    fleet.start(1)
    client = Client(valkey.url(), prefix=fleet.prefix)
    assert len(client.unregistered(client.list())) == 0
    assert not client.status().unregistered
    assert "not registered" not in fleet.logs()
