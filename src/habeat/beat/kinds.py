"""Kinds of schedule that others have registered: their code runs in a thread, for a bounded time.

habeat's own kinds bound their searches. A registered kind may compute for minutes, query a
database, or never return, when it is asked for its next slot or made from a stored definition. The
loop waits `limit_ms` for it and goes on. The question has then failed; its entry waits, longer each
time (engine/patience.py), and is not asked again while the old question is still running.

Python cannot stop a thread, so it is given up and replaced. It still takes its share of the CPU
while it computes; one that keeps the interpreter's lock in a C call holds up the process after all.
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
#: With so many threads given up, no registered kind is asked any more.
GIVEN_UP_MAX = 100

Answer = TypeVar("Answer")


class _Question:
    """Something to compute; the thread that does so fills in what came of it."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self.done = threading.Event()
        self.answer: Any = None
        self.error: BaseException | None = None

    def work(self) -> None:
        """Compute; whatever comes of it is the answer."""
        try:
            self.answer = self._run()
        except BaseException as error:  # SystemExit as well: it is this entry's trouble alone
            self.error = error
        self.done.set()


Inbox = SimpleQueue[_Question | None]


class BoundedCalls:
    """Runs code of others in a thread, and waits so long at most; for the loop's thread only."""

    def __init__(self, limit_ms: int = LIMIT_MS) -> None:
        self._limit_ms = limit_ms
        self._inbox: Inbox | None = None
        self._hanging: dict[Hashable, _Question] = {}

    def call(self, key: Hashable, run: Callable[[], Answer]) -> Answer:
        """What `run` returns or raises; TimeoutError if it takes too long, or still does.

        `key` is what hangs with it: at most one thread for each.
        """
        for each in [key for key, question in self._hanging.items() if question.done.is_set()]:
            del self._hanging[each]
        if key in self._hanging:
            raise TimeoutError(self._hangs())
        if len(self._hanging) >= GIVEN_UP_MAX:
            raise TimeoutError(f"{GIVEN_UP_MAX} schedules do not answer; no other one is asked")
        question = _Question(run)
        inbox, self._inbox = self._inbox or _started(), None
        inbox.put(question)
        try:
            # In two parts: if the process is stopped meanwhile, that uses up one of them.
            half_s = self._limit_ms / 2_000
            if not (question.done.wait(half_s) or question.done.wait(half_s)):
                self._hanging[key] = question
                raise TimeoutError(self._hangs())
        except BaseException:
            inbox.put(None)  # the thread ends, if ever it gets there
            raise
        self._inbox = inbox
        if question.error is not None:
            raise (
                question.error if isinstance(question.error, Exception) else _ended(question.error)
            )
        return cast(Answer, question.answer)

    def _hangs(self) -> str:
        return f"it did not answer within {self._limit_ms / 1_000:g} s"


def _ended(error: BaseException) -> RuntimeError:
    return RuntimeError(f"it raised {type(error).__name__}")


def _started() -> Inbox:
    inbox: Inbox = SimpleQueue()
    threading.Thread(target=_work, args=(inbox,), name="habeat kinds", daemon=True).start()
    return inbox


def _work(inbox: Inbox) -> None:
    while (question := inbox.get()) is not None:
        question.work()


class Bounded(Schedule):
    """A schedule of a registered kind, asked in a thread."""

    #: Never registered: it is stored as what it stands for.
    kind: ClassVar[str] = "bounded"

    def __init__(self, inner: Schedule, key: Hashable, calls: BoundedCalls) -> None:
        self.inner = inner
        self._key = key
        self._calls = calls

    def _call(self, run: Callable[[], Answer]) -> Answer:
        return self._calls.call(self._key, run)

    def next_after_ms(self, after_ms: int) -> int | None:
        """TimeoutError, and ValueError for an answer that would be asked for again and again."""
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
    """Makes entries from stored definitions, those of registered kinds within bounds."""

    def __init__(self, limit_ms: int = LIMIT_MS) -> None:
        self._calls = BoundedCalls(limit_ms)

    def decode(self, name: str, stored: bytes, state: EntryState | None = None) -> Entry:
        """As the codec's; DefinitionError, also if it takes too long."""
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
        """What the code declares, within the same bounds."""
        entries = {name: self._bounded(each, name) for name, each in beat_schedule.entries.items()}
        return replace(beat_schedule, entries=entries)

    def _bounded(self, entry: Entry, key: Hashable) -> Entry:
        if isinstance(entry.schedule, Code) or not registry.is_foreign(type(entry.schedule)):
            return entry  # what is a matter of code is asked elsewhere (asking.py)
        return replace(entry, schedule=Bounded(entry.schedule, key, self._calls))
