"""Leaders that hand over on request while messages are sent: no slot is lost or doubled."""

from __future__ import annotations

import pytest

from habeat.client import Client
from tests.support.servers.children import until
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import OnRabbitMQ, redis_broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.parametrize("dispatch", ["atomic", "outbox"])
def test_the_lead_goes_round_under_load(
    make_fleet: MakeFleet, valkey: Server, request: pytest.FixtureRequest, dispatch: str
) -> None:
    broker = redis_broker(valkey)
    if dispatch == "outbox":
        rabbitmq: RabbitMQ = request.getfixturevalue("shared_rabbitmq")
        broker = OnRabbitMQ(rabbitmq.fresh_vhost())
    fleet = make_fleet(valkey, dict(broker.conf), entries(40))
    fleet.start(3)
    with Client(valkey.url(), prefix=fleet.prefix) as client:
        for number in range(3):
            standby = client.status().standbys[-1]
            done = client.step_down(standby.id if number % 2 else None)
            assert done.after.id == standby.id or number % 2 == 0
            assert done.gap is not None
            assert done.gap.total_seconds() < 5, fleet.logs()
            sent = int(fleet.meta().get("settled", 0))
            until(lambda: int(fleet.meta().get("settled", 0)) > sent + 40, 20, fleet.logs)  # noqa: B023
    assert fleet.meta()["leader_changes"] == "4"
    fleet.stop()
    expected = slots(fleet)
    assert_every_slot_once(broker.take(), expected)
    assert_ledger_accounts(ledger(fleet), expected)
    assert_counters_add_up(fleet)
