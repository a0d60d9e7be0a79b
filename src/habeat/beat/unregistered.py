"""Entries whose task no code of this beat registers: they are sent, logged once, and marked.

A worker that does not know a task discards its message, and the ledger says "sent". Celery's beat
imports what a worker of the same app imports, so the leader can recognise such a task beforehand.
It cannot if that import did not take place (a process that is not `celery beat`), or if the app
registers no task at all (a beat that has only names). Then nothing is marked.

Entries of beat_schedule are looked at when this replica becomes the leader, all others when their
definition is read because they are due.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery import Celery

from habeat.core.entry import Entry
from habeat.core.events import EventCode
from habeat.core.known_tasks import NAMES_MOST, KnownTasks
from habeat.log import log_event
from habeat.store.known_tasks import KnownTasksStore

WRITE_EVERY_MS = 600_000
#: The first entries found are remembered; `list` marks all.
REMEMBERED = 1_000
#: How many of them a replica reports to `status`.
REPORTED = 100
#: At most this many lines in each period; further entries are summed up in one line.
LINES, PERIOD_MS = 20, 60_000


class UnregisteredTasks:
    """Finds the entries with such tasks, and stores which tasks are known."""

    def __init__(self, app: Celery, elsewhere: tuple[str, ...], store: KnownTasksStore) -> None:
        """`elsewhere` has tasks that other apps serve; see `KnownTasks.of`."""
        self._app = app
        self._elsewhere = elsewhere
        self._store = store
        self._known: KnownTasks | None = None
        self._found: dict[str, str] = {}
        self._written_ms: int | None = None
        self._lines_from_ms: int | None = None
        self._lines_left, self._not_logged = LINES, 0

    def begin(self, declared: Iterable[Entry]) -> None:
        """Look at the entries of beat_schedule, because this replica has become the leader."""
        self._known, self._written_ms = self._tasks(), None
        for entry in declared:
            self.look(entry)

    def look(self, entry: Entry) -> None:
        """Note and log an entry whose task is not known; forget one whose task is known now."""
        if self._known is None:
            return
        task = entry.task_name
        if self._known.has(task) or task in self._app.tasks:
            self._found.pop(entry.name, None)
        elif entry.name in self._found or len(self._found) < REMEMBERED:
            if self._found.get(entry.name) != task:
                self._log(entry.name, task)
            self._found[entry.name] = task

    def step(self, now_ms: int) -> None:
        """Store the known tasks and sum up what was not logged, when it is time; leader only."""
        if self._written_ms is None or now_ms - self._written_ms >= WRITE_EVERY_MS:
            self._known = self._tasks()
            self._store.write(self._known)
            self._written_ms = now_ms
        if self._lines_from_ms is None or now_ms - self._lines_from_ms >= PERIOD_MS:
            self._lines_from_ms, self._lines_left = now_ms, LINES
            self._sum_up()

    def facts(self) -> dict[str, Any]:
        """What this replica reports: some of the entries with their tasks, and how many."""
        some = list(self._found.items())[-REPORTED:]
        return {"unregistered": dict(some), "unregistered_count": len(self._found)}

    def _tasks(self) -> KnownTasks | None:
        """The known tasks; None if this process cannot know."""
        if not self._app.loader.worker_initialized:
            return None
        names = frozenset(self._app.tasks)
        own = any(not name.startswith("celery.") for name in names)
        return KnownTasks.of(names, self._elsewhere) if own and len(names) <= NAMES_MOST else None

    def _log(self, name: str, task: str) -> None:
        if not self._lines_left:
            self._not_logged += 1
            return
        self._lines_left -= 1
        log_event(
            EventCode.TASK_UNREGISTERED,
            "habeat: entry %r: its task %r is not registered in beat's code; it is sent, and a "
            "worker with the same code discards it: correct the name, import its module, or list "
            "it in habeat_remote_tasks",
            name,
            task,
            entry=name,
        )

    def _sum_up(self) -> None:
        if self._not_logged:
            log_event(
                EventCode.TASK_UNREGISTERED,
                "habeat: %s%d more entries have tasks that are not registered in beat's code; "
                "`celery -A proj habeat list` marks them",
                "at least " if len(self._found) == REMEMBERED else "",
                self._not_logged,
            )
            self._not_logged = 0
