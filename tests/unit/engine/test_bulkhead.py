"""A part of a tick that fails on its own stops nothing else."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from habeat.ports import StoreUnavailable
from tests.unit.engine.world import World

OURS: list[Exception] = [
    ValueError("no number"),
    OverflowError("infinity"),
    RecursionError("too deep"),
    StoreUnavailable("other", "WRONGTYPE"),
]


class Mended:
    """Counts how often our own keys are checked; fails if the test wants."""

    def __init__(self, world: World) -> None:
        self.count = 0
        self.error: Exception | None = None
        world.chores.mend = self  # type: ignore[method-assign, assignment]

    def __call__(self, lead: object) -> None:
        self.count += 1
        if self.error is not None:
            raise self.error


def broken(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_requests_that_cannot_be_read_stop_no_entry(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    mended = Mended(world)
    world.add("a", every_ms=1_000)
    world.tick(2)
    world.engine._requests.run = broken(error)  # type: ignore[method-assign]
    whole = world.store.tick
    world.store.tick = lambda *a, **k: _with_a_request(whole(*a, **k))  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR, "habeat"):
        world.run(10_000)
    assert len(world.publisher.names) >= 10
    assert mended.count >= 1
    assert len([r for r in caplog.records if "carrying out requests failed" in r.message]) == 1


def test_a_turn_that_fails_has_our_keys_looked_at_before_the_next() -> None:
    world = World()
    mended = Mended(world)
    world.tick(2)
    whole = world.store.tick
    world.store.tick = broken(StoreUnavailable("other", "WRONGTYPE"))  # type: ignore[method-assign]
    world.tick()
    world.store.tick = whole  # type: ignore[method-assign]
    world.tick()
    assert mended.count == 1
    world.run(5_000)
    assert mended.count == 1


@pytest.mark.parametrize("fault", ["unreachable", "read_only", "out_of_memory", "denied", "busy"])
def test_what_redis_is_to_blame_for_is_not_looked_for_in_our_keys(fault: str) -> None:
    world = World()
    mended = Mended(world)
    world.tick(2)
    whole = world.store.tick
    world.store.tick = broken(StoreUnavailable(fault, "x"))  # type: ignore[method-assign]
    world.tick()
    world.store.tick = whole  # type: ignore[method-assign]
    world.run(5_000)
    assert mended.count == 0


def test_keys_that_cannot_be_put_right_are_named_once_and_dispatch_continues(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    mended = Mended(world)
    mended.error = StoreUnavailable("other", "WRONGTYPE")
    world.add("a", every_ms=1_000)
    world.chores.error = ValueError("once")
    with caplog.at_level(logging.ERROR, "habeat"):
        world.tick(3)
        world.chores.error = None
        world.run(10_000)
    assert len(world.publisher.names) >= 10
    assert 1 <= mended.count <= 3
    assert len([r for r in caplog.records if "own keys failed" in r.message]) == 1


def _with_a_request(tick: Any) -> Any:
    return replace(tick, request_ms=0)
