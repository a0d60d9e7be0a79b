"""Deploys under load: old and new beats side by side, of two releases; and entries gone bad."""

from __future__ import annotations

import pytest

from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import write_app
from tests.system.acceptance.durations import FULL
from tests.system.chaos import inflicting
from tests.system.chaos.arena import Arena
from tests.system.chaos.beats import IN_THE_APP
from tests.system.chaos.conftest import BOTH, MakeArena
from tests.verification.history.events import Kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

COUNT = 60
#: The new deploy changes the first ten, and has ten others in the place of the last ten.
OLD = f"""{{
    f"e{{i:05d}}": {{"task": "proj.work", "schedule": 1.0}} for i in range({COUNT})
}}"""
NEW = f"""{{
    f"e{{i:05d}}": {{"task": "proj.work", "schedule": 2.0 if i < 10 else 1.0, "args": (i // 20,)}}
    for i in [*range({COUNT - 10}), *range({COUNT}, {COUNT + 10})]
}}"""


@pytest.mark.parametrize("dispatch", BOTH if FULL else ("atomic",))
def test_rolled_out_and_back(
    request: pytest.FixtureRequest, arena_on: MakeArena, valkey: Server, dispatch: str
) -> None:
    rabbit = request.getfixturevalue("rabbitmq") if dispatch == "outbox" else None
    arena = arena_on(valkey, rabbit, OLD, proxied=False)
    _write_the_new(arena)
    arena.start()
    with arena.during(Kind.DEPLOY):
        _roll(arena, "proj_new")
        until(lambda: _stored(arena, f"e{COUNT + 9:05d}"), 30, arena.beats.logs)
        arena.fires()
    with arena.during(Kind.DEPLOY):
        _roll(arena, "proj", crash=True)
        arena.fires()
    _other_releases(arena)
    arena.finish()


def _write_the_new(arena: Arena) -> None:
    write_app(arena.beats.folder, arena.beats.conf, NEW, module="proj_new", more=IN_THE_APP)


def _roll(arena: Arena, module: str, *, crash: bool = False) -> None:
    """One by one, a new beat starts and an old one stops, the leader last."""
    old = list(arena.beats.beats)
    leader = arena.leader()
    for beat in [*(each for each in old if each is not leader), leader]:
        arena.beats.start_one(module=module)
        arena.beats.settle(len(old) + 1)
        if crash and beat is leader:
            inflicting.kill(arena, beat)
        else:
            inflicting.stop(arena, beat)
    arena.beats.settle(len(old))


def _stored(arena: Arena, name: str) -> bool:
    return bool(arena.beats.client.hexists(arena.beats.key("entries"), name))


def _other_releases(arena: Arena) -> None:
    """One with another schema stands by, inert; one of another release works with the rest."""
    inert = arena.beats.start_one(env={"SCHEMA_OF_THIS_BEAT": "999"})
    friend = arena.beats.start_one(env={"RELEASE_OF_THIS_BEAT": "0.0.1"})
    arena.beats.settle(5)
    inert.wait_for_log("inert standby", 40)
    with arena.during(Kind.DEPLOY):
        for beat in [each for each in arena.beats.beats if each not in (inert, friend)]:
            inflicting.kill(arena, beat)
        leader = arena.leader()
        assert leader is friend, f"{leader} leads\n{arena.beats.logs()}"
        arena.fires()
        fields = arena.beats.replicas()
        assert fields[arena.beats.nonce(friend)]["habeat"] == "0.0.1"
        assert fields[arena.beats.nonce(inert)]["role"] == "inert"
    assert inert.alive
    inflicting.kill(arena, inert)
    arena.top_up()
