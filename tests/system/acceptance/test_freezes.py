"""A leader frozen for longer than its lease, then thawed: it sends nothing that another has sent.

What the successor may repeat on a broker that is not the schedule's Redis is what had been
published and not yet settled when the leader froze; a stale message is one that the thawed
leader itself sends, and of these there may be one packet (between its last look at the clock and
the write to the socket).
"""

from __future__ import annotations

import time

import pytest

from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import Arrival, Broker, OnRabbitMQ
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TTL_S = pick(2.0, 6.0)
FROZEN_S = 3.3 * TTL_S
TIMES = pick(1, 3)
BURST = 1_000
PERIOD_S = pick(10.0, 30.0)
#: `habeat_outbox_window`, and a packet may be half of it.
UNSETTLED, STALE = 50, 25


def test_frozen_between_slots(make_fleet: MakeFleet, valkey: Server, broker: Broker) -> None:
    fleet = make_fleet(valkey, {**broker.conf, "habeat_lease_ttl": TTL_S}, entries(200))
    fleet.start(3)
    arrivals: list[Arrival] = []
    for _ in range(TIMES):
        leader = fleet.wait_for_leader()
        leader.stop_signal()
        _thaw_after_the_others_went_on(fleet, leader, broker, arrivals)
    _assert_accounted(fleet, broker, arrivals)


def test_frozen_in_the_middle_of_a_burst(
    make_fleet: MakeFleet, valkey: Server, broker: Broker
) -> None:
    """1,000 entries due at one instant; the leader is stopped when some of them have left."""
    conf = {**broker.conf, "habeat_lease_ttl": TTL_S}
    fleet = make_fleet(valkey, conf, entries(BURST, PERIOD_S))
    fleet.start(3)
    arrivals: list[Arrival] = []
    for _ in range(TIMES):
        leader = _stopped_in_a_burst(fleet, broker, arrivals)
        _thaw_after_the_others_went_on(fleet, leader, broker, arrivals)
    _assert_accounted(fleet, broker, arrivals)


def _stopped_in_a_burst(fleet: Fleet, broker: Broker, arrivals: list[Arrival]) -> CeleryProcess:
    """The moment is found by watching the queue; it may be missed, then the next burst comes."""
    for _ in range(6):
        leader = fleet.wait_for_leader()
        until(lambda: _stands_still(broker), 3 * PERIOD_S, "the last burst is over")
        there = broker.length()
        _wait_for_more(broker, there)
        leader.stop_signal()
        time.sleep(0.1)  # what it had sent arrives
        if broker.length() - there < BURST:
            return leader
        leader.cont()
    pytest.fail("the middle of a burst was never met")


def _stands_still(broker: Broker) -> bool:
    before = broker.length()
    time.sleep(0.7)
    return broker.length() == before


def _wait_for_more(broker: Broker, than: int) -> None:
    until(lambda: broker.length() > than, 3 * PERIOD_S, "a burst begins", every_s=0)


def _thaw_after_the_others_went_on(
    fleet: Fleet, leader: CeleryProcess, broker: Broker, arrivals: list[Arrival]
) -> None:
    time.sleep(FROZEN_S)
    fleet.wait_for_leader(other_than=leader)
    arrivals += broker.take()
    before = {arrival.firing for arrival in arrivals}
    leader.cont()
    time.sleep(2)
    after = broker.take()
    stale = [arrival for arrival in after if arrival.firing in before]
    allowed = 1 if isinstance(broker, OnRabbitMQ) else 0
    assert len(stale) <= allowed, f"{len(stale)} messages were sent by the thawed one: {stale[:5]}"
    arrivals += after
    assert fleet.all_alive, fleet.logs()


def _assert_accounted(fleet: Fleet, broker: Broker, arrivals: list[Arrival]) -> None:
    fleet.stop()
    arrivals += broker.take()
    expected = slots(fleet)
    repeats = TIMES * (UNSETTLED + STALE) if isinstance(broker, OnRabbitMQ) else 0
    again = assert_every_slot_once(arrivals, expected, repeats=repeats)
    print(f"{len(arrivals)} messages, {len(again)} repeated")
    assert_ledger_accounts(ledger(fleet), expected)
    assert_counters_add_up(fleet)
