"""A broker that hangs: at start, in the middle, and for one replica only."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.servers.children import until
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    LEFT,
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import OnRabbitMQ
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

ENTRIES = 5
TTL_S = 6.0
HANGS_S = pick(10.0, 25.0)
#: The broker that one beat is given may differ from that of the others.
OWN_BROKER = """
import os
app.conf.broker_url = os.environ.get("BROKER_OF_THIS_BEAT") or app.conf.broker_url
"""


@pytest.fixture
def hanging(rabbitmq: RabbitMQ, proxy: Callable[..., Proxy]) -> tuple[OnRabbitMQ, Proxy]:
    """RabbitMQ, and the proxy through which the beats reach it."""
    url, way = rabbitmq.fresh_vhost(), proxy(rabbitmq)
    return OnRabbitMQ(url, url.replace(f":{rabbitmq.port}/", f":{way.port}/")), way


def test_hanging_from_the_start(
    make_fleet: MakeFleet, valkey: Server, hanging: tuple[OnRabbitMQ, Proxy]
) -> None:
    broker, way = hanging
    way.stall()
    fleet = make_fleet(valkey, {**broker.conf, "habeat_lease_ttl": TTL_S}, entries(ENTRIES))
    fleet.start(2)
    _assert_leads_on_while_it_hangs(fleet)
    assert broker.length() == 0
    way.heal()
    _assert_resumes(fleet, broker)


def test_hanging_in_the_middle(
    make_fleet: MakeFleet, valkey: Server, hanging: tuple[OnRabbitMQ, Proxy]
) -> None:
    broker, way = hanging
    fleet = make_fleet(valkey, {**broker.conf, "habeat_lease_ttl": TTL_S}, entries(ENTRIES))
    fleet.start(2)
    until(lambda: _settled(fleet) >= 3 * ENTRIES, 20, fleet.logs)
    way.stall()
    _assert_leads_on_while_it_hangs(fleet)
    way.heal()
    _assert_resumes(fleet, broker)


def test_a_leader_cut_off_from_the_broker_hands_over(
    make_fleet: MakeFleet, valkey: Server, hanging: tuple[OnRabbitMQ, Proxy]
) -> None:
    """The broker works for the standby: it has reported that, and the leader hands over to it."""
    broker, way = hanging
    conf = {"broker_url": broker.url, "habeat_lease_ttl": TTL_S}
    fleet = make_fleet(valkey, conf, entries(ENTRIES), more=OWN_BROKER)
    leader = fleet.start_one(env={"BROKER_OF_THIS_BEAT": broker.beats_url})
    fleet.settle(1)
    fleet.start_one()
    fleet.settle(2)
    assert fleet.leader() is leader
    until(lambda: _settled(fleet) >= 2 * ENTRIES, 20, fleet.logs)
    way.cut()
    fleet.wait_for_leader(other_than=leader, timeout_s=60)
    assert fleet.meta()["leader_cause"] == "released"
    assert "handing over" in leader.log()
    changes = fleet.meta()["leader_changes"]
    way.heal()
    _assert_resumes(fleet, broker)
    assert fleet.meta()["leader_changes"] == changes, "one rotation, not a see-saw"


def _assert_leads_on_while_it_hangs(fleet: Fleet) -> None:
    """No beat exits, one leads, and each problem is logged a few times, not once a tick."""
    epoch = fleet.meta()["epoch"]
    ends = time.monotonic() + HANGS_S
    held = 0
    while time.monotonic() < ends:
        held += bool(fleet.holder())
        assert fleet.all_alive, fleet.logs()
        time.sleep(0.25)
    assert held >= HANGS_S / 0.25 * 0.7, f"nobody led most of the time\n{fleet.logs()}"
    assert fleet.meta()["epoch"] == epoch, f"the lease was lost on the way\n{fleet.logs()}"
    assert 1 <= fleet.logs().count("the broker takes no messages") <= 6, fleet.logs()


def _assert_resumes(fleet: Fleet, broker: OnRabbitMQ) -> None:
    healed_ms = time.time() * 1_000
    until(
        lambda: all(run and run[-1] > healed_ms + 2_000 for run in slots(fleet).values()),
        60,
        lambda: f"the firings have resumed; they said\n{fleet.logs()}",
    )
    assert fleet.all_alive, fleet.logs()
    fleet.stop()
    expected = slots(fleet)
    # What was on its way when the broker fell silent may have arrived unconfirmed.
    assert_every_slot_once(broker.take(), expected, repeats=ENTRIES)
    records = ledger(fleet)
    assert_ledger_accounts(records, expected)
    assert {record.outcome for record in records} <= set(LEFT)
    assert_counters_add_up(fleet)


def _settled(fleet: Fleet) -> int:
    return int(fleet.meta().get("settled", 0))
