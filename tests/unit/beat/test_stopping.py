"""SIGTERM at a moment that suits: never between claim and settle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from habeat.beat.stopping import ABRUPT, SIGNALS, InterruptibleWakeChannel, Stopper


class Log:
    """The arguments that Celery's handler would have received."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.on_signal: Callable[[], None] = lambda: None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.seen.append(number)
        self.on_signal()


@pytest.fixture
def celerys() -> Iterator[Log]:
    before = {number: signal.getsignal(number) for number in (*SIGNALS, *ABRUPT)}
    log = Log()
    for number in SIGNALS:
        signal.signal(number, log)
    for number in ABRUPT:
        signal.signal(number, signal.SIG_DFL)
    yield log
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def stopper(celerys: Log) -> Stopper:
    made = Stopper()
    made.install()
    return made


def kill(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_work_is_a_flag_and_acted_on_when_the_turn_is_over(
    stopper: Stopper, celerys: Log, number: int
) -> None:
    kill(number)
    assert celerys.seen == []
    assert stopper.requested
    stopper.act()
    assert celerys.seen == [number]
    assert not stopper.requested
    stopper.act()
    assert celerys.seen == [number]


def test_a_signal_while_the_loop_waits_is_acted_on_at_once(stopper: Stopper, celerys: Log) -> None:
    inside: list[bool] = []
    celerys.on_signal = lambda: inside.append(stopper.in_handler)
    with stopper.waiting():
        kill()
        assert celerys.seen == [signal.SIGTERM]
    assert inside == [True]
    assert not stopper.in_handler


def test_a_signal_just_before_the_wait_is_not_slept_over(stopper: Stopper, celerys: Log) -> None:
    kill()
    with stopper.waiting():
        assert celerys.seen == [signal.SIGTERM]


def test_a_second_signal_does_not_wait(stopper: Stopper, celerys: Log) -> None:
    kill()
    kill(signal.SIGINT)
    assert celerys.seen == [signal.SIGINT]


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_a_hangup_is_no_second_signal(stopper: Stopper, celerys: Log, first: int) -> None:
    """A terminal that closes sends it twice, and systemd may send it after SIGTERM."""
    kill(first)
    kill(signal.SIGHUP)
    assert stopper.requested
    kill(signal.SIGINT)
    assert celerys.seen == [signal.SIGINT]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_hangup_does_not_interrupt_a_stop(
    stopper: Stopper, celerys: Log, *, at_once: bool
) -> None:
    released: list[bool] = []

    def close() -> None:
        kill(signal.SIGHUP)
        released.append(True)

    celerys.on_signal = close
    if not at_once:
        kill()
    with stopper.waiting():
        if at_once:
            kill()
    assert released == [True]


@pytest.mark.parametrize("number", ABRUPT)
def test_what_would_end_the_process_waits_for_the_end_of_the_turn(
    stopper: Stopper, celerys: Log, number: int
) -> None:
    kill(number)
    assert stopper.requested
    with pytest.raises(SystemExit):
        stopper.act()


def test_a_handler_that_raises_ends_the_wait_and_leaves_no_trace(
    stopper: Stopper, celerys: Log
) -> None:
    def leave() -> None:
        raise SystemExit(0)

    celerys.on_signal = leave

    class Line:
        def wait(self, timeout_ms: float) -> frozenset[str]:
            kill()
            raise AssertionError("the wait goes on")

    with pytest.raises(SystemExit):
        InterruptibleWakeChannel(Line(), stopper).wait(1_000)
    assert not stopper.in_handler
    celerys.on_signal = lambda: None
    kill()
    assert stopper.requested  # we do not wait any more


def test_installing_twice_keeps_celerys_handler(stopper: Stopper, celerys: Log) -> None:
    stopper.install()
    kill()
    stopper.act()
    assert celerys.seen == [signal.SIGTERM]


def test_a_thread_that_is_not_the_main_one_installs_nothing(celerys: Log) -> None:
    import threading

    stopper = Stopper()
    thread = threading.Thread(target=stopper.install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is celerys
