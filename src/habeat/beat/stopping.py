"""SIGTERM and SIGINT, taken at a moment that suits.

Celery's handler calls the scheduler's `close` inside the handler and raises. In the middle of a
publish that would leave a message sent and not settled, and the successor would send it again.
So ours stands in front of Celery's: while the loop waits, Celery's runs at once; else only a
flag is set, the message under way is finished, and Celery's runs when the turn is over. A second
signal does not wait. Nothing here logs: a handler must not.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopper:
    """Stands in front of the handlers that are installed when it is."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._waiting = False
        self._pending: int | None = None
        #: Whether a handler is running that has interrupted the wait.
        self.in_handler = False
        self._leaving: BaseException | None = None

    def leaving(self, error: BaseException) -> bool:
        """Whether it is by this exception that a handler ends the process."""
        return error is self._leaving

    @property
    def requested(self) -> bool:
        """Whether a signal has come that has not been acted on."""
        return self._pending is not None

    def install(self) -> None:
        """Take the place of the present handlers; only a main thread can."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before is signal.SIG_DFL and number == signal.SIGTERM:
                before = _exit
            if callable(before):
                self._before[number] = before
                signal.signal(number, self._on_signal)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the loop waits, a signal is acted on at once."""
        self._waiting = True
        try:
            self.act()
            yield
        finally:
            self._waiting = False

    def act(self) -> None:
        """Run the handler of a signal that has come meanwhile."""
        number, self._pending = self._pending, None
        if number is not None:
            self._handler(number)(number, None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._waiting or self._pending is not None:
            self._pending = None
            self.in_handler = True
            try:
                self._handler(number)(number, frame)
            except BaseException as error:
                self._leaving = error
                raise
            finally:
                self.in_handler = False
        else:
            self._pending = number

    def _handler(self, number: int) -> Callable[[int, FrameType | None], Any]:
        handler: Callable[[int, FrameType | None], Any] = self._before[number]
        return handler


def _exit(_number: int, _frame: FrameType | None) -> None:
    """What SIGTERM means where nobody has said so: end, but through the finally clauses."""
    raise SystemExit(0)


class InterruptibleWakeChannel:
    """A `ports.WakeChannel` whose wait a signal ends."""

    def __init__(self, line: Any, stopper: Stopper) -> None:
        self._line = line
        self._stopper = stopper

    def open(self) -> bool:
        return bool(self._line.open())

    def wait(self, timeout_ms: float) -> frozenset[str]:
        with self._stopper.waiting():
            said: frozenset[str] = self._line.wait(timeout_ms)
            return said

    def resubscribe(self) -> None:
        self._line.resubscribe()
