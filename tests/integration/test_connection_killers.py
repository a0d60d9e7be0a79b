"""If RabbitMQ closes the connection because of a message, only that message is to blame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from habeat.beat.broker.broker import Broker
from habeat.beat.broker.envelope import Publication
from habeat.ports import BrokerUnavailable, PublishUnknown
from tests.support.servers.rabbitmq import RabbitMQNode

TIMEOUT_S = 5.0
WORK = Queue("work", Exchange("work", type="direct"), routing_key="work")
#: More than a frame may hold: RabbitMQ answers with FRAME_ERROR and hangs up.
TOO_LARGE = "x" * 200_000


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def message(entry: str, body: str = '"x"', **headers: Any) -> Publication:
    given = {"exchange": "work", "routing_key": "work", "declare": [WORK]}
    fields = {"habeat_entry": entry, **headers}
    return Publication(body, "application/json", "utf-8", {**given, "headers": fields})


@pytest.fixture
def url(shared_rabbitmq: RabbitMQNode) -> str:
    return shared_rabbitmq.fresh_vhost()


@pytest.fixture
def made(url: str) -> Iterator[Callable[[], Broker]]:
    brokers: list[Broker] = []

    def make() -> Broker:
        brokers.append(Broker(Celery("proj", broker=url), TIMEOUT_S, now_ms))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.discard()


def sent(broker: Broker, publication: Publication, attempt: int) -> None:
    """Published, and what the broker says of it waited for."""
    ticket = broker.publish(publication, attempt, TIMEOUT_S)
    if ticket is not None:
        broker.wait_for(ticket, TIMEOUT_S)


def length(url: str) -> int:
    with Connection(url) as connection:
        return int(connection.default_channel.queue_declare("work", passive=True).message_count)


def test_what_makes_the_server_hang_up_is_not_a_lost_broker(
    made: Callable[[], Broker], url: str
) -> None:
    broker = made()
    broker.publish(message("good"), 1, TIMEOUT_S)
    taken = 1
    for attempt in (1, 2):
        ticket = broker.publish(message("good"), 1, TIMEOUT_S)
        taken += 1
        with pytest.raises(PublishUnknown):
            sent(broker, message("bad", large=TOO_LARGE), attempt)
        if ticket is not None and attempt == 2:
            broker.wait_for(ticket, 0)  # it was known to be taken before the bad one was sent
        broker.publish(message("good"), 1, TIMEOUT_S)
        taken += 1
    assert length(url) == taken


def test_a_connection_that_was_closed_meanwhile_costs_no_message(
    made: Callable[[], Broker], url: str, shared_rabbitmq: RabbitMQNode
) -> None:
    broker = made()
    broker.publish(message("a"), 1, TIMEOUT_S)
    before = broker.connection
    shared_rabbitmq.close_connections(url)
    ends_ms = now_ms() + 5_000
    while broker.connection is before and now_ms() < ends_ms:
        broker.connect(TIMEOUT_S)
    assert broker.connection is not before
    broker.publish(message("a"), 1, TIMEOUT_S)
    assert length(url) == 2


def test_the_probe_leaves_nothing_and_needs_no_queue(made: Callable[[], Broker], url: str) -> None:
    broker = made()
    broker.ask_anew(TIMEOUT_S)
    broker.publish(message("a"), 1, TIMEOUT_S)
    assert length(url) == 1


def test_the_probe_sees_that_the_broker_is_gone() -> None:
    broker = Broker(Celery("proj", broker="amqp://guest:guest@127.0.0.1:1//"), TIMEOUT_S, now_ms)
    with pytest.raises(BrokerUnavailable):
        broker.ask_anew(TIMEOUT_S)
