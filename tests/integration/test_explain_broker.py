"""The queue of an entry, as the broker sees it: Redis, RabbitMQ, and brokers that do not answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from celery import Celery
from kombu import Connection

import habeat
from habeat.client.explanation import broker
from habeat.client.explanation.broker import BrokerQuestion
from habeat.client.explanation.facts import QueueLook
from habeat.core.entry import Entry
from tests.support.servers.children import until
from tests.support.servers.rabbitmq import RabbitMQNode
from tests.support.servers.redis_server import Server

ENTRY = Entry("report", "proj.report", habeat.every(60))


def asked(url: str, entry: Entry = ENTRY) -> QueueLook:
    found = BrokerQuestion(Celery("proj", broker=url, set_as_current=False))(entry)
    assert found is not None
    return found


def test_on_redis_the_messages_are_counted_and_the_consumers_are_unknown(valkey: Server) -> None:
    assert asked(valkey.url()) == QueueLook("celery", 0)
    valkey.admin.lpush("celery", "one", "two")
    assert asked(valkey.url()) == QueueLook("celery", 2)


@pytest.fixture
def rabbit(shared_rabbitmq: RabbitMQNode) -> Iterator[tuple[str, Connection]]:
    url = shared_rabbitmq.fresh_vhost()
    with Connection(url) as connection:
        yield url, connection


def test_on_rabbitmq_a_queue_may_be_missing_or_have_no_consumer(
    rabbit: tuple[str, Connection],
) -> None:
    url, connection = rabbit
    assert asked(url) == QueueLook("celery", 0, is_missing=True)
    channel = connection.default_channel
    channel.queue_declare("celery", durable=True, auto_delete=False)
    assert asked(url) == QueueLook("celery", 0, 0)
    channel.basic_consume("celery", callback=lambda message: None)
    assert asked(url) == QueueLook("celery", 0, 1)


def test_a_queue_that_nothing_consumes_is_the_broken_link(
    rabbit: tuple[str, Connection], valkey: Server
) -> None:
    url, connection = rabbit
    connection.default_channel.queue_declare("celery", durable=True, auto_delete=False)
    app = Celery("proj", broker=url, set_as_current=False)
    app.conf.habeat_redis_url = valkey.url()
    with habeat.Client(app) as client:
        client.add("report", "proj.report", 3_600)
        assert "queue" not in {link.link for link in client.explain("report").links}
        # The chain of a slot to come ends at the leader that is missing.
        valkey.admin.set("{habeat:proj}:lease", "1795914002871:n", px=60_000)
        last = client.explain("report", broker=True).links[-1]
    assert (last.link, last.state) == ("queue", "broken")
    assert last.next_step.endswith("-Q celery")


def test_a_broker_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = threading.active_count()
        for scheme in ("amqp", "redis"):
            found = asked(f"{scheme}://127.0.0.1:{port}/")
            assert "did not answer" in found.problem or "cannot be asked" in found.problem
        until(lambda: threading.active_count() <= before + 1, 10, "the threads that asked end")


def test_a_broker_that_is_away_and_one_that_is_not_asked_say_so(valkey: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "the broker cannot be asked" in asked(f"redis://127.0.0.1:{port}/").problem
    assert asked("memory://").problem == "memory is not asked about its queues"
    routed = Entry("e", "t", ENTRY.schedule, options={"exchange": "x", "routing_key": "k"})
    assert asked(valkey.url(), routed).name == "x/k"
    assert BrokerQuestion(None)(ENTRY) is not None


def test_an_error_of_the_broker_shows_no_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for scheme in ("redis", "amqp"):
        assert "s3cret" not in repr(asked(f"{scheme}://:s3cret@127.0.0.1:{port}/"))
