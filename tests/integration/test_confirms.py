"""Confirmations of a real RabbitMQ, awaited later: which message gets which answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from habeat.beat.broker.broker import Broker
from habeat.beat.broker.envelope import Publication
from habeat.ports import BrokerUnavailable, PublishRefused, PublishUnknown
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQNode

TIMEOUT_S = 5.0
WORK = Queue("work", Exchange("work", type="direct"), routing_key="work")


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@pytest.fixture
def url(shared_rabbitmq: RabbitMQNode) -> str:
    return shared_rabbitmq.fresh_vhost()


@pytest.fixture
def made(url: str) -> Iterator[Callable[..., Broker]]:
    """Brokers to publish to, each by a connection of its own."""
    brokers: list[Broker] = []

    def make(to: str = url) -> Broker:
        brokers.append(Broker(Celery("proj", broker=to), TIMEOUT_S, now_ms))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.discard()


def message(queue: Queue = WORK, exchange: str = "work", **arguments: Any) -> Publication:
    given = {"exchange": exchange, "routing_key": queue.routing_key, "declare": [queue]}
    return Publication('"x"', "application/json", "utf-8", {**given, **arguments})


def length(url: str, queue: str = "work") -> int:
    with Connection(url) as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def test_a_message_is_on_its_way_when_its_destination_is_known(
    made: Callable[..., Broker], url: str
) -> None:
    broker = made()
    first, *others = [broker.publish(message(), 1, TIMEOUT_S) for _ in range(50)]
    assert first is None, "the first one to a destination has been waited for"
    assert all(others)
    for ticket in others:
        assert ticket is not None
        broker.wait_for(ticket, TIMEOUT_S)
        broker.wait_for(ticket, 0)  # it is known; no question to the broker is needed
    assert length(url) == 50


def test_a_refused_queue_loses_nothing_of_the_message_before_it(
    made: Callable[..., Broker], url: str
) -> None:
    with Connection(url) as connection:
        connection.default_channel.queue_declare("other", durable=False, auto_delete=False)
    broker = made()
    broker.publish(message(), 1, TIMEOUT_S)
    ticket = broker.publish(message(), 1, TIMEOUT_S)
    assert ticket is not None
    durable = Queue("other", Exchange("work", type="direct"), routing_key="other")
    with pytest.raises(PublishRefused):
        broker.publish(message(durable), 1, TIMEOUT_S)
    broker.wait_for(ticket, TIMEOUT_S)
    assert length(url) == 2
    broker.publish(message(), 1, TIMEOUT_S)
    assert length(url) == 3


def test_a_missing_exchange_is_reported_the_message_that_names_it(
    made: Callable[..., Broker], url: str
) -> None:
    broker = made()
    broker.publish(message(), 1, TIMEOUT_S)
    ticket = broker.publish(message(), 1, TIMEOUT_S)
    with pytest.raises(PublishRefused):
        broker.publish(message(exchange="nowhere", declare=[]), 1, TIMEOUT_S)
    assert ticket is not None
    broker.wait_for(ticket, TIMEOUT_S)
    assert length(url) == 2


def test_a_message_that_cannot_be_encoded_is_its_own_trouble(
    made: Callable[..., Broker], url: str
) -> None:
    broker = made()
    broker.publish(message(), 1, TIMEOUT_S)
    ticket = broker.publish(message(), 1, TIMEOUT_S)
    assert ticket is not None
    with pytest.raises(PublishRefused):
        broker.publish(message(priority=300), 1, TIMEOUT_S)
    broker.wait_for(ticket, 0)  # it was waited for before the connection was given up
    assert length(url) == 2


def test_a_full_queue_refuses_and_the_refusal_is_reported(
    made: Callable[..., Broker], url: str
) -> None:
    full = Queue(
        "full",
        Exchange("work", type="direct"),
        routing_key="full",
        queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
    )
    broker = made()
    broker.publish(message(full), 1, TIMEOUT_S)
    ticket = broker.publish(message(full), 1, TIMEOUT_S)
    assert ticket is not None
    with pytest.raises(PublishRefused, match="refused"):
        broker.wait_for(ticket, TIMEOUT_S)
    assert length(url, "full") == 1
    broker.publish(message(), 1, TIMEOUT_S)
    other = broker.publish(message(), 1, TIMEOUT_S)
    assert other is not None
    again = broker.publish(message(full), 1, TIMEOUT_S)
    assert again is not None
    with pytest.raises(PublishRefused, match="refused"):
        broker.wait_for(again, TIMEOUT_S)
    broker.wait_for(other, TIMEOUT_S)


def test_a_broker_that_falls_silent_is_not_waited_for_longer_than_said(
    made: Callable[..., Broker],
    url: str,
    shared_rabbitmq: RabbitMQNode,
    proxy: Callable[..., Proxy],
) -> None:
    way = proxy(shared_rabbitmq)
    broker = made(url.replace(f":{shared_rabbitmq.port}/", f":{way.port}/"))
    broker.publish(message(), 1, TIMEOUT_S)
    way.stall()
    ticket = broker.publish(message(), 1, TIMEOUT_S)
    assert ticket is not None
    with pytest.raises(BrokerUnavailable):
        broker.wait_for(ticket, 0.2)
    way.heal()
    assert broker.publish(message(), 1, TIMEOUT_S) is None, "by a new connection"


def test_a_confirmation_that_came_before_the_connection_closed_counts(
    made: Callable[..., Broker], url: str
) -> None:
    broker = made()
    broker.publish(message(), 1, TIMEOUT_S)
    known = broker.publish(message(), 1, TIMEOUT_S)
    assert known is not None
    broker.wait_for(known, TIMEOUT_S)
    unknown = broker.publish(message(), 1, TIMEOUT_S)
    assert unknown is not None
    broker.discard()
    broker.wait_for(known, 0)
    with pytest.raises(PublishUnknown, match="closed"):
        broker.wait_for(unknown, TIMEOUT_S)
    assert broker.publish(message(), 1, TIMEOUT_S) is None
