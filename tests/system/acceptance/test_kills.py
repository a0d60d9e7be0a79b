"""Leaders SIGKILLed in turn: every slot of every entry in the broker once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import Broker
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ENTRIES = 200
KILLS = pick(5, 10)
BETWEEN_S = pick(2.0, 7.0)
RESTARTED_AFTER_S = 3.0
#: What one leader may have published and not yet settled in a burst: `habeat_outbox_window`.
IN_FLIGHT = 50


def test_leaders_killed_in_turn(make_fleet: MakeFleet, valkey: Server, broker: Broker) -> None:
    fleet = make_fleet(valkey, broker.conf, entries(ENTRIES))
    fleet.start(3)
    began_s = time.time()
    causes = []
    for _ in range(KILLS):
        leader = fleet.wait_for_leader()
        fleet.kill(leader)
        fleet.wait_for_leader(other_than=leader)
        causes.append(fleet.meta()["leader_cause"])
        time.sleep(RESTARTED_AFTER_S)
        fleet.start_one()
        fleet.settle(3)
        time.sleep(BETWEEN_S)
    lasted_s = time.time() - began_s
    fleet.stop()
    assert set(causes) == {"crash"}, causes
    arrivals = broker.take()
    expected = slots(fleet)
    assert len(expected) == ENTRIES
    assert min(len(run) for run in expected.values()) >= lasted_s - 3
    atomic = not _outbox(broker)
    again = assert_every_slot_once(arrivals, expected, repeats=0 if atomic else KILLS * IN_FLIGHT)
    print(f"{len(arrivals)} messages, {len(again)} repeated, {lasted_s:.0f} s")
    assert_ledger_accounts(ledger(fleet), expected)
    assert_counters_add_up(fleet)


def _outbox(broker: Any) -> bool:
    return str(broker.conf["broker_url"]).startswith("amqp")
