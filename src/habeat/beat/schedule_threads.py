"""Call `is_due` of the user's schedule classes in separate threads.

`is_due` may read a file, query a database, or hang. The loop only queues a question here and picks
up its answer later. A few threads work through the queue.

A question fails after `limit_ms`. Python cannot stop its thread, so the thread is given up and
replaced; it ends when `is_due` returns. Until then, that entry is not asked again, so an entry
holds up one thread at most. Once `GIVEN_UP_MAX` threads are given up, no more questions are asked:
all entries with such schedules wait, and all other entries continue.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass

from habeat.ports import Clock, DueEntry, ScheduleAnswer
from habeat.schedules.custom import DueState, LiveCode

log = logging.getLogger("habeat")

LIMIT_MS = 5_000
#: The most threads at work at once; one is started when a question finds no thread idle.
THREADS_MAX = 32
GIVEN_UP_MAX = 100


@dataclass(eq=False)
class _Question:
    """One question about an entry in its current state; its thread fills in the answer."""

    name: str
    about: tuple[str, int | None]
    schedule: LiveCode
    at_ms: int
    began_us: int | None = None
    answer: DueState | None = None
    failed: str = ""
    given_up: bool = False

    @property
    def done(self) -> bool:
        return self.answer is not None or bool(self.failed)

    def run(self, last_ms: int) -> None:
        """Ask, and keep the answer or the failure."""
        try:
            self.answer = self.schedule.ask(last_ms, self.at_ms)
        except BaseException as error:  # SystemExit too: only this entry may fail
            self.failed = f"its schedule fails: {error!r}"


class ScheduleThreads:
    """`ports.ScheduleAsker` with threads. Its methods are called by the loop's thread only."""

    def __init__(self, clock: Clock, limit_ms: int = LIMIT_MS) -> None:
        self._clock = clock
        self._limit_ms = limit_ms
        self._questions: dict[str, _Question] = {}
        self._hanging: dict[str, _Question] = {}
        self._waiting: deque[_Question] = deque()
        self._is_waiting = threading.Condition()
        self._idle = 0
        self._threads = 0

    def ask(self, due: DueEntry, schedule: LiveCode, now_ms: int) -> ScheduleAnswer:
        """See `ScheduleAsker.ask`."""
        self._give_up_what_hangs()
        about = (due.digest, due.cursor_ms)
        if due.name in self._hanging:
            return ScheduleAnswer(now_ms, failed=self._hangs())
        found = self._questions.get(due.name)
        if found is not None and found.done and found.about != about:
            del self._questions[due.name]  # asked before an edit: the answer no longer applies
            found = None
        if found is None:
            if len(self._hanging) >= GIVEN_UP_MAX:
                why = f"{GIVEN_UP_MAX} schedule classes do not answer; no others are asked"
                return ScheduleAnswer(now_ms, failed=why)
            found = self._questions[due.name] = _Question(due.name, about, schedule, now_ms)
            self._leave(found)
        return self._answer(found)

    def _answer(self, question: _Question) -> ScheduleAnswer:
        # An answer "due" is kept until the slot is claimed, which the cursor (in `about`) shows.
        if question.done and not (question.answer and question.answer.due):
            del self._questions[question.name]
        return ScheduleAnswer(question.at_ms, question.answer, question.failed)

    def _give_up_what_hangs(self) -> None:
        now_us = self._clock.monotonic_us()
        for name, question in list(self._questions.items()):
            began_us = question.began_us
            if began_us is None or question.done:
                continue
            if now_us - began_us > self._limit_ms * 1_000:
                question.given_up = True
                self._hanging[name] = self._questions.pop(name)
                self._threads -= 1
        for name, question in list(self._hanging.items()):
            if question.done:
                del self._hanging[name]

    def _hangs(self) -> str:
        return f"its schedule did not answer within {self._limit_ms / 1_000:g} s"

    # -- threads ----------------------------------------------------------------------------

    def _leave(self, question: _Question) -> None:
        with self._is_waiting:
            self._waiting.append(question)
            self._is_waiting.notify()
            needed = len(self._waiting) > self._idle
        if needed and self._threads < THREADS_MAX:
            self._threads += 1
            threading.Thread(target=self._work, name="habeat schedules", daemon=True).start()

    def _work(self) -> None:
        """The body of a thread: ask one question after another, until one is given up."""
        question = None
        while question is None or not question.given_up:
            with self._is_waiting:
                self._idle += 1
                while not self._waiting:
                    self._is_waiting.wait()
                self._idle -= 1
                question = self._waiting.popleft()
                question.began_us = self._clock.monotonic_us()
            question.run(question.about[1] or 0)
