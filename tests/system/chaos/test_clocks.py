"""Wall clocks stepped under running beats: of one beat's host, by an hour; of Redis, by seconds
more than the lease. Nothing fires before its slot by the clock of Redis, and nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.servers.redis_server import Server, valkey_binary
from tests.system.acceptance.durations import FULL
from tests.system.chaos import inflicting
from tests.system.chaos.arena import TTL_S, Arena
from tests.system.chaos.clocks import Clock
from tests.system.chaos.conftest import BOTH, MakeArena, schedule
from tests.verification.history.events import Kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BEATS = 3
HOUR_S = 3_600
#: Longer than a lease, so that it ends, or outlives its holder, by the step alone.
STEP_S = TTL_S * 3


@pytest.mark.parametrize("dispatch", BOTH if FULL else ("outbox",))
def test_steps(
    request: pytest.FixtureRequest,
    arena_on: MakeArena,
    private_server: Callable[..., Server],
    tmp_path: Path,
    dispatch: str,
) -> None:
    rabbit = request.getfixturevalue("rabbitmq") if dispatch == "outbox" else None
    of_redis = Clock(tmp_path / "of-redis")
    server = private_server(of_redis.program(valkey_binary()))
    arena = arena_on(server, rabbit, schedule(30), proxied=False)
    assert arena.tape is not None
    arena.tape.step_us = round(STEP_S * 1_000_000)
    of_host = [Clock(tmp_path / f"of-host{index}") for index in range(BEATS)]
    clock_of = {}
    for clock in of_host:
        clock_of[arena.beats.start_one(env=clock.environment).pid] = clock
    arena.beats.settle(BEATS)
    arena.fires()
    for ahead_s in (HOUR_S, -HOUR_S, 0):
        leader = arena.leader()
        with arena.during(Kind.HOST_CLOCK, leader):
            clock_of[leader.pid].step(ahead_s)
            time.sleep(1)
        arena.fires()
    for ahead_s in (STEP_S, 0, -STEP_S, 0):
        _step_redis(arena, of_redis, ahead_s)
    _step_redis(arena, of_redis, -STEP_S)
    inflicting.kill(arena, arena.leader())  # its lease now outlives it by the step
    arena.fires()
    _step_redis(arena, of_redis, 0)
    arena.top_up()
    arena.finish()


def _step_redis(arena: Arena, clock: Clock, ahead_s: float) -> None:
    """The fault lasts until what a step back made wait is due again."""
    with arena.during(Kind.REDIS_CLOCK):
        clock.step(ahead_s)
        time.sleep(STEP_S / 3)
