"""RabbitMQ killed and restarted, hanging in three ways, its connections reset."""

from __future__ import annotations

import time

import pytest

from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.chaos import inflicting
from tests.system.chaos.arena import TTL_S
from tests.system.chaos.conftest import MakeArena

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_killed_hanging_and_reset(arena_on: MakeArena, valkey: Server, rabbitmq: RabbitMQ) -> None:
    arena = arena_on(valkey, rabbitmq, proxied=False)
    arena.start()
    for how in ("freeze", "stall", "replies"):
        inflicting.broker_hangs(arena, TTL_S + 1, how)
        arena.fires()
    for _ in range(3):
        inflicting.broker_cut(arena)
        time.sleep(0.7)
    inflicting.broker_killed(arena, 1.0)
    arena.fires()
    inflicting.kill(arena, arena.leader())
    inflicting.broker_cut(arena)
    arena.top_up()
    arena.finish()
