"""Foreign code that is slow for the messages of one entry, in a whole replica.

Nothing is timed here: the tests count how often that code runs while the control entry fires.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.beat import BeatLazyFunc
from celery.signals import before_task_publish
from kombu.serialization import register, unregister
from kombu.utils import json

from habeat.core.circuit import SLOW_OPENS_AFTER
from tests.integration.hostile.world import World
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

SLEEP_S = 0.5
BAD = {"task": "proj.add", "schedule": 0.5, "args": (1, 2), "options": {"queue": "bad"}}


class Sleeps:
    """Counts how often it sleeps."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        time.sleep(SLEEP_S)
        return self.count


def its_own_apply_async(sleeps: Sleeps) -> tuple[Celery, dict[str, Any]]:
    app = make_app()

    class Tenants(Task):
        def apply_async(self, *args: Any, **options: Any) -> Any:
            sleeps()
            return super().apply_async(*args, **options)

    @app.task(name="proj.tenants", base=Tenants, shared=False)
    def work(a: int, b: int) -> None:
        """Never run here."""

    return app, {**BAD, "task": "proj.tenants"}


def lazy_arguments(sleeps: Sleeps) -> tuple[Celery, dict[str, Any]]:
    return make_app(), {**BAD, "args": (1, BeatLazyFunc(sleeps))}


def a_receiver(sleeps: Sleeps) -> tuple[Celery, dict[str, Any]]:
    def receives(headers: dict[str, Any], **_: Any) -> None:
        if headers["habeat_entry"] == "bad":
            sleeps()

    before_task_publish.connect(receives, weak=False, dispatch_uid="slow")
    return make_app(), BAD


def a_serializer(sleeps: Sleeps) -> tuple[Celery, dict[str, Any]]:
    def dumps(body: Any) -> str:
        sleeps()
        return str(json.dumps(body))

    register("slow", dumps, json.loads, content_type="application/x-slow")
    return make_app(), {**BAD, "options": {"queue": "bad", "serializer": "slow"}}


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    before_task_publish.disconnect(dispatch_uid="slow")
    try:
        unregister("slow")
    except Exception:
        return


SLOW = pytest.mark.slow


# The first two go different ways: a task that sends itself, and a message built by Celery.
@pytest.mark.parametrize(
    ("way", "dispatch"),
    [
        (its_own_apply_async, "outbox"),
        (a_receiver, "atomic"),
        pytest.param(its_own_apply_async, "atomic", marks=SLOW),
        pytest.param(a_receiver, "outbox", marks=SLOW),
        *(
            pytest.param(way, dispatch, marks=SLOW)
            for way in (lazy_arguments, a_serializer)
            for dispatch in ("atomic", "outbox")
        ),
    ],
)
def test_it_is_named_and_set_aside_and_the_control_misses_no_slot(
    way: Callable[[Sleeps], tuple[Celery, dict[str, Any]]], dispatch: str, valkey: Server
) -> None:
    sleeps = Sleeps()
    app, bad = way(sleeps)
    app.conf.habeat_dispatch = dispatch
    world = World(valkey, {"bad": bad}, app)
    try:
        world.turn_until(lambda: world.client.circuit("bad") is not None, 40)
        before = sleeps.count
        assert before >= SLOW_OPENS_AFTER
        world.fires(30)
        assert sleeps.count == before, "it is not tried again for half a minute"
        circuit = world.client.circuit("bad")
        assert circuit is not None
        assert "building its message took" in circuit.why
        assert [line for line in world.errors.lines if "'bad'" in line] == [
            line for line in world.errors.lines if "took too long" in line
        ]
        assert len([line for line in world.errors.lines if "took too long" in line]) == 1
        slots = world.slots()
        world.misses_none_since(slots[0])
        outcomes = {record.outcome for record in world.client.history("bad")}
        assert {"failed"} <= outcomes <= {"sent", "late", "failed"}
    finally:
        world.close()
