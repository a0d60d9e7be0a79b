"""Leaders cut off by a network that loses packets silently: from Redis, from the broker, from both,
in one direction or the other. No socket is closed: each side finds out by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.processes import Processes
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.chaos import inflicting
from tests.system.chaos.arena import TTL_S, Arena
from tests.system.chaos.conftest import MakeArena
from tests.system.chaos.ways import Ways

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BEATS = 3
#: Longer than the lease: another one leads meanwhile, and the one cut off must not send.
LONG_S = TTL_S + 1.5
#: Shorter than the lease, longer than a call's time limit.
SHORT_S = TTL_S * 0.4


@pytest.fixture
def ways(
    tmp_path: Path, valkey: Server, rabbitmq: RabbitMQ, processes: Processes
) -> Iterator[list[Ways]]:
    targets = [(valkey.host, valkey.port), (rabbitmq.host, rabbitmq.port)]
    made: list[Ways] = []
    try:
        for index in range(BEATS):
            made.append(Ways(tmp_path / f"network{index}", targets))
        yield made
    finally:
        processes.kill_all()
        for each in made:
            each.close()


def test_leaders_cut_off(
    arena_on: MakeArena, valkey: Server, rabbitmq: RabbitMQ, ways: list[Ways]
) -> None:
    arena = arena_on(valkey, rabbitmq, proxied=False)
    for each in ways:
        arena.beats.start_one(ways=each)
    arena.beats.settle(BEATS)
    arena.fires()
    for what in ("redis", "broker", "replies"):
        for lasts_s in (SHORT_S, LONG_S):
            _cut_off_the_leader(arena, lasts_s, what)
    arena.finish()


def _cut_off_the_leader(arena: Arena, for_s: float, what: str) -> None:
    leader = arena.leader()
    inflicting.cut_off(arena, leader, for_s, what)
    arena.fires()
