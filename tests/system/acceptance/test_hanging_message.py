"""Code that does not return for one entry costs one takeover, and not one after another."""

from __future__ import annotations

import pytest

from habeat.client import Client
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import entries
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

_RECEIVER = """
import time
from pathlib import Path
from celery.signals import before_task_publish

STUCK = Path(__file__).parent / "stuck"

@before_task_publish.connect
def code_that_hangs(sender, **_):
    while sender == "proj.bad" and STUCK.exists():
        time.sleep(0.05)

app.conf.beat_schedule["bad"] = {"task": "proj.bad", "schedule": 1.0}
"""

_OWN_APPLY_ASYNC = """
import time
from pathlib import Path

STUCK = Path(__file__).parent / "stuck"

class Own(app.Task):
    def apply_async(self, *args, **options):
        self.code_that_hangs()
        return super().apply_async(*args, **options)

    def code_that_hangs(self):
        while STUCK.exists():
            time.sleep(0.05)

@app.task(name="proj.bad", base=Own)
def bad():
    pass

app.conf.beat_schedule["bad"] = {"task": "proj.bad", "schedule": 1.0}
"""


@pytest.mark.parametrize(
    ("dispatch", "code"),
    [("atomic", _RECEIVER), ("outbox", _RECEIVER), ("outbox", _OWN_APPLY_ASYNC)],
    ids=["atomic", "outbox", "own apply_async"],
)
def test_an_entry_whose_message_hangs_stops_one_replica_and_no_other_entry(
    make_fleet: MakeFleet, valkey: Server, dispatch: str, code: str
) -> None:
    conf = {"broker_url": valkey.url(1), "habeat_redis_url": valkey.url()}
    fleet = make_fleet(valkey, {**conf, "habeat_dispatch": dispatch}, entries(3), more=code)
    stuck = fleet.folder / "stuck"
    stuck.touch()
    fleet.start(3)
    with Client(valkey.url(), prefix=fleet.prefix) as client:

        def outcomes(name: str) -> set[str]:
            return {each.outcome for each in client.history(name, limit=5)}

        until(lambda: "failed" in outcomes("bad"), 40, lambda: f"a slot fails\n{fleet.logs()}")
        (reason,) = {each.reason for each in client.history("bad") if each.outcome == "failed"}
        assert "does not return, in " in reason
        assert "code_that_hangs" in reason
        leader = fleet.wait_for_leader()

        client.trigger("bad")
        until(lambda: client.status().dead, 20, lambda: f"the request is dropped\n{fleet.logs()}")
        sent = client.history("e00000")[0].slot
        until(lambda: client.history("e00000")[0].slot > sent, 20, fleet.logs)
        assert fleet.leader() is leader
        assert {each.outcome for each in client.history("e00000")} <= {"sent", "late"}
        assert [each.code for each in client.status().findings].count("tick_hangs") == 1

        stuck.unlink()
        until(lambda: outcomes("bad") & {"sent", "late"}, 30, lambda: f"it is sent\n{fleet.logs()}")
        assert fleet.all_alive
