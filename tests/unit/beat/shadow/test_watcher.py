"""What a watcher stores of the events that it receives, and for when it says that it watched."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.beat.shadow import watcher as module
from habeat.beat.shadow.watcher import (
    DECIDE_AFTER_MS,
    EVENTS_KEPT_MS,
    JUDGED_FROM,
    Kept,
    Watcher,
    message_of,
)
from habeat.core.comparison import Message
from habeat.ports import StoreUnavailable
from tests.unit.beat.conftest import make_app
from tests.unit.engine.world import FakeClock

REDIS_AHEAD_MS = 1_000_000


class FakeLog:
    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.messages: list[Message] = []
        self.watched: dict[str, tuple[int, int]] = {}
        self.known: set[str] = set()
        self.fails = False

    def now_ms(self) -> int:
        return self._clock.monotonic_us() // 1_000 + REDIS_AHEAD_MS

    def saw(self, messages: list[Message], watched: tuple[str, int, int]) -> None:
        if self.fails:
            raise StoreUnavailable("unreachable", "gone")
        identity, start_ms, end_ms = watched
        self.messages += messages
        self.watched[f"{start_ms}:{identity}"] = (start_ms, end_ms)

    def trim(self, age_ms: int, length: int) -> bool:
        return False

    def tasks(self, limit: int) -> set[str]:
        return self.known


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = FakeLog(self.clock)
        self.tasks = {"scheduled"}
        self.watcher = Watcher(
            make_app(), self.log, self.tasks.__contains__, Kept(1_000, 10), self.clock, "nonce"
        )
        self.watcher._begin()

    def receive(self, task: str, sender: str = "gen1@beat", **other: Any) -> None:
        event = {"uuid": f"id {task}", "name": task, "queue": "q", "args": "()", "kwargs": "{}"}
        self.watcher._received({**event, "hostname": sender, **other})

    def pass_ms(self, ms: int) -> None:
        self.clock.advance(ms)

    def stored(self) -> list[str]:
        self.watcher._store()
        return [message.kind.task for message in self.log.messages]


@pytest.fixture
def world() -> World:
    return World()


def test_a_message_has_the_redis_time_of_its_arrival(world: World) -> None:
    world.pass_ms(100)
    arrived_ms = world.log.now_ms()
    world.receive("scheduled")
    world.pass_ms(700)
    world.stored()
    assert [message.at_ms for message in world.log.messages] == [arrived_ms]


def test_a_task_without_an_entry_is_stored_if_a_beat_sends_it(world: World) -> None:
    for _ in range(JUDGED_FROM):
        world.receive("scheduled", "gen1@beat")
    world.receive("unknown", "gen1@beat")
    world.receive("unknown", "gen2@web")
    world.pass_ms(DECIDE_AFTER_MS)
    assert world.stored() == ["scheduled"] * JUDGED_FROM + ["unknown"]


def test_a_task_that_turns_out_to_be_scheduled_a_moment_later_is_stored(world: World) -> None:
    world.receive("migrated")
    assert world.stored() == []
    world.pass_ms(DECIDE_AFTER_MS // 2)
    world.tasks.add("migrated")
    assert world.stored() == ["migrated"]


def test_the_period_ends_before_what_is_not_stored_yet(world: World) -> None:
    began_ms = world.log.now_ms()
    world.pass_ms(500)
    world.receive("unknown")
    world.pass_ms(300)
    world.stored()
    assert list(world.log.watched.values()) == [(began_ms, began_ms + 499)]
    world.pass_ms(DECIDE_AFTER_MS)
    world.stored()
    assert list(world.log.watched.values()) == [(began_ms, world.log.now_ms())]


def test_what_could_not_be_stored_is_stored_later(world: World) -> None:
    world.receive("scheduled")
    world.log.fails = True
    with pytest.raises(StoreUnavailable):
        world.stored()
    world.log.fails = False
    assert world.stored() == ["scheduled"]


def test_a_new_period_begins_where_messages_were_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_MOST", 2)
    world.pass_ms(500)
    for _ in range(3):
        world.receive("scheduled")
    world.pass_ms(100)
    assert world.stored() == ["scheduled"] * 2
    assert list(world.log.watched.values()) == [(world.log.now_ms(), world.log.now_ms())]


@pytest.mark.parametrize("event", [{}, {"name": "t"}, {"uuid": 1}])
def test_an_event_of_another_program_is_passed_over(world: World, event: dict[str, Any]) -> None:
    world.watcher._received(event)
    assert world.stored() == []


def test_texts_of_other_programs_are_bounded() -> None:
    long = "x" * 10_000
    event = {"uuid": long, "name": long, "queue": long, "hostname": long}
    message = message_of(event)
    assert max(map(len, (message.id, *vars_of(message), message.sender))) == 255


def vars_of(message: Message) -> tuple[str, str]:
    return message.kind.task, message.kind.queue


def test_a_new_period_begins_after_a_stall_in_which_events_may_have_expired(world: World) -> None:
    world.stored()
    world.pass_ms(EVENTS_KEPT_MS + 1)
    world.stored()
    (_, until_ms), (since_ms, _) = sorted(world.log.watched.values())
    assert since_ms - until_ms > EVENTS_KEPT_MS


def test_what_an_earlier_leader_decided_is_known(world: World) -> None:
    world.log.known = {"of the API"}
    world.watcher._begin()
    world.receive("of the API")
    assert world.stored() == ["of the API"]


def test_it_counts_what_was_decided_since_another_beat_was_seen(world: World) -> None:
    assert world.watcher.facts == {"unseen": 0, "unseen_ms": 0}
    world.watcher.decided()
    world.pass_ms(700)
    world.watcher.decided()
    world.receive("unknown")
    assert world.watcher.facts == {"unseen": 2, "unseen_ms": 700}
    world.receive("scheduled")
    assert world.watcher.facts["unseen"] == 0
