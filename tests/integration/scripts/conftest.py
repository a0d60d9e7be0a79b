"""The scripts on every server that habeat supports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.scripts.bench import Bench
from tests.support.servers.redis_server import Server


@pytest.fixture(params=["valkey", pytest.param("redis70", marks=pytest.mark.slow), "redis62"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers in turn, empty: the newest, one between, and the floor."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bench(server: Server) -> Iterator[Bench]:
    made = Bench(server)
    yield made
    made.admin.config_set("maxmemory", 0)
    made.admin.config_set("maxmemory-policy", "noeviction")
