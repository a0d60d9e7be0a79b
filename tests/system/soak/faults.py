"""The faults, one a minute; each is noted with its kind and its victim."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.servers.children import until
from tests.system.soak.arena import BEATS, Arena
from tests.system.soak.edits import burst
from tests.verification.history.events import Kind

Fault = Callable[[Arena], None]

RESTART_AFTER_S = 3.0


def _one(arena: Arena, *, leading: bool) -> int:
    """The place of the leader, or of a standby."""
    until(lambda: arena.leader() is not None, 30, "somebody leads")
    leader = arena.leader()
    others = [place for place in arena.beats if place != leader]
    return leader if leading and leader is not None else arena.random.choice(others)


def _who(leading: bool) -> str:
    return "leader" if leading else "standby"


def _kill(arena: Arena, *, leading: bool) -> None:
    place = _one(arena, leading=leading)
    with arena.during(Kind.KILL, f"SIGKILL of the {_who(leading)}", place):
        beat = arena.beats[place]
        arena.gone(place)
        beat.kill()
    time.sleep(RESTART_AFTER_S)
    arena.start(place)


def _term(arena: Arena, *, leading: bool) -> None:
    place = _one(arena, leading=leading)
    with arena.during(Kind.TERM, f"SIGTERM of the {_who(leading)}", place):
        _stop(arena, place)
    time.sleep(RESTART_AFTER_S)
    arena.start(place)


def _stop(arena: Arena, place: int) -> None:
    beat = arena.beats[place]
    arena.gone(place)
    beat.term()
    beat.wait(40)


def _freeze(arena: Arena, *, leading: bool) -> None:
    place, for_s = _one(arena, leading=leading), arena.random.uniform(2, 15)
    with arena.during(Kind.FREEZE, f"SIGSTOP of the {_who(leading)} for {for_s:.0f} s", place):
        beat = arena.beats[place]
        beat.stop_signal()
        time.sleep(for_s)
        beat.cont()


def redis_killed(arena: Arena) -> None:
    """SIGKILL, and a restart from the AOF."""
    for_s = arena.random.uniform(0.5, 3)
    with arena.during(Kind.REDIS_DOWN, f"Redis killed, back after {for_s:.1f} s"), arena.away:
        arena.server.kill()
        time.sleep(for_s)
        arena.server.start(timeout_s=60)


def redis_paused(arena: Arena) -> None:
    for_s = arena.random.uniform(2, 8)
    with arena.during(Kind.REDIS_SLOW, f"Redis frozen for {for_s:.0f} s"), arena.away:
        arena.server.pause()
        time.sleep(for_s)
        arena.server.resume()


def all_cut_off(arena: Arena) -> None:
    """No beat reaches Redis; their connections are reset."""
    for_s = arena.random.uniform(2, 10)
    with arena.during(Kind.REDIS_DOWN, f"all beats cut off from Redis for {for_s:.0f} s"):
        for place in range(BEATS):
            arena.ways.cut(place)
        time.sleep(for_s)
        for place in range(BEATS):
            arena.ways.heal(place)


def leader_cut_off(arena: Arena) -> None:
    """Nothing passes between the leader and Redis; its connections stay open."""
    place, for_s = _one(arena, leading=True), arena.random.uniform(3, 12)
    with arena.during(Kind.CUT_OFF, f"leader cut off from Redis for {for_s:.0f} s", place):
        arena.ways.stall(place)
        time.sleep(for_s)
        arena.ways.heal(place)


def pubsub_killed(arena: Arena) -> None:
    with arena.during(Kind.PUBSUB_CUT, "all pub/sub connections killed"):
        arena.fleet.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def edits(arena: Arena) -> None:
    with arena.during(Kind.EDIT, "a burst of edits"):
        burst(arena)


def rolling_restart(arena: Arena) -> None:
    """Beats are stopped one after the other, and each is replaced by a new one."""
    with arena.during(Kind.TERM, "rolling restart", *arena.beats):
        for place in list(arena.beats):
            _stop(arena, place)
            arena.start(place)
            arena.settle()


def broker_frozen(arena: Arena) -> None:
    assert arena.rabbit is not None
    for_s = arena.random.uniform(2, 6)
    with arena.during(Kind.BROKER_HANGS, f"RabbitMQ frozen for {for_s:.0f} s"), arena.away:
        arena.rabbit.pause()
        time.sleep(for_s)
        arena.rabbit.resume()


def broker_killed(arena: Arena) -> None:
    assert arena.rabbit is not None
    with arena.during(Kind.BROKER_DOWN, "RabbitMQ killed and started again"), arena.away:
        arena.rabbit.kill()
        arena.rabbit.start()


FAULTS: dict[str, Fault] = {
    "kill leader": lambda arena: _kill(arena, leading=True),
    "kill standby": lambda arena: _kill(arena, leading=False),
    "term leader": lambda arena: _term(arena, leading=True),
    "term standby": lambda arena: _term(arena, leading=False),
    "freeze leader": lambda arena: _freeze(arena, leading=True),
    "freeze standby": lambda arena: _freeze(arena, leading=False),
    "redis killed": redis_killed,
    "redis paused": redis_paused,
    "all cut off": all_cut_off,
    "leader cut off": leader_cut_off,
    "pub/sub killed": pubsub_killed,
    "edits": edits,
    "rolling restart": rolling_restart,
}
OF_A_BROKER: dict[str, Fault] = {"broker frozen": broker_frozen, "broker killed": broker_killed}
