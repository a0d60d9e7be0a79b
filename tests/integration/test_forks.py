"""A15: after a leader forks, one of the two processes leads, not both."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.integration.hostile.world import World
from tests.support.servers.redis_server import Server


@pytest.fixture
def world(valkey: Server) -> Iterator[World]:
    made = World(valkey)
    yield made
    made.close()


def test_a_forked_child_of_a_leader_does_not_lead(world: World) -> None:
    assert world.parts.election.leading
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # no assertions here: what the child finds it writes into the pipe
        try:
            os.write(write_end, f"leads: {world.parts.election.leading}".encode())
        finally:
            os._exit(0)
    os.close(write_end)
    said = os.read(read_end, 1_000)
    os.close(read_end)
    os.waitpid(child, 0)
    assert said == b"leads: False"
    assert world.parts.election.leading
    world.fires()
