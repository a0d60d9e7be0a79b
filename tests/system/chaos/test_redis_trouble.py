"""Redis killed, restarted, set back, emptied, full, read-only, slow: atomic and by the outbox."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.servers.redis_server import Server
from tests.system.chaos import inflicting
from tests.system.chaos.arena import TTL_S
from tests.system.chaos.conftest import BOTH, MakeArena

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("dispatch", BOTH)
def test_away_full_read_only_slow_and_forgetful(
    request: pytest.FixtureRequest,
    arena_on: MakeArena,
    private_server: Callable[..., Server],
    dispatch: str,
) -> None:
    server = private_server(appendonly=True, extra_args=("--enable-debug-command", "yes"))
    rabbit = request.getfixturevalue("rabbitmq") if dispatch == "outbox" else None
    arena = arena_on(server, rabbit)
    arena.start()
    # Its data stays: nothing is lost, and repeats are those that a lost answer explains.
    inflicting.redis_killed(arena, 1.0)
    arena.fires()
    inflicting.redis_full(arena, 1.5)
    arena.fires()
    inflicting.redis_read_only(arena, 1.5, "few")
    arena.fires()
    inflicting.redis_slow(arena, 1.0, "sleep")
    inflicting.redis_slow(arena, 1.0, "delay")
    inflicting.replies_lost(arena, 1.0)
    arena.fires()
    inflicting.redis_slow(arena, TTL_S + 1, "freeze")
    arena.fires()
    inflicting.redis_killed(arena, TTL_S + 1)
    arena.fires()
    inflicting.connections_reset(arena)
    inflicting.redis_read_only(arena, 1.0, "follows")
    arena.fires()
    inflicting.request_lost(arena, 1.0)
    inflicting.redis_slow(arena, 1.0, "pause")
    arena.fires()
    # Its data goes: an older snapshot, nothing from one moment to the next, nothing at a start.
    inflicting.redis_persists_no_more(arena)
    inflicting.redis_restored(arena, 2.0)
    arena.fires()
    inflicting.redis_emptied(arena)
    arena.fires()
    time.sleep(1)
    inflicting.redis_restarted_empty(arena, 1.0)
    arena.finish()
