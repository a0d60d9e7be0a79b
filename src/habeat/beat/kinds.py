"""Registered kinds of schedule: run their code in a thread, for a bounded time.

habeat's own kinds bound their searches. A registered kind may compute for minutes, query a
database, or never return, when it computes its next slot or is created from a stored definition.
The loop waits `limit_ms` for it and then continues. That call has failed: its entry waits, longer
each time (engine/patience.py), and its schedule is not called again while the old call is still
running.

Python cannot stop a thread, so the thread is given up and replaced. It still uses CPU time while
it computes, and one that holds the interpreter's lock in a C call still blocks the process.
"""

from __future__ import annotations

import json as plain_json
import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar, TypeVar, cast

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.core.entry import Entry, EntryState
from habeat.entries import codec
from habeat.errors import DefinitionError
from habeat.schedules import registry
from habeat.schedules.custom import Code
from habeat.schedules.schedule import Remark, Run, Schedule

LIMIT_MS = 500
#: Once this many threads are given up, no registered kind is called any more.
GIVEN_UP_MAX = 100

Answer = TypeVar("Answer")


class _Question:
    """Something to compute; the thread that computes it stores the answer or the error here."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self.done = threading.Event()
        self.answer: Any = None
        self.error: BaseException | None = None

    def work(self) -> None:
        """Compute, and keep the answer or the error."""
        try:
            self.answer = self._run()
        except BaseException as error:  # SystemExit too: only this entry may fail
            self.error = error
        self.done.set()


Inbox = SimpleQueue[_Question | None]


class BoundedCalls:
    """Runs foreign code in a thread, for `limit_ms` at most; for the loop's thread only."""

    def __init__(self, limit_ms: int = LIMIT_MS) -> None:
        self._limit_ms = limit_ms
        self._inbox: Inbox | None = None
        self._hanging: dict[Hashable, _Question] = {}

    def call(self, key: Hashable, run: Callable[[], Answer]) -> Answer:
        """What `run` returns or raises; TimeoutError if this call or an earlier one takes too long.

        A `key` holds up one thread at most: while its earlier call hangs, no other is begun.
        """
        for each in [key for key, question in self._hanging.items() if question.done.is_set()]:
            del self._hanging[each]
        if key in self._hanging:
            raise TimeoutError(self._hangs())
        if len(self._hanging) >= GIVEN_UP_MAX:
            raise TimeoutError(f"{GIVEN_UP_MAX} schedules do not answer; no others are called")
        question = _Question(run)
        inbox, self._inbox = self._inbox or _started(), None
        inbox.put(question)
        try:
            # Two waits: if the process is suspended (SIGSTOP), that uses up only one of them.
            half_s = self._limit_ms / 2_000
            if not (question.done.wait(half_s) or question.done.wait(half_s)):
                self._hanging[key] = question
                raise TimeoutError(self._hangs())
        except BaseException:
            inbox.put(None)  # the thread ends, should its call ever return
            raise
        self._inbox = inbox
        if isinstance(question.error, Exception):
            raise question.error
        if question.error is not None:
            raise RuntimeError(f"it raised {type(question.error).__name__}")
        return cast(Answer, question.answer)

    def _hangs(self) -> str:
        return f"it did not answer within {self._limit_ms / 1_000:g} s"


def _started() -> Inbox:
    inbox: Inbox = SimpleQueue()
    threading.Thread(target=_work, args=(inbox,), name="habeat kinds", daemon=True).start()
    return inbox


def _work(inbox: Inbox) -> None:
    while (question := inbox.get()) is not None:
        question.work()


class Bounded(Schedule):
    """A schedule of a registered kind, called in a thread."""

    #: Never registered: it is stored as the schedule that it wraps.
    kind: ClassVar[str] = "bounded"

    def __init__(self, inner: Schedule, key: Hashable, calls: BoundedCalls) -> None:
        self.inner = inner
        self._key = key
        self._calls = calls

    def _call(self, run: Callable[[], Answer]) -> Answer:
        return self._calls.call(self._key, run)

    def next_after_ms(self, after_ms: int) -> int | None:
        """The next slot; TimeoutError, and ValueError for an answer that is not after `after_ms`.

        With such an answer, the loop would never advance.
        """
        slot_ms = self._call(partial(self.inner.next_after_ms, after_ms))
        if slot_ms is not None and (type(slot_ms) is not int or slot_ms <= after_ms):
            raise ValueError(f"the slot after {after_ms} cannot be {slot_ms!r}")
        return slot_ms

    def count_between(self, after_ms: int, until_ms: int, limit: int | None = None) -> Run | None:
        return self._call(partial(self.inner.count_between, after_ms, until_ms, limit))

    def describe(self) -> str:
        return self._call(self.inner.describe)

    def remark(self, slot_ms: int) -> Remark:
        return self._call(partial(self.inner.remark, slot_ms))

    def to_json(self) -> dict[str, Any]:
        return self.inner.to_json()  # nothing is computed

    def __repr__(self) -> str:
        return repr(self.inner)

    def _tzinfo(self) -> tzinfo:
        return self.inner._tzinfo()


class Kinds:
    """Decodes entries; the code of registered kinds runs for a bounded time."""

    def __init__(self, limit_ms: int = LIMIT_MS) -> None:
        self._calls = BoundedCalls(limit_ms)

    def decode(self, name: str, stored: bytes, state: EntryState | None = None) -> Entry:
        """The same as `codec.decode`; DefinitionError also if it takes too long."""
        foreign = registry.foreign()
        if not foreign:
            return codec.decode(name, stored, state)
        key = (name, codec.digest_of(stored))
        read = partial(codec.decode, name, stored, state)
        if not any(plain_json.dumps(kind).encode() in stored for kind in foreign):
            return self._bounded(read(), key)
        try:
            return self._bounded(self._calls.call(key, read), key)
        except TimeoutError as error:
            raise DefinitionError(name, f"its schedule cannot be read: {error}") from error

    def declared(self, beat_schedule: BeatSchedule) -> BeatSchedule:
        """beat_schedule, with its registered kinds bounded in the same way."""
        entries = {name: self._bounded(each, name) for name, each in beat_schedule.entries.items()}
        return replace(beat_schedule, entries=entries)

    def _bounded(self, entry: Entry, key: Hashable) -> Entry:
        if isinstance(entry.schedule, Code) or not registry.is_foreign(type(entry.schedule)):
            return entry  # schedules that exist only in code are bounded by schedule_threads.py
        return replace(entry, schedule=Bounded(entry.schedule, key, self._calls))
