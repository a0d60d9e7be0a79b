"""Registered kinds of schedule in a whole replica: one that hangs holds up its own entry only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from habeat.schedules import Schedule, register
from tests.integration.hostile.world import World
from tests.support.servers.redis_server import Server


@register
@dataclass(frozen=True, repr=False)
class Moons(Schedule):
    """Every half second, until the test has it hang."""

    kind: ClassVar[str] = "moons"
    hangs: ClassVar[str] = ""
    gate: ClassVar[threading.Event] = threading.Event()
    hung: ClassVar[list[str]] = []
    spins: ClassVar[bool] = False

    every_ms: int = 500

    def __post_init__(self) -> None:
        self._maybe("made")

    def next_after_ms(self, after_ms: int) -> int | None:
        self._maybe("asked")
        return after_ms // self.every_ms * self.every_ms + self.every_ms

    def describe(self) -> str:
        return "by the moon"

    def _maybe(self, what: str) -> None:
        in_loop = threading.current_thread() is not threading.main_thread()
        if what == self.hangs and in_loop:
            self.hung.append(what)
            while not self.gate.wait(0 if self.spins else 60):
                pass  # an endless loop, if it spins


@pytest.fixture
def world(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(Moons, "gate", threading.Event())
    monkeypatch.setattr(Moons, "hung", [])
    made = World(valkey)
    yield made
    Moons.gate.set()
    made.close()


def leaderships(world: World) -> int:
    return int(world.admin.hget(world.keys.meta, "lease_epoch") or 0)


def left(world: World, queue: str) -> int:
    return int(world.admin.llen(queue))


@pytest.mark.parametrize(
    ("what", "spins"),
    [
        ("made", False),
        pytest.param("asked", False, marks=pytest.mark.slow),
        pytest.param("asked", True, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_one_that_never_returns_costs_neither_the_lease_nor_a_slot_of_others(
    what: str, spins: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = world.client
    client.add("moons", "proj.add", Moons(), args=(1, 2), options={"queue": "moons"})
    world.turn_until(lambda: left(world, "moons") >= 2)
    since, epoch = world.slots()[-1], leaderships(world)
    monkeypatch.setattr(Moons, "hangs", what)
    monkeypatch.setattr(Moons, "spins", spins)
    if what == "made":  # another definition has to be read
        client.update("moons", description="read it once more")
    world.turn_until(lambda: len(Moons.hung) > 0)
    world.fires(20)
    assert len(Moons.hung) == 1, "it is not asked again while it hangs"
    assert len([line for line in world.errors.lines if "'moons'" in line]) == 1
    assert "did not answer within" in "".join(world.errors.lines)
    assert leaderships(world) == epoch
    world.misses_none_since(since)
    monkeypatch.setattr(Moons, "hangs", "")
    client.update("moons", schedule=Moons(400))
    if client.get("moons").condition == "quarantined":
        client.resume("moons")
    before = left(world, "moons")
    world.turn_until(lambda: left(world, "moons") > before, 40)
