"""A workbench, a command line and a client of one schedule, "proj", over an empty Valkey."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from habeat.client import Client
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.servers.redis_server import Server


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey, "habeat:proj", "proj")


@pytest.fixture
def shell(valkey: Server) -> Shell:
    return Shell(valkey.url())


@pytest.fixture
def client(shell: Shell) -> Iterator[Client]:
    with Client(shell.app) as client:
        yield client
