"""Outages of Redis and of the broker, as a replica stores them."""

from __future__ import annotations

from habeat.core.events import EventCode
from habeat.errors import StoreUnavailable
from habeat.ports.events import Happening, Report
from tests.unit.engine.world import World


class Log:
    """Keeps what is stored; `fault` is how it fails."""

    def __init__(self) -> None:
        self.stored: list[Happening] = []
        self.fault = ""

    def add(self, happening: Happening) -> bool:
        if self.fault:
            raise StoreUnavailable(self.fault, "it was refused")
        self.stored.append(happening)
        return True

    def codes(self) -> list[EventCode]:
        return [each.code for each in self.stored]


def world(log: Log) -> World:
    return World(event_log=log)


def without_redis(at: World, ms: int) -> None:
    """Redis does not answer for this long."""
    at.store.away = True
    at.run(ms)
    at.store.away = False


def test_an_outage_of_redis_is_stored_when_it_is_over() -> None:
    log = Log()
    at = world(log)
    at.run(2_000)
    began_ms = at.now_ms
    without_redis(at, 10_000)
    over_ms = at.now_ms
    assert log.stored == []
    at.run(3_000)
    (event,) = [each for each in log.stored if each.code == EventCode.REDIS_UNAVAILABLE]
    assert began_ms - 1_100 <= event.since_ms <= began_ms + 100
    assert event.until_ms is not None
    assert over_ms <= event.until_ms <= over_ms + 1_100
    assert (event.cause, event.report) == ("unreachable", Report.SEEN)


def test_a_standby_stores_it_too() -> None:
    log = Log()
    at = world(log)
    at.store.lease, at.store.lease_ends_us = "5:other", 10**18
    at.run(2_000)
    without_redis(at, 5_000)
    at.run(3_000)
    assert not at.election.leading
    assert log.codes() == [EventCode.REDIS_UNAVAILABLE]


def test_a_broker_that_fails_is_stored_at_once_and_its_end_too() -> None:
    log = Log()
    at = world(log)
    at.add("e", every_ms=1_000)
    at.run(3_000)
    assert log.codes() == [EventCode.BROKER_AVAILABLE]  # a new leader reports once that it works
    log.stored.clear()
    at.publisher.down = True
    at.run(5_000)
    (began,) = log.stored
    assert (began.code, began.until_ms) == (EventCode.BROKER_UNAVAILABLE, None)
    assert began.detail
    at.publisher.down = False
    at.run(5_000)
    assert log.codes() == [EventCode.BROKER_UNAVAILABLE, EventCode.BROKER_AVAILABLE]
    assert log.stored[-1].report is Report.END


def test_an_event_that_cannot_be_stored_waits_and_costs_nothing() -> None:
    log = Log()
    at = world(log)
    at.add("e", every_ms=1_000)
    at.run(2_000)
    log.fault = "unreachable"
    without_redis(at, 2_000)
    at.run(10_000)
    assert at.election.leading
    log.fault = ""
    at.run(2_000)
    assert EventCode.REDIS_UNAVAILABLE in log.codes()


def test_an_event_that_redis_refuses_for_good_is_left_out() -> None:
    log = Log()
    at = world(log)
    at.run(2_000)
    log.fault = "denied"
    without_redis(at, 2_000)
    at.run(3_000)
    log.fault = ""
    at.run(3_000)
    assert log.stored == []
