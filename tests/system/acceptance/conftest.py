"""Fixtures of the slow suites: a fleet of beats in the test's folder, and the brokers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.processes import Processes
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import write_app
from tests.system.acceptance.arrivals import Broker, OnRabbitMQ, redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet


@pytest.fixture
def make_fleet(tmp_path: Path, processes: Processes) -> MakeFleet:
    """`make_fleet(server, conf, schedule)`: an app in the test's folder, its beats not started."""

    def make(server: Server, conf: dict[str, Any], schedule: str = "{}", **options: Any) -> Fleet:
        url = conf.get("habeat_redis_url", server.url())
        write_app(tmp_path, {**conf, "habeat_redis_url": url}, schedule, **options)
        return Fleet(processes, tmp_path, server.client())

    return make


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest, valkey: Server) -> Broker:
    """Redis, dispatched to atomically, and RabbitMQ, by the outbox."""
    if request.param == "redis":
        return redis_broker(valkey)
    rabbit: RabbitMQ = request.getfixturevalue("rabbitmq")
    return OnRabbitMQ(rabbit.fresh_vhost())
