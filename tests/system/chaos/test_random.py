"""Faults drawn from a seed, one after the other and now and then two at a time.

    HABEAT_CHAOS_SEED=7 HABEAT_CHAOS_MINUTES=10 make chaos ARGS="-k random -s"

The same seed draws the same faults; the instruction at which they hit depends on the machine.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable

import pytest

from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.chaos import inflicting
from tests.system.chaos.arena import TTL_S, Arena
from tests.system.chaos.conftest import BOTH, MakeArena
from tests.system.chaos.explained import check_explanations
from tests.system.chaos.failpoints import POINTS, SIDES, SIGNALS

SEED = int(os.environ.get("HABEAT_CHAOS_SEED") or time.time_ns() % 1_000_000)
LASTS_S = float(os.environ.get("HABEAT_CHAOS_MINUTES") or 0.4) * 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 4 * LASTS_S)]

BEATS = 3
Act = Callable[[], object]


@pytest.mark.parametrize("dispatch", BOTH)
def test_random(
    request: pytest.FixtureRequest,
    arena_on: MakeArena,
    private_server: Callable[..., Server],
    dispatch: str,
) -> None:
    draw = random.Random(f"{SEED} {dispatch}")
    print(f"\nHABEAT_CHAOS_SEED={SEED}")
    server = private_server(appendonly=True, extra_args=("--enable-debug-command", "yes"))
    rabbit = request.getfixturevalue("rabbitmq") if dispatch == "outbox" else None
    arena = arena_on(server, rabbit)
    arena.start(BEATS)
    ends_s = time.monotonic() + LASTS_S
    while time.monotonic() < ends_s:
        _one_step(arena, draw)
        arena.begin_top_up(BEATS)
        time.sleep(draw.uniform(0, 1.5))
    print(f"HABEAT_CHAOS_SEED={SEED}: quiet now")
    arena.top_up(BEATS)
    events = arena.finish()
    fired = check_explanations(arena, events, draw)
    print(f"{fired} of the slots that were explained had fired")
    assert fired


def _one_step(arena: Arena, draw: random.Random) -> None:
    """A fault of the servers, one of a beat, or both at a time."""
    which = draw.choice(("beat", "beat", "servers", "both"))
    of_servers, of_beat = draw.choice(_of_servers(arena, draw)), _of_beat(draw)
    aside = threading.Thread(target=of_servers) if which in ("servers", "both") else None
    if aside:
        aside.start()
    if which != "servers":
        time.sleep(draw.uniform(0, 0.5))
        of_beat(arena)
    if aside:
        aside.join()


def _of_servers(arena: Arena, draw: random.Random) -> list[Act]:
    short_s, long_s = draw.uniform(0.1, 1.0), draw.uniform(1.0, TTL_S * 1.5)
    lasts_s = draw.choice((short_s, long_s))
    how = draw.choice(("pause", "sleep", "freeze", "delay"))
    found: list[Act] = [
        lambda: inflicting.redis_killed(arena, lasts_s),
        lambda: inflicting.redis_full(arena, lasts_s),
        lambda: inflicting.redis_read_only(arena, lasts_s, draw.choice(("few", "follows"))),
        lambda: inflicting.redis_slow(arena, lasts_s, how),
        lambda: inflicting.replies_lost(arena, lasts_s),
        lambda: inflicting.request_lost(arena, lasts_s),
        lambda: inflicting.connections_reset(arena),
    ]
    if arena.rabbit is not None:
        hanging = draw.choice(("freeze", "stall", "replies"))
        found += [
            lambda: inflicting.broker_hangs(arena, lasts_s, hanging),
            lambda: inflicting.broker_cut(arena),
            lambda: inflicting.broker_killed(arena, short_s),
        ]
    return found


def _of_beat(draw: random.Random) -> Callable[[Arena], None]:
    """Whatever is drawn is drawn now, so that the seed does not depend on what happens."""
    leads, lasts_s = draw.random() < 0.8, draw.uniform(0.2, TTL_S * 2)
    number, nth = draw.randrange(BEATS), draw.randint(1, 20)
    act = draw.choice(("kill", "freeze", "stop", "point", "point"))
    point, side, how = draw.choice(POINTS), draw.choice(SIDES), draw.choice(SIGNALS)
    order = f"{point}:{side}:{nth}:{how}"

    def inflict(arena: Arena) -> None:
        beats = [beat for beat in arena.beats.beats if beat.alive and _is_known(arena, beat)]
        if not beats:
            return
        leader = arena.beats.leader()
        beat = leader if leads and leader in beats else beats[number % len(beats)]
        assert beat is not None
        if act == "kill":
            inflicting.kill(arena, beat)
        elif act == "freeze":
            inflicting.freeze(arena, beat, lasts_s)
        elif act == "stop":
            inflicting.stop(arena, beat)
        else:
            inflicting.at_point(arena, beat, order, thaw_after_s=lasts_s, patience_s=3)

    return inflict


def _is_known(arena: Arena, beat: CeleryProcess) -> bool:
    return (arena.beats.orders.folder / f"{beat.pid}.nonce").exists()
