"""A beat is ended or frozen on both sides of every network call: killed, frozen and thawed, or
stopped, just before the call is sent and just after the server has executed it.

One fleet takes all orders of a dispatch, one after the other, each given to a beat that will
come by that place: the leader; a standby; or whichever standby takes over, for which the leader
is ended first, in the middle of a claim where the heir is to find intents in flight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.durations import FULL
from tests.system.chaos import inflicting
from tests.system.chaos.arena import TTL_S, Arena
from tests.system.chaos.conftest import BOTH, MakeArena, schedule
from tests.system.chaos.failpoints import SIDES, SIGNALS
from tests.verification.history.events import Arrival

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

LEADING = ("tick", "claim", "publish", "settle", "register", "release")
STANDING_BY = ("observe",)
#: The place, and the order for the leader that makes a standby come by it.
TAKING_OVER = {
    "steal": "tick:before:1:KILL",
    "acquire": "tick:before:1:TERM",
    "recover": "claim:after:1:KILL",
    "mark": "claim:after:1:KILL",
}
OUTBOX_ONLY = ("publish", "settle", "recover", "mark")
#: What is tried unless all is: a SIGKILL everywhere, the rest where something can be half done.
SHORT = {
    "outbox": {
        "KILL": (*LEADING, *STANDING_BY, *TAKING_OVER),
        "STOP": ("claim", "publish", "settle"),
        "TERM": ("publish",),
    },
    "atomic": {"KILL": ("tick", "claim", "steal"), "STOP": ("claim",), "TERM": ("claim",)},
}
#: One more than at a time are needed, so that the next order need not wait for a start.
BEATS = 4
THAW_AFTER_S = TTL_S + 0.3

#: The worker notes what it runs, so that it can be held against what was sent.
NOTING = """
from celery.signals import task_prerun
@task_prerun.connect
def noting(task_id=None, **_):
    with open({path!r}, "a") as out:
        out.write(task_id + "\\n")
"""


def orders(dispatch: str) -> Iterator[tuple[str, str, str]]:
    """Point, side and signal; signals alternate, so that the fleet is never short of beats."""
    for point in (*LEADING, *STANDING_BY, *TAKING_OVER):
        if dispatch == "atomic" and point in OUTBOX_ONLY:
            continue
        for side in SIDES:
            for how in SIGNALS:
                if FULL or point in SHORT[dispatch][how]:
                    yield point, side, how


@pytest.mark.parametrize("dispatch", BOTH)
def test_on_both_sides_of_every_call(
    request: pytest.FixtureRequest,
    arena_on: MakeArena,
    valkey: Server,
    tmp_path: Path,
    dispatch: str,
) -> None:
    atomic = dispatch == "atomic"
    rabbit = None if atomic else request.getfixturevalue("rabbitmq")
    ran = tmp_path / "ran"
    arena = arena_on(valkey, rabbit, schedule(30), proxied=False, more=NOTING.format(path=str(ran)))
    if atomic:
        arena.beats.processes.worker("proj", ["-l", "WARNING"], cwd=tmp_path)
    arena.start(BEATS)
    unmet = [order for order in orders(dispatch) if not _strike(arena, *order)]
    arena.top_up(BEATS)
    sent = Counter(event.task_id for event in arena.finish() if isinstance(event, Arrival))
    assert not unmet, f"these places were never come by: {unmet}"
    if atomic:
        until(lambda: len(_ran(ran)) >= sent.total(), 30, "the worker has run them all")
        assert Counter(_ran(ran)) == sent


def _ran(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _strike(arena: Arena, point: str, side: str, how: str) -> bool:
    """Carry out one order; repeat it if its place was not reached (the other heir was quicker)."""
    return any(_struck(arena, point, side, how) for _ in range(3))


def _struck(arena: Arena, point: str, side: str, how: str) -> bool:
    arena.begin_top_up(BEATS)
    arena.beats.settle(BEATS - 1)
    order = f"{point}:{side}:{2 if point in ('claim', 'publish', 'settle') else 1}:{how}"
    leader = arena.leader()
    if point in TAKING_OVER:
        heirs = arena.beats.standbys()
        for heir in heirs:
            arena.beats.orders.give(heir, order)
        met = inflicting.at_point(arena, leader, TAKING_OVER[point])
        return inflicting.any_at_point(arena, heirs, order, THAW_AFTER_S) and met
    target = arena.beats.standbys()[0] if point in STANDING_BY else leader
    arena.beats.orders.give(target, order)
    if point == "release":
        target.term()
    return inflicting.any_at_point(arena, [target], order, THAW_AFTER_S)
