"""A schedule that is slow, fails, or exists only in code affects only its own entry."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from habeat.core.entry import Entry
from habeat.engine.custom_schedules import PUT_OFF_MS
from habeat.engine.patience import PAUSES_MS, SLOW_TRIES
from habeat.ports import DueEntry, ScheduleAnswer
from habeat.schedules import Interval
from habeat.schedules.custom import DueState, LiveCode
from tests.unit.engine.world import World


@dataclass(frozen=True, repr=False)
class Slow(Interval):
    """Each answer takes a while of the world's clock."""

    clock: Any = None
    takes_ms: float = 0.0
    planned: Any = None

    def next_after_ms(self, after_ms: int) -> int | None:
        if self.planned is not None:
            self.planned.append(self.clock.wall_ms())
        self.clock.advance(self.takes_ms)
        return super().next_after_ms(after_ms)


def slow(world: World, name: str, takes_ms: float, every_ms: int = 1_000) -> Entry:
    entry = world.add(name, every_ms=every_ms)
    slowed = replace(entry, schedule=Slow(every_ms, 0, clock=world.clock, takes_ms=takes_ms))
    world.catalog.entries[name] = slowed
    return slowed


def pauses(planned: list[int]) -> list[int]:
    """The pauses of a second or more between some instants."""
    found = [after - before for before, after in itertools.pairwise(planned)]
    return [pause for pause in found if pause >= 950]


def gaps(world: World, name: str) -> list[int]:
    slots = sorted(slot for slot, what in world.store.outcomes(name) if what == "sent")
    return [after - before for before, after in itertools.pairwise(slots)]


