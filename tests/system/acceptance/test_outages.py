"""Redis and the broker go away and come back, in every possible way.

No beat exits; every slot of that time is in the ledger; slots within their grace were sent; and the
log says so once, not at each tick.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from habeat.beat.declared.seeding import STORED_AGAIN
from tests.support.servers.children import until
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    LEFT,
    Record,
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    notes,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import OnRabbitMQ, redis_broker
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ENTRIES = 20
TTL_S = 2.0
AWAY_S = pick(6.0, 10.0)
BROKER_AWAY_S = pick(8.0, 20.0)
#: Of one replica, for one outage: what is said may change as the connection fails in new ways.
LINES_PER_OUTAGE = 4


@pytest.fixture
def kept(private_server: Callable[..., Server]) -> Server:
    """A Redis whose AOF outlives it."""
    return private_server(appendonly=True)


def test_killed_and_restarted_with_its_data(make_fleet: MakeFleet, kept: Server) -> None:
    broker = redis_broker(kept)
    fleet = _running(make_fleet, kept, broker.conf)
    kept.kill()
    time.sleep(AWAY_S)
    assert fleet.all_alive, fleet.logs()
    kept.start()
    expected = _resumed_and_stopped(fleet)
    assert_every_slot_once(broker.take(), expected)
    _assert_all_left(ledger(fleet), expected)
    assert_counters_add_up(fleet)
    _assert_said_once(fleet, "not dispatching until it answers again", "Redis answers again")


def test_paused(make_fleet: MakeFleet, kept: Server) -> None:
    broker = redis_broker(kept)
    fleet = _running(make_fleet, kept, broker.conf)
    kept.pause()
    time.sleep(AWAY_S)
    assert fleet.all_alive, fleet.logs()
    kept.resume()
    expected = _resumed_and_stopped(fleet)
    assert_every_slot_once(broker.take(), expected)
    _assert_all_left(ledger(fleet), expected)
    assert_counters_add_up(fleet)
    _assert_said_once(fleet, "not dispatching until it answers again", "Redis answers again")


def test_restarted_empty(make_fleet: MakeFleet, kept: Server) -> None:
    """Earlier slots are gone; every later one is there, and one note of the loss per entry."""
    broker = redis_broker(kept)
    fleet = _running(make_fleet, kept, broker.conf)
    before = broker.take()
    kept.kill()
    kept.delete_data()
    time.sleep(2)
    kept.start()
    expected = _resumed_and_stopped(fleet)
    assert len(expected) == ENTRIES, "the entries of beat_schedule are made anew"
    after = broker.take()
    assert_every_slot_once(after, expected)
    both = {a.firing for a in before} & {a.firing for a in after}
    assert not both, f"fired on both sides of the loss: {sorted(both)[:5]}"
    lost = notes(fleet)
    assert sorted(record.entry for record in lost) == sorted(expected)
    assert {record.reason for record in lost} == {STORED_AGAIN}
    _assert_all_left(ledger(fleet), expected)
    _assert_said_once(fleet, "not dispatching until it answers again", "Redis answers again")
    assert "history lost" in fleet.logs()


def test_broker_away(make_fleet: MakeFleet, valkey: Server, rabbitmq: RabbitMQ) -> None:
    broker = OnRabbitMQ(rabbitmq.fresh_vhost())
    fleet = _running(make_fleet, valkey, broker.conf)
    leader = fleet.wait_for_leader()
    rabbitmq.kill()
    time.sleep(BROKER_AWAY_S)
    assert fleet.all_alive, fleet.logs()
    rabbitmq.start()
    expected = _resumed_and_stopped(fleet)
    # The broker may have taken the batch on its way without being able to confirm it.
    assert_every_slot_once(broker.take(), expected, repeats=ENTRIES)
    _assert_all_left(ledger(fleet), expected)
    assert_counters_add_up(fleet)
    assert leader.log().count("the broker takes no messages") <= LINES_PER_OUTAGE, leader.log()


def _running(make_fleet: MakeFleet, server: Server, conf: dict[str, object]) -> Fleet:
    fleet = make_fleet(server, {**conf, "habeat_lease_ttl": TTL_S}, entries(ENTRIES))
    fleet.start(3)
    until(lambda: int(fleet.meta().get("settled", 0)) >= 3 * ENTRIES, 20, "they fire")
    return fleet


def _resumed_and_stopped(fleet: Fleet) -> dict[str, list[int]]:
    """Wait until they have caught up and three slots more have been sent; stop; the slots."""
    back_ms = time.time() * 1_000

    def fired_since() -> bool:
        found = slots(fleet) if fleet.client.exists(fleet.key("state")) else {}
        return len(found) == ENTRIES and all(
            run and run[-1] > back_ms + 3_000 for run in found.values()
        )

    until(fired_since, 40, lambda: f"the firings have resumed; they said\n{fleet.logs()}")
    assert fleet.all_alive, fleet.logs()
    fleet.stop()
    return slots(fleet)


def _assert_all_left(records: list[Record], expected: dict[str, list[int]]) -> None:
    """Everything was within its grace (60 s), so everything was sent."""
    assert_ledger_accounts(records, expected)
    held_back = [record for record in records if record.outcome not in LEFT]
    assert not held_back, held_back[:10]
    for entry, run in expected.items():
        assert run[-1] - run[0] == (len(run) - 1) * 1_000, f"{entry}: {run}"


def _assert_said_once(fleet: Fleet, when_it_began: str, when_it_ended: str) -> None:
    for process in fleet.processes.started:
        began = re.findall(f".*{when_it_began}.*", process.log())
        assert 1 <= len(began) <= LINES_PER_OUTAGE, "\n".join(began) or process.log()
        assert process.log().count(when_it_ended) == 1, process.log()
        lines = len(process.log().splitlines())
        assert lines < 40, f"{lines} lines are too many:\n{process.log()}"
