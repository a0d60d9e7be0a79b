"""Receivers of habeat's signals in real beats, with both dispatches."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import ledger
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import Broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

RECEIVERS = """
import json, os, time
from habeat import signals

def noted(signal, sender, **facts):
    line = json.dumps({"signal": signal.name, "app": sender.main, **facts}, default=str)
    with open(f"signals-{os.getpid()}", "a") as file:
        file.write(line + "\\n")

def hangs(**_):
    time.sleep(3600)

def raises(**_):
    raise RuntimeError("by a test")

for name in signals.__all__:
    one = getattr(signals, name)
    for receiver in (noted, hangs, raises):
        one.connect(receiver, weak=False)
"""


def signals_in(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted(folder.glob("signals-*"))
        for line in file.read_text().splitlines()
    ]


def test_every_slot_is_signalled_though_other_receivers_hang_and_raise(
    make_fleet: MakeFleet, valkey: Server, broker: Broker
) -> None:
    """Through a change of leader, too: repeats are allowed there, gaps are not."""
    fleet = make_fleet(valkey, dict(broker.conf), entries(3), more=RECEIVERS)
    fleet.start(2)
    leader = fleet.wait_for_leader()

    def slots() -> set[tuple[str, str]]:
        found = signals_in(fleet.folder)
        return {(each["entry"], each["task_id"]) for each in found if "task_id" in each}

    until(lambda: len(slots()) >= 9, 60, fleet.logs)
    leader.signal(signal.SIGTERM)
    fleet.wait_for_leader(other_than=leader)
    before = len(slots())
    until(lambda: len(slots()) >= before + 9, 60, fleet.logs)
    fleet.stop()
    told = {arrival.task_id: arrival.entry for arrival in broker.take()}
    signalled = {task_id: entry for entry, task_id in slots()}
    assert signalled.items() <= told.items()
    # The last second of the last leader is for the next one to report.
    missing = set(told) - set(signalled)
    assert len(missing) <= 9, f"{len(missing)} of {len(told)}"
    assert {record.outcome for record in ledger(fleet)} <= {"sent", "late"}
    assert {each["app"] for each in signals_in(fleet.folder)} == {"proj"}
    leads = [each for each in signals_in(fleet.folder) if each["signal"] == "leader_acquired"]
    assert len({each["replica"] for each in leads}) == 2
    lost = [each for each in signals_in(fleet.folder) if each["signal"] == "leader_lost"]
    assert {each["cause"] for each in lost} == {"stop"}
    assert lost[0]["replica"] in {each["replica"] for each in leads}
    assert "proj.hangs of the signal" in fleet.logs()
    assert "proj.raises of the signal" in fleet.logs()