def test_one_that_takes_too_long_waits_longer_each_time_and_is_quarantined(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(atomic=True)
    world.add("good", every_ms=1_000)
    schedule = slow(world, "bad", 300).schedule
    planned: list[int] = []
    object.__setattr__(schedule, "planned", planned)
    world.run(150_000)
    assert [what for _, what in world.store.outcomes("bad")].count("quarantined") == 1
    assert world.store.rows["bad"].due_ms is None
    assert "'bad' waits: planning it takes" in caplog.text
    assert caplog.text.count("'bad' waits") == 1
    assert caplog.text.count("'bad'") == 2
    assert [round(pause, -3) for pause in pauses(planned)] == list(PAUSES_MS)[: SLOW_TRIES - 2]
    assert len(world.store.outcomes("good")) >= 145
    assert max(gaps(world, "good")) == 1_000


def test_one_that_was_slow_once_fires_all_the_same() -> None:
    """The process may have been stopped while it was planned."""
    world = World(atomic=True)
    schedule = slow(world, "a", 300).schedule
    assert isinstance(schedule, Slow)

    def recover() -> None:
        object.__setattr__(schedule, "takes_ms", 0.0)

    world.store.before["claim"] = recover
    world.run(5_000)
    assert gaps(world, "a") == [1_000] * len(gaps(world, "a"))
    assert len(gaps(world, "a")) >= 3
    assert world.store.count("defer") == 0


def test_to_plan_many_costly_entries_costs_no_lease_and_delays_no_other() -> None:
    world = World(ttl_ms=1_000, atomic=True)
    world.add("good", every_ms=1_000)
    world.run(2_500)
    for number in range(40):
        slow(world, f"costly{number:02}", 30, every_ms=60_000)
    late: list[int] = []
    record = world.store.record

    def recorded(entry: str, slot: Any, *rest: Any) -> None:
        late.extend([world.now_ms - slot] if entry == "good" else ())
        record(entry, slot, *rest)

    world.store.record = recorded  # type: ignore[method-assign]
    world.run(60_000)
    assert world.store.count("acquire") == 1
    assert max(late) <= 500
    assert max(gaps(world, "good")) == 1_000
    fired = {name for name, _, what, _, _ in world.store.ledger if what == "sent"}
    assert len(fired) == 41, "the costly ones have their turn"


def test_to_read_many_costly_definitions_costs_no_lease() -> None:
    world = World(ttl_ms=1_000, atomic=True)
    for number in range(30):
        world.add(f"e{number}", every_ms=60_000)
    decode = world.catalog.decode

    def slowly(name: str, stored: bytes) -> Entry:
        world.clock.advance(150)
        return decode(name, stored)

    world.catalog.decode = slowly  # type: ignore[method-assign]
    world.run(30_000)
    assert world.store.count("acquire") == 1
    assert len([what for _, _, what, _, _ in world.store.ledger if what == "sent"]) >= 30


def test_a_backlog_of_a_slow_entry_is_planned_bit_by_bit() -> None:
    """Sixty slots at 50 ms each are three seconds: they are not planned in one go."""
    world = World(ttl_ms=1_000, atomic=True)
    world.add("good", every_ms=1_000)
    world.run(2_500)
    slow(world, "behind", 50)
    row = world.store.rows["behind"]
    row.cursor_ms = row.due_ms = world.now_ms - 50_000
    world.run(30_000)
    assert world.store.count("acquire") == 1
    assert max(gaps(world, "good")) == 1_000
    assert len(world.store.outcomes("behind")) >= 75


# -- failing ---------------------------------------------------------------------------------


def test_one_that_fails_waits_longer_each_time_and_says_when_it_continues(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(atomic=True)
    failing: list[int] = []
    broken = True

    @dataclass(frozen=True, repr=False)
    class Failing(Interval):
        def next_after_ms(self, after_ms: int) -> int | None:
            if broken:
                failing.append(world.now_ms)
                raise ZeroDivisionError("in somebody's schedule class")
            return super().next_after_ms(after_ms)

    entry = world.add("bad", every_ms=1_000)
    world.catalog.entries["bad"] = replace(entry, schedule=Failing(1_000, 0))
    world.add("good", every_ms=1_000)
    world.run(200_000)
    pauses = [after - before for before, after in itertools.pairwise(failing) if after - before > 1]
    assert [round(pause, -3) for pause in pauses][:4] == list(PAUSES_MS)
    assert caplog.text.count("'bad' waits") == 1
    assert max(gaps(world, "good")) == 1_000
    broken = False
    world.run(61_000)
    assert "'bad' works again" in caplog.text
    assert "sent" in [what for _, what in world.store.outcomes("bad")]


# -- a matter of code ------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Live(LiveCode):
    """A schedule of code that answers what the test wants."""

    says: Callable[[int, int], DueState]

    def ask(self, last_ms: int, now_ms: int) -> DueState:
        return self.says(last_ms, now_ms)


def live(world: World, says: Callable[[int, int], DueState], **fields: Any) -> None:
    world.add("code", **fields)
    entry = world.catalog.entries["code"]
    world.catalog.entries["code"] = replace(entry, schedule=Live("?", says))


def test_it_is_asked_when_it_said_so_and_fires_when_it_says_due() -> None:
    world = World(atomic=True)
    asked: list[int] = []

    def says(last_ms: int, now_ms: int) -> DueState:
        asked.append(now_ms)
        return DueState(len(asked) % 5 == 0, 2_000)

    live(world, says)
    world.run(60_500)
    assert {after - before for before, after in itertools.pairwise(asked)} == {2_000}
    sent = [slot for slot, what in world.store.outcomes("code") if what == "sent"]
    assert sent == asked[4::5]
    assert world.store.rows["code"].cursor_ms == sent[-1]


def test_a_computed_schedule_keeps_its_pace_and_an_outage_costs_it_one_firing() -> None:
    world = World(atomic=True)

    def says(last_ms: int, now_ms: int) -> DueState:
        left_ms = last_ms + 10_000 - now_ms
        return DueState(True, 10_000) if left_ms <= 0 else DueState(False, left_ms)

    live(world, says)
    world.run(45_000)
    assert set(gaps(world, "code")[1:]) == {10_000}
    count = len(world.store.outcomes("code"))
    world.clock.advance(3_600_000)
    world.run(5_000)
    assert len(world.store.outcomes("code")) == count + 1


def test_one_that_raises_waits_and_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(atomic=True)
    asked: list[int] = []

    def says(last_ms: int, now_ms: int) -> DueState:
        asked.append(now_ms)
        raise ZeroDivisionError("in somebody's schedule class")

    live(world, says)
    world.add("good", every_ms=1_000)
    world.run(100_000)
    assert len(asked) <= 6
    assert caplog.text.count("'code' waits") == 1
    assert max(gaps(world, "good")) == 1_000


def test_one_that_is_always_due_fires_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new entry is due at its cursor, and a slot has to lie after it."""
    world = World(atomic=True)

    class Kept:
        """Repeats the answer until the cursor has moved, as threads do."""

        answers: ClassVar[dict[int | None, ScheduleAnswer]] = {}

        def ask(self, due: DueEntry, schedule: LiveCode, now_ms: int) -> ScheduleAnswer:
            fresh = ScheduleAnswer(now_ms, DueState(True, 1_000))
            return self.answers.setdefault(due.cursor_ms, fresh)

    monkeypatch.setattr(world.engine._planner, "_asker", Kept())
    live(world, lambda last_ms, now_ms: DueState(True, 1_000))
    row = world.store.rows["code"]
    row.cursor_ms = row.due_ms = world.now_ms
    world.run(10_500)
    assert gaps(world, "code") == [1_000] * len(gaps(world, "code"))
    assert len(gaps(world, "code")) >= 8


def test_one_that_fails_late_waits_longer_each_time_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(atomic=True)
    asked: list[int] = []

    class Later:
        """Has the answer when it is asked for the second time."""

        begun = False

        def ask(self, due: DueEntry, schedule: LiveCode, now_ms: int) -> ScheduleAnswer:
            self.begun = not self.begun
            if self.begun:
                return ScheduleAnswer(now_ms)
            asked.append(now_ms)
            return ScheduleAnswer(now_ms, failed="its schedule fails")

    monkeypatch.setattr(world.engine._planner, "_asker", Later())
    live(world, lambda last_ms, now_ms: DueState(True, 1_000))
    world.run(100_000)
    assert len(asked) <= 6
    assert caplog.text.count("'code'") == 1


def test_while_it_does_not_answer_it_takes_no_place_and_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(atomic=True)
    looks: list[int] = []

    class Silent:
        at_ms = 0

        def ask(self, due: DueEntry, schedule: LiveCode, now_ms: int) -> ScheduleAnswer:
            looks.append(now_ms)
            self.at_ms = self.at_ms or now_ms
            return ScheduleAnswer(self.at_ms)

    monkeypatch.setattr(world.engine._planner, "_asker", Silent())
    live(world, lambda last_ms, now_ms: DueState(True, 1_000))
    world.add("good", every_ms=1_000)
    world.run(20_000)
    assert len(looks) <= 10 + 20_000 // PUT_OFF_MS
    assert world.store.count("defer") >= 10
    assert max(gaps(world, "good")) == 1_000


@pytest.mark.parametrize("what", ["start", "end", "max_runs"])
def test_it_is_not_asked_outside_its_bounds(what: str) -> None:
    world = World(atomic=True)
    asked: list[int] = []

    def says(last_ms: int, now_ms: int) -> DueState:
        asked.append(now_ms)
        return DueState(True, 1_000)

    live(world, says)
    began_ms = world.now_ms
    bounds = {
        "start": {"start_ms": began_ms + 5_000},
        "end": {"end_ms": began_ms + 5_000},
        "max_runs": {"max_runs": 3},
    }
    entry = world.catalog.entries["code"]
    world.catalog.entries["code"] = replace(entry, **bounds[what])  # type: ignore[arg-type]
    world.run(10_000)
    match what:
        case "start":
            assert min(asked) >= began_ms + 5_000
        case "end":
            assert max(asked) <= began_ms + 5_000
            assert world.store.rows["code"].due_ms is None
        case _:
            assert len(world.store.outcomes("code")) == 3
            assert world.store.rows["code"].due_ms is None


def test_its_answer_is_looked_for_also_while_others_are_prepared_and_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(atomic=True)
    world.publisher.foresees = True
    late: list[int] = []

    class Later:
        """Has the answer when it is asked for the second time."""

        asked: ClassVar[dict[int | None, int]] = {}

        def ask(self, due: DueEntry, schedule: LiveCode, now_ms: int) -> ScheduleAnswer:
            if due.cursor_ms not in self.asked:
                self.asked[due.cursor_ms] = now_ms
                return ScheduleAnswer(now_ms)
            late.append(world.now_ms - self.asked[due.cursor_ms])
            return ScheduleAnswer(self.asked[due.cursor_ms], DueState(True, 700))

    monkeypatch.setattr(world.engine._planner, "_asker", Later())
    live(world, lambda last_ms, now_ms: DueState(True, 700))
    world.add("good", every_ms=1_000)
    world.run(20_300)
    assert len(late) >= 19
    assert max(late) <= 50
