"""The faults, each injected into an arena and noted in its history."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.servers.processes import CeleryProcess
from tests.system.chaos.arena import Arena, now_us
from tests.system.chaos.ways import BROKER, REDIS
from tests.verification.history.events import Kind

#: How long a beat may take to reach a place: a few seconds, longer on a busy machine.
PATIENCE_S = 20
KINDS = {"KILL": Kind.KILL, "STOP": Kind.FREEZE, "TERM": Kind.TERM}


# -- to a beat --------------------------------------------------------------------------------


def kill(arena: Arena, beat: CeleryProcess) -> None:
    with arena.during(Kind.KILL, beat):
        beat.kill()
    arena.beats.beats.remove(beat)


def freeze(arena: Arena, beat: CeleryProcess, for_s: float) -> None:
    with arena.during(Kind.FREEZE, beat):
        beat.stop_signal()
        time.sleep(for_s)
        beat.cont()


def stop(arena: Arena, beat: CeleryProcess) -> None:
    """SIGTERM, and a clean end."""
    with arena.during(Kind.TERM, beat):
        beat.term()
        beat.wait(40)
    arena.beats.beats.remove(beat)


def at_point(
    arena: Arena,
    beat: CeleryProcess,
    order: str,
    *,
    thaw_after_s: float = 0,
    patience_s: float = PATIENCE_S,
) -> bool:
    """Give the order and wait for it; False if the beat did not get there in time."""
    arena.beats.orders.give(beat, order)
    return any_at_point(arena, [beat], order, thaw_after_s, patience_s)


def any_at_point(
    arena: Arena,
    beats: Sequence[CeleryProcess],
    order: str,
    thaw_after_s: float,
    patience_s: float = PATIENCE_S,
) -> bool:
    """Wait until one of these beats carries out the order, and note it; whether one did."""
    orders = arena.beats.orders
    ends_s = time.monotonic() + patience_s
    while not any(map(orders.hit_us, beats)) and time.monotonic() < ends_s:
        time.sleep(0.01)
    for beat in beats:
        orders.take_back(beat)
    hit = [(beat, orders.hit_us(beat)) for beat in beats if orders.hit_us(beat)]
    print(order, len(hit), end=" ", flush=True)
    how = order.rpartition(":")[2]
    if how == "STOP":
        time.sleep(thaw_after_s)
    for beat, hit_us in hit:
        arena.points[hit_us] = order
        if how == "STOP":
            beat.cont()
        else:
            beat.wait(40)
            arena.beats.beats.remove(beat)
        arena.note(KINDS[how], hit_us, hit_us if how == "KILL" else now_us(), beat)
    return bool(hit)


# -- to Redis ---------------------------------------------------------------------------------


def redis_killed(arena: Arena, down_s: float) -> None:
    """SIGKILL and a restart; the tape runs before the beats are let in again."""
    with arena.during(Kind.REDIS_DOWN):
        _restarted(arena, down_s)


def redis_persists_no_more(arena: Arena) -> None:
    """No AOF from now on, not after a restart either; no fault, but it allows some."""
    server = arena.server
    assert server is not None
    server.admin.config_set("appendonly", "no")
    server.arguments[server.arguments.index("--appendonly") + 1] = "no"
    server.delete_data()


def redis_restored(arena: Arena, later_s: float) -> None:
    """A snapshot, some time, a SIGKILL; what comes back is the snapshot. Not with an AOF."""
    as_of_us = now_us()
    _admin(arena).save()
    time.sleep(later_s)
    with arena.during(Kind.REDIS_DOWN):
        _restarted(arena, 0.5, lambda: arena.lost(Kind.REDIS_RESTORED, as_of_us))


def redis_restarted_empty(arena: Arena, down_s: float) -> None:
    """A SIGKILL and a restart without any data. Not with an AOF."""
    assert arena.server is not None
    arena.server.delete_data()
    with arena.during(Kind.REDIS_DOWN):
        _restarted(arena, down_s, lambda: arena.lost(Kind.REDIS_EMPTIED, 0))


def redis_emptied(arena: Arena) -> None:
    """FLUSHALL while all beats run."""
    assert arena.way is not None
    with arena.during(Kind.REDIS_DOWN):
        arena.way.stall()  # so that nothing is written at the very moment
        time.sleep(0.05)
        arena.lost(Kind.REDIS_EMPTIED, 0)
        _admin(arena).flushall()
        time.sleep(0.05)
        arena.way.heal()


def _restarted(arena: Arena, down_s: float, meanwhile: Callable[[], None] = lambda: None) -> None:
    server, way, tape = arena.server, arena.way, arena.tape
    assert server is not None
    assert way is not None
    assert tape is not None
    way.cut()
    time.sleep(0.1)  # what was carried out is on the tape
    server.kill()
    meanwhile()
    time.sleep(down_s)
    server.start()
    tape.attach()
    way.heal()


def redis_slow(arena: Arena, for_s: float, how: str) -> None:
    """how: "pause" (CLIENT PAUSE), "sleep" (DEBUG SLEEP), "freeze" (SIGSTOP), "delay" (proxy)."""
    server, way = arena.server, arena.way
    assert server is not None
    with arena.during(Kind.REDIS_SLOW):
        if how == "pause":
            _admin(arena).execute_command("CLIENT", "PAUSE", int(for_s * 1_000), "ALL")
            time.sleep(for_s)
        elif how == "sleep":
            client = server.client(socket_timeout=for_s + 10)
            client.execute_command("DEBUG", "SLEEP", for_s)
        elif how == "freeze":
            server.pause()
            time.sleep(for_s)
            server.resume()
        else:
            assert way is not None
            way.delay_s = 0.1
            time.sleep(for_s)
            way.delay_s = 0.0


def redis_full(arena: Arena, for_s: float) -> None:
    with arena.during(Kind.REDIS_OOM):
        _admin(arena).config_set("maxmemory", "1")
        time.sleep(for_s)
        _admin(arena).config_set("maxmemory", "0")


def redis_read_only(arena: Arena, for_s: float, how: str) -> None:
    """how: "few" (min-replicas-to-write), "follows" (REPLICAOF a master that is not there)."""
    with arena.during(Kind.REDIS_READONLY):
        admin = _admin(arena)
        if how == "few":
            admin.config_set("min-replicas-to-write", "1")
            time.sleep(for_s)
            admin.config_set("min-replicas-to-write", "0")
        else:
            admin.execute_command("REPLICAOF", "127.0.0.1", "1")
            time.sleep(for_s)
            admin.execute_command("REPLICAOF", "NO", "ONE")


def _admin(arena: Arena) -> Any:
    assert arena.server is not None
    return arena.server.admin


# -- to the way between a beat and Redis -----------------------------------------------------


def request_lost(arena: Arena, for_s: float) -> None:
    """What is sent arrives late, and sockets stay open."""
    assert arena.way is not None
    with arena.during(Kind.REDIS_SLOW):
        arena.way.stall(replies=False)
        time.sleep(for_s)
        arena.way.heal()


def replies_lost(arena: Arena, for_s: float) -> None:
    """Commands are executed, and no answer comes in time."""
    assert arena.way is not None
    with arena.during(Kind.REDIS_SLOW):
        arena.way.stall(requests=False)
        time.sleep(for_s)
        arena.way.heal()


def connections_reset(arena: Arena) -> None:
    """Every connection to Redis, those of pub/sub included."""
    assert arena.way is not None
    with arena.during(Kind.REDIS_DOWN):
        arena.way.drop_connections()


# -- to the broker ----------------------------------------------------------------------------


def broker_killed(arena: Arena, down_s: float) -> None:
    rabbit = arena.rabbit
    assert rabbit is not None
    with arena.during(Kind.BROKER_DOWN):
        rabbit.kill()
        time.sleep(down_s)
        rabbit.start()


def broker_hangs(arena: Arena, for_s: float, how: str) -> None:
    """how: "freeze" (SIGSTOP), "stall" (the proxy holds all back), "replies" (confirms only)."""
    rabbit, way = arena.rabbit, arena.broker_way
    assert rabbit is not None
    assert way is not None
    with arena.during(Kind.BROKER_HANGS):
        if how == "freeze":
            rabbit.pause()
            time.sleep(for_s)
            rabbit.resume()
        else:
            way.stall(requests=how != "replies")
            time.sleep(for_s)
            way.heal()


def broker_cut(arena: Arena) -> None:
    """Every connection to the broker is reset."""
    assert arena.broker_way is not None
    with arena.during(Kind.BROKER_DOWN):
        arena.broker_way.drop_connections()


# -- to one beat's network --------------------------------------------------------------------


def cut_off(arena: Arena, beat: CeleryProcess, for_s: float, what: str) -> None:
    """what: "redis" or "broker" (what it sends there vanishes), "replies" (what it is sent)."""
    ways = arena.beats.ways[beat.pid]
    with arena.during(Kind.BROKER_CUT if what == "broker" else Kind.CUT_OFF, beat):
        if what == "replies":
            ways.lose_replies()
        else:
            ways.lose_requests(BROKER if what == "broker" else REDIS)
        time.sleep(for_s)
        ways.heal()
