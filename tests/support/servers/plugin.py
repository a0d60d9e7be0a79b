"""The fixtures: `pytest_plugins = ["tests.support.servers.plugin"]`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.servers.cluster import Cluster, start_cluster
from tests.support.servers.processes import Processes
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ, RabbitMQNode, start_rabbitmq
from tests.support.servers.redis_server import (
    Server,
    redis62_binary,
    redis70_binary,
    start_server,
    valkey_binary,
)
from tests.support.servers.sentinel import Sentinels, start_sentinels
from tests.support.servers.shared_rabbitmq import join


@pytest.fixture(scope="session")
def valkey_process() -> Iterator[Server]:
    server = start_server(valkey_binary())
    yield server
    server.dispose()


@pytest.fixture(scope="session")
def redis70_process() -> Iterator[Server]:
    server = start_server(redis70_binary())
    yield server
    server.dispose()


@pytest.fixture(scope="session")
def redis62_process() -> Iterator[Server]:
    server = start_server(redis62_binary())
    yield server
    server.dispose()


@pytest.fixture
def valkey(valkey_process: Server) -> Iterator[Server]:
    """Valkey 9, empty. One process for the whole run, also after a test that killed it."""
    yield from _clean(valkey_process)


@pytest.fixture
def redis70(redis70_process: Server) -> Iterator[Server]:
    """The distribution's Redis (7.0 on Debian 12), empty."""
    yield from _clean(redis70_process)


@pytest.fixture
def redis62(redis62_process: Server) -> Iterator[Server]:
    """Redis 6.2, the oldest that habeat supports, empty."""
    yield from _clean(redis62_process)


@pytest.fixture
def private_server() -> Iterator[Callable[..., Server]]:
    """`start_server` for one test; what it started is ended with the test."""
    started: list[Server] = []

    def start(binary: Any = None, **options: Any) -> Server:
        server = start_server(binary or valkey_binary(), **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.dispose()


def _ready(server: Server) -> None:
    if server.alive:
        server.resume()
    else:
        server.start()
    client = server.admin
    client.flushall()
    client.script_flush()


def _clean(server: Server) -> Iterator[Server]:
    _ready(server)
    yield server
    server.forget_clients()
    if server.alive:
        server.resume()


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    """Three Sentinels over a Redis with two Redis replicas; fresh, for tests that break it."""
    trio = start_sentinels(valkey_binary())
    yield trio
    trio.dispose()


@pytest.fixture(scope="session")
def cluster_process() -> Iterator[Cluster]:
    made = start_cluster(valkey_binary())
    yield made
    made.dispose()


@pytest.fixture
def cluster(cluster_process: Cluster) -> Iterator[Cluster]:
    """A Cluster of three masters, empty."""
    for node in cluster_process.nodes:
        _ready(node)
    yield cluster_process
    for node in cluster_process.nodes:
        node.forget_clients()


@pytest.fixture
def processes() -> Iterator[Processes]:
    """`spawn_beat` and `spawn_worker`; what they started is killed with the test."""
    started = Processes()
    yield started
    started.kill_all()


@pytest.fixture
def proxy() -> Iterator[Callable[[Server], Proxy]]:
    """`proxy(server)`: a proxy in front of it, closed with the test."""
    made: list[Proxy] = []

    def before(server: Server) -> Proxy:
        made.append(Proxy(server.host, server.port))
        return made[-1]

    yield before
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def rabbitmq_process() -> Iterator[RabbitMQ]:
    broker = start_rabbitmq()
    yield broker
    broker.dispose()


@pytest.fixture
def rabbitmq(rabbitmq_process: RabbitMQ) -> Iterator[RabbitMQ]:
    """A RabbitMQ of this process, for tests that stop, freeze or kill it."""
    if rabbitmq_process.alive:
        rabbitmq_process.resume()
    else:
        rabbitmq_process.start()
    yield rabbitmq_process
    if rabbitmq_process.alive:
        rabbitmq_process.resume()


@pytest.fixture(scope="session")
def shared_rabbitmq(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> RabbitMQNode:
    """A RabbitMQ that all processes of the run use at once; each test takes a `fresh_vhost()`."""
    base = tmp_path_factory.getbasetemp()
    node, leave = join(base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base)
    # Not at the end of the last test: waiting for other processes must not count as its time.
    request.config.add_cleanup(leave)
    return node
