"""Schedules of code are asked in threads: one that hangs, or raises, concerns its entry alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from habeat.beat.schedule_threads import GIVEN_UP_MAX, LIMIT_MS, THREADS_MAX, ScheduleThreads
from habeat.ports import DueEntry, ScheduleAnswer
from habeat.schedules.custom import DueState, LiveCode
from tests.support.servers.children import until
from tests.unit.engine.world import FakeClock

NOW_MS = 1_750_000_000_000
NOT_DUE, DUE = DueState(False, 1_000), DueState(True, 1_000)


@dataclass(frozen=True, repr=False)
class Scripted(LiveCode):
    """Answers what the test says; counts the questions."""

    answer: Callable[[], DueState]
    asked: list[int] = field(default_factory=list)

    def ask(self, last_ms: int, now_ms: int) -> DueState:
        self.asked.append(now_ms)
        return self.answer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def asker(clock: FakeClock) -> ScheduleThreads:
    return ScheduleThreads(clock)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hangs, hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def due(name: str, cursor_ms: int = 5) -> DueEntry:
    return DueEntry(name, NOW_MS, "digest", cursor_ms)


def hanging(gate: threading.Event) -> Scripted:
    def answer() -> DueState:
        gate.wait(60)
        return NOT_DUE

    return Scripted("?", answer)


def settled(asker: ScheduleThreads, entry: DueEntry, schedule: LiveCode) -> ScheduleAnswer:
    """The answer, once it is there."""

    def answer() -> ScheduleAnswer | None:
        found = asker.ask(entry, schedule, NOW_MS)
        return found if found.state or found.failed else None

    found: ScheduleAnswer = until(answer, 10, "no answer", every_s=0.002)
    return found


def begun(schedule: Scripted) -> None:
    until(lambda: schedule.asked, 10, "the question was never begun", every_s=0.002)


def test_a_question_is_asked_once_and_answered_later(asker: ScheduleThreads) -> None:
    schedule = Scripted("?", lambda: NOT_DUE)
    assert settled(asker, due("a"), schedule) == ScheduleAnswer(NOW_MS, NOT_DUE)
    assert schedule.asked == [NOW_MS]


def test_the_answer_due_is_repeated_until_the_cursor_has_moved(asker: ScheduleThreads) -> None:
    schedule = Scripted("?", lambda: DUE)
    assert settled(asker, due("a"), schedule).state == DUE
    for later_ms in (1, 2, 3):  # the broker takes nothing: the claim is planned again and again
        again = asker.ask(due("a"), schedule, NOW_MS + later_ms)
        assert again == ScheduleAnswer(NOW_MS, DUE), "the slot stays the same"
    assert len(schedule.asked) == 1
    settled(asker, due("a", cursor_ms=NOW_MS), schedule)
    assert len(schedule.asked) == 2


@pytest.mark.parametrize("error", [ZeroDivisionError("!"), SystemExit(3), RecursionError()])
def test_whatever_is_raised_is_the_answer(asker: ScheduleThreads, error: BaseException) -> None:
    def answer() -> DueState:
        raise error

    assert type(error).__name__ in settled(asker, due("a"), Scripted("?", answer)).failed
    assert settled(asker, due("b"), Scripted("?", lambda: DUE)).state == DUE


def test_one_that_hangs_fails_after_the_limit_and_is_not_asked_again(
    asker: ScheduleThreads, clock: FakeClock, gate: threading.Event
) -> None:
    bad = hanging(gate)
    assert asker.ask(due("bad"), bad, NOW_MS) == ScheduleAnswer(NOW_MS)
    begun(bad)
    assert settled(asker, due("good"), Scripted("?", lambda: DUE)).state == DUE
    clock.advance(LIMIT_MS + 1)
    for _ in range(20):
        assert "did not answer within 5 s" in asker.ask(due("bad"), bad, NOW_MS).failed
    assert len(bad.asked) == 1
    gate.set()  # it returns at last, and is asked again from then on
    until(lambda: asker.ask(due("bad"), bad, NOW_MS).state, 10, "no answer", every_s=0.002)
    assert len(bad.asked) == 2


def test_many_that_hang_at_once_delay_the_others_once(
    asker: ScheduleThreads, clock: FakeClock, gate: threading.Event
) -> None:
    bad = [hanging(gate) for _ in range(THREADS_MAX)]
    for number, schedule in enumerate(bad):
        asker.ask(due(f"bad{number}"), schedule, NOW_MS)
        begun(schedule)
    good = Scripted("?", lambda: DUE)
    assert asker.ask(due("good"), good, NOW_MS) == ScheduleAnswer(NOW_MS)
    clock.advance(LIMIT_MS + 1)
    asker.ask(due("bad0"), bad[0], NOW_MS)
    assert settled(asker, due("other"), Scripted("?", lambda: DUE)).state == DUE
    assert settled(asker, due("good"), good).state == DUE


def test_threads_that_are_abandoned_are_bounded(
    asker: ScheduleThreads, clock: FakeClock, gate: threading.Event
) -> None:
    before = threading.active_count()
    for number in range(GIVEN_UP_MAX + 5):
        schedule = hanging(gate)
        if not asker.ask(due(f"bad{number}"), schedule, NOW_MS).failed:
            begun(schedule)
        clock.advance(LIMIT_MS + 1)
    refused = asker.ask(due("good"), Scripted("?", lambda: DUE), NOW_MS)
    assert "no others are asked" in refused.failed
    assert threading.active_count() - before <= GIVEN_UP_MAX
