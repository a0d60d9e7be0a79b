"""A registered kind of schedule that takes long, or never returns, concerns its entry alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.kinds import GIVEN_UP_MAX, Bounded, BoundedCalls, Kinds
from habeat.core.entry import Entry
from habeat.entries import codec
from habeat.errors import DefinitionError
from habeat.schedules import Interval, Schedule, register

NOW_MS = 1_750_000_000_000
SHORT_MS, LONG_MS = 30, 60_000


@register
@dataclass(frozen=True, repr=False)
class Tides(Schedule):
    """Every second, and slow to answer if the test wants."""

    kind: ClassVar[str] = "tide table"
    does: ClassVar[Callable[[str], None]] = staticmethod(lambda what: None)

    every_ms: int = 1_000

    def __post_init__(self) -> None:
        self.does("made")

    def next_after_ms(self, after_ms: int) -> int | None:
        self.does("asked")
        return after_ms // self.every_ms * self.every_ms + self.every_ms

    def describe(self) -> str:
        return "with the tide"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What hangs, hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], Any]], None]:
    return lambda what: monkeypatch.setattr(Tides, "does", staticmethod(what))


def hangs(gate: threading.Event, when: str, seen: list[str]) -> Callable[[str], None]:
    def what(happens: str) -> None:
        seen.append(happens)
        if happens == when:
            gate.wait(20)

    return what


def stored(every_ms: int = 1_000) -> bytes:
    return codec.encode(Entry("e", "task", Tides(every_ms)))


# -- calls -----------------------------------------------------------------------------------


def test_what_returns_or_raises_does_so() -> None:
    calls = BoundedCalls(LONG_MS)
    assert [calls.call("a", lambda: 17) for _ in range(3)] == [17] * 3
    for error in (KeyError("k"), SystemExit(1)):

        def fails(error: BaseException = error) -> None:
            raise error

        with pytest.raises(KeyError if isinstance(error, KeyError) else RuntimeError):
            calls.call("a", fails)
    assert calls.call("a", lambda: threading.current_thread()) is not threading.current_thread()


def test_one_thread_serves_them_all_while_nothing_hangs() -> None:
    calls = BoundedCalls(LONG_MS)
    assert len({calls.call(key, threading.get_ident) for key in range(20)}) == 1


def test_what_hangs_is_not_begun_again_and_the_others_go_on(gate: threading.Event) -> None:
    calls = BoundedCalls(SHORT_MS)
    begun: list[int] = []

    def hanging() -> None:
        begun.append(1)
        gate.wait(20)

    for _ in range(5):
        with pytest.raises(TimeoutError, match="did not answer within"):
            calls.call("a", hanging)
    assert len(begun) == 1
    patient = BoundedCalls(LONG_MS)
    patient._hanging = calls._hanging
    assert patient.call("b", lambda: 2) == 2
    (question,) = calls._hanging.values()
    gate.set()
    assert question.done.wait(20)
    assert patient.call("a", lambda: 3) == 3, "it has returned"


def test_the_threads_that_are_abandoned_are_bounded(gate: threading.Event) -> None:
    calls = BoundedCalls(0)
    for number in range(GIVEN_UP_MAX):
        with pytest.raises(TimeoutError):
            calls.call(number, lambda: gate.wait(20))
    begun: list[int] = []
    with pytest.raises(TimeoutError, match="no others are called"):
        calls.call("one more", lambda: begun.append(1))
    assert begun == []


# -- schedules -------------------------------------------------------------------------------


def test_an_own_kind_is_asked_as_before() -> None:
    kinds = Kinds(LONG_MS)
    entry = kinds.decode("e", codec.encode(Entry("e", "task", Interval(1_000, 0))))
    assert type(entry.schedule) is Interval


def test_a_registered_kind_says_and_is_stored_as_it_would_be() -> None:
    kinds = Kinds(LONG_MS)
    entry = kinds.decode("e", stored(1_500))
    plain = codec.decode("e", stored(1_500))
    assert isinstance(entry.schedule, Bounded)
    assert codec.encode(entry) == stored(1_500)
    assert entry.next_slot_ms(NOW_MS) == plain.next_slot_ms(NOW_MS)
    assert entry.count_between(NOW_MS, NOW_MS + 60_000) == plain.count_between(
        NOW_MS, NOW_MS + 60_000
    )
    assert entry.schedule.describe() == "with the tide"
    assert repr(entry.schedule) == repr(plain.schedule)


@pytest.mark.parametrize("when", ["made", "asked"])
def test_one_that_hangs_fails_once_the_time_is_up(
    when: str, gate: threading.Event, does: Callable[[Any], None]
) -> None:
    kinds = Kinds(SHORT_MS)
    written, other = stored(), stored(2_000)
    seen: list[str] = []
    does(hangs(gate, when, seen))
    for _ in range(3):
        if when == "made":
            with pytest.raises(DefinitionError, match="did not answer within"):
                kinds.decode("e", written)
        else:
            with pytest.raises((TimeoutError, DefinitionError)):
                kinds.decode("e", written).next_slot_ms(NOW_MS)
    assert seen.count(when) == 1
    does(lambda what: None)
    kinds._calls._limit_ms = LONG_MS
    assert kinds.decode("e", other).next_slot_ms(NOW_MS) is not None, "an edit mends it"


@pytest.mark.parametrize("answer", [NOW_MS, NOW_MS - 1, float(NOW_MS + 1), True, "soon"])
def test_an_answer_that_leads_nowhere_is_refused(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tides, "next_after_ms", lambda self, after_ms: answer)
    with pytest.raises(ValueError, match="cannot be"):
        Kinds(LONG_MS).decode("e", stored()).next_slot_ms(NOW_MS)


def test_what_the_code_declares_is_bounded_too() -> None:
    own = Entry("own", "task", Interval(1_000, 0), fingerprint="1")
    tides = replace(own, name="tides", schedule=Tides(), fingerprint="2")
    declared = BeatSchedule({"own": own, "tides": tides})
    bounded = Kinds(LONG_MS).declared(declared)
    assert bounded.fingerprint == declared.fingerprint
    assert bounded.entries["own"] is own
    assert isinstance(bounded.entries["tides"].schedule, Bounded)
