"""A burst that takes many times as long as a lease: each slot once, under one leader."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.servers.children import until
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import burst
from tests.system.acceptance.arrivals import Broker, OnRabbitMQ, OnRedis
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TTL_S = 1.0
ENTRIES = pick(1_500, 5_000)
DELAY_S = 0.002
STARTS_IN_S = 12


@pytest.fixture(params=["other redis", "rabbitmq"])
def slow_broker(request: pytest.FixtureRequest, proxy: Callable[..., Proxy]) -> Broker:
    """A broker some milliseconds away, as the beats see it."""
    if request.param == "rabbitmq":
        rabbit: RabbitMQ = request.getfixturevalue("rabbitmq")
        url, way = rabbit.fresh_vhost(), proxy(rabbit)
        way.delay_s = DELAY_S
        return OnRabbitMQ(url, url.replace(f":{rabbit.port}/", f":{way.port}/"))
    other: Server = request.getfixturevalue("redis70")
    way = proxy(other)
    way.delay_s = DELAY_S
    return OnRedis(other.client(), way.url())


def test_longer_than_the_lease(make_fleet: MakeFleet, valkey: Server, slow_broker: Broker) -> None:
    # One message at a time: in packets it would not take long enough.
    conf = {**slow_broker.conf, "habeat_lease_ttl": TTL_S, "habeat_outbox_window": 1}
    fleet = make_fleet(valkey, conf, burst(ENTRIES, STARTS_IN_S))
    fleet.start(3)
    until(lambda: int(fleet.meta().get("claimed", 0)) > 0, 2 * STARTS_IN_S, "the burst begins")
    until(
        lambda: int(fleet.meta().get("settled", 0)) >= ENTRIES,
        pick(60, 200),
        lambda: f"the burst is over: {fleet.meta()}\n{fleet.logs()}",
        every_s=0.2,
    )
    fleet.stop()
    arrivals = slow_broker.take()
    expected = slots(fleet)
    assert sum(map(len, expected.values())) == ENTRIES
    assert_every_slot_once(arrivals, expected)
    records = ledger(fleet)
    assert_ledger_accounts(records, expected)
    assert_counters_add_up(fleet)
    lasted_ms = max(record.late_ms for record in records)
    assert lasted_ms > 2 * TTL_S * 1_000, f"too quick to prove anything: {lasted_ms} ms"
    assert len({record.epoch for record in records}) == 1, "the lease was lost on the way"
    print(f"the burst of {ENTRIES} took {lasted_ms} ms")
