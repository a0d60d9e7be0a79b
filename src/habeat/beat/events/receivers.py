"""Calls the receivers of habeat's signals, in a thread of their own.

A receiver is code of the user: it may raise, or never return. It must not hold up dispatch, nor the
other receivers. So each call waits in a bounded queue, and one thread makes the calls in order.
A call that takes longer than `LIMIT_MS` is given up: Python cannot stop its thread, so another
thread takes over the queue, and this receiver gets no more calls until it returns. So each receiver
holds up one thread at most. A receiver that raises or hangs is named in the log once.

Calls that find the queue full are dropped and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from habeat.core.events import EventCode
from habeat.engine.trouble_log import TroubleLog
from habeat.ports import Clock
from habeat.printable import ERROR_MAX_CHARS, printable, repr_of
from habeat.signals import EventSignal

LIMIT_MS = 5_000
WAITING_MAX = 10_000
#: How long a stop waits for calls that are still to be made.
AT_STOP_S = 1.0

Receiver = Callable[..., Any]


@dataclass(eq=False, slots=True)
class _Call:
    receiver: Receiver
    signal: EventSignal
    facts: Mapping[str, Any]
    began_us: int = 0
    given_up: bool = False


class Receivers:
    """The queue of calls, and the thread that makes them. Any thread may call its methods."""

    def __init__(self, sender: object, clock: Clock, limit_ms: int = LIMIT_MS) -> None:
        self._sender = sender
        self._clock = clock
        self._limit_us = limit_ms * 1_000
        self._waiting: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._current: _Call | None = None
        self._hanging: set[Receiver] = set()
        self._has_thread = False
        self._over = False
        self._trouble = TroubleLog()
        #: What each failing receiver does wrong, by its name.
        self._failing: dict[str, str] = {}
        #: How many calls were dropped since the start.
        self.dropped = 0
        self._logged = 0

    @property
    def room(self) -> int:
        """How many more calls the queue takes."""
        return WAITING_MAX - len(self._waiting)

    @property
    def failing(self) -> str:
        """What a receiver does wrong at present, in words; "" if all work."""
        found = list(self._failing.values())  # one step for other threads
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return found[0] + more if found else ""

    def send(self, signal: EventSignal, facts: Mapping[str, Any]) -> None:
        """Have the signal's receivers called with these facts; returns at once."""
        if not signal.receivers:
            return
        for receiver in signal.live(self._sender):
            with self._changed:
                if receiver in self._hanging or not self.room:
                    self.dropped += 1
                else:
                    self._waiting.append(_Call(receiver, signal, facts))
                    self._changed.notify()
        self.look()

    def look(self) -> None:
        """Give up a call that hangs, and log what was dropped; also starts the thread."""
        with self._changed:
            hanging = self._given_up()
            starts = bool(self._waiting) and not self._has_thread and not self._over
            self._has_thread |= starts
        if hanging is not None:
            self._named(hanging, f"does not return within {self._limit_us / 1_000_000:g} s")
        if starts:
            threading.Thread(target=self._work, name="habeat signals", daemon=True).start()
        self._log_dropped()

    def _given_up(self) -> _Call | None:
        """The call under way if it hangs; its receiver gets no more calls until it returns."""
        call = self._current
        if call is None or self._clock.monotonic_us() - call.began_us <= self._limit_us:
            return None
        call.given_up = True
        self._hanging.add(call.receiver)
        self._current, self._has_thread = None, False
        before = len(self._waiting)
        self._waiting = deque(each for each in self._waiting if each.receiver != call.receiver)
        self.dropped += before - len(self._waiting)
        return call

    def close(self) -> None:
        """Make the calls that wait, for a second at most, and end the thread."""
        with self._changed:
            self._changed.wait_for(self._is_idle, AT_STOP_S)
            self._over = True
            self._waiting.clear()
            self._changed.notify_all()

    def _is_idle(self) -> bool:
        return not self._waiting and self._current is None

    # -- the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        call: _Call | None = None
        while (call := self._next(call)) is not None:
            try:
                call.receiver(signal=call.signal, sender=self._sender, **call.facts)
            except BaseException as error:  # SystemExit too: the thread goes on with the others
                self._named(call, f"raises {repr_of(error, ERROR_MAX_CHARS)}")
            else:
                self._failing.pop(_name(call), None)
                self._trouble.over(_name(call), "habeat: the receiver %s works again", _name(call))

    def _next(self, before: _Call | None) -> _Call | None:
        """Wait for the next call; None if this thread is to end."""
        with self._changed:
            if before is not None and before.given_up:
                self._hanging.discard(before.receiver)
                return None  # another thread has taken over
            self._current = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._over)
            if self._over:
                self._has_thread = False
                return None
            call = self._current = self._waiting.popleft()
            call.began_us = self._clock.monotonic_us()
            return call

    def _named(self, call: _Call, what: str) -> None:
        name = _name(call)
        self._failing[name] = f"the receiver {name} of the signal {call.signal.name} {what}"
        text = "habeat: %s; dispatch continues"
        self._trouble.error(name, EventCode.RECEIVER_FAILED, text, self._failing[name])

    def _log_dropped(self) -> None:
        """Log when calls begin to be dropped, and how many were once the queue is empty."""
        more = self.dropped - self._logged
        if more:
            text = (
                "habeat: calls of receivers are dropped, because a receiver hangs or is too slow; "
                "the ledger has all slots"
            )
            self._trouble.error("dropped", EventCode.EVENTS_DROPPED, text)
            if not self._waiting and not self._hanging:
                self._logged += more
                self._trouble.over("dropped", "habeat: %d calls of receivers were dropped", more)


def _name(call: _Call) -> str:
    kind = type(call.receiver)
    name = getattr(call.receiver, "__qualname__", kind.__qualname__)
    return printable(f"{getattr(call.receiver, '__module__', kind.__module__)}.{name}", 200)
