"""Handle SIGTERM, SIGINT, SIGHUP and SIGQUIT at a safe moment.

Celery's handler calls the scheduler's `close` and raises. In the middle of a publish, that would
leave a message sent but not settled, and the next leader would send it again. So our handler runs
first. While the loop waits, it calls Celery's handler at once. Otherwise it only sets a flag: the
current message is finished, and Celery's handler runs at the end of the tick. A second signal is
handled at once. SIGHUP (a terminal that closes) and SIGQUIT would end the process at once, and the
lease would run out: they release it like SIGTERM. Another SIGHUP changes nothing: a terminal that
closes sends two, and systemd sends one after SIGTERM with SendSIGHUP=. A handler of
Celery's, as under ``worker -B``, and a SIGHUP that is ignored (``nohup``) stay as they are. Nothing
here logs, because logging is not safe in a signal handler.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Signals that are taken over only if they would end the process at once.
ABRUPT = (signal.SIGHUP, signal.SIGQUIT)


class Stopper:
    """Wraps the signal handlers that were in place before it was installed."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._waiting = False
        self._pending: int | None = None
        #: Whether a handler is running, which ends the process.
        self._running = False
        #: Whether a handler that interrupted the wait is running.
        self.in_handler = False
        self._leaving: BaseException | None = None

    def leaving(self, error: BaseException) -> bool:
        """Whether this is the exception with which a handler ends the process."""
        return error is self._leaving

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived and not been handled yet."""
        return self._pending is not None

    def install(self) -> None:
        """Replace the current handlers; does nothing outside the main thread."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before is signal.SIG_DFL and number == signal.SIGTERM:
                before = _exit
            if callable(before):
                self._wrap(number, before)
        for number in ABRUPT:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._wrap(number, _exit)

    def _wrap(self, number: int, before: Callable[[int, FrameType | None], Any]) -> None:
        self._before[number] = before
        signal.signal(number, self._on_signal)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the loop waits in this block, a signal is handled at once."""
        self._waiting = True
        try:
            self.act()
            yield
        finally:
            self._waiting = False

    def act(self) -> None:
        """Run the handler of a signal that has arrived in the meantime."""
        number, self._pending = self._pending, None
        if number is not None:
            self._run(number, None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP and (self._running or self._pending is not None):
            return  # no second signal: see above
        # While the loop waits, no message is half sent. A second signal never waits.
        if self._waiting or self._pending is not None:
            self._pending = None
            self.in_handler = True
            try:
                self._run(number, frame)
            except BaseException as error:
                self._leaving = error
                raise
            finally:
                self.in_handler = False
        else:
            self._pending = number

    def _run(self, number: int, frame: FrameType | None) -> None:
        self._running = True
        try:
            self._before[number](number, frame)
        finally:
            self._running = False


def _exit(_number: int, _frame: FrameType | None) -> None:
    """The default action here: exit, but run the `finally` clauses."""
    raise SystemExit(0)


class InterruptibleWakeChannel:
    """A `ports.WakeChannel` whose wait ends when a signal arrives."""

    def __init__(self, channel: Any, stopper: Stopper) -> None:
        self._channel = channel
        self._stopper = stopper

    def open(self) -> bool:
        return bool(self._channel.open())

    def wait(self, timeout_ms: float) -> frozenset[str]:
        with self._stopper.waiting():
            heard: frozenset[str] = self._channel.wait(timeout_ms)
            return heard

    def resubscribe(self) -> None:
        self._channel.resubscribe()
