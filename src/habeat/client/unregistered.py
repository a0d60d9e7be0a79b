"""Entries whose task no code of the leader registers, for `list`, `show` and `status`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from habeat.client.status import Status
from habeat.core.entry import Entry
from habeat.core.events import EventCode
from habeat.core.health import warning
from habeat.printable import plural
from habeat.store.calling import Caller
from habeat.store.known_tasks import KnownTasksStore

#: A sentence names this many of the entries.
NAMED = 5


def unregistered(known_tasks: KnownTasksStore, entries: Iterable[Entry]) -> dict[str, str]:
    """The names of those of these entries whose task is not known, with the task.

    Empty if the leader cannot know: see `beat/unregistered.py`.
    """
    known = known_tasks.read()
    if known is None:
        return {}
    tasks = {entry.name: entry.task_name for entry in entries}
    return {name: task for name, task in tasks.items() if not known.has(task)}


def with_unregistered(caller: Caller, status: Status) -> Status:
    """The status with the entries that its leader has found, as far as this is still so."""
    leading = status.leader.replica if status.leader else None
    if leading is None or not leading.unregistered:
        return status
    # Entries are decoded only now: a probe mostly needs none, and their codec is slow to import.
    from habeat.store.entries import EntryStore

    reported = leading.unregistered
    stored = EntryStore(caller).read(list(reported)).stored
    entries = (each.entry for each in stored if each.entry is not None)
    found = unregistered(KnownTasksStore(caller), entries)
    count = leading.unregistered_count - (len(reported) - len(found))
    if not found:
        return status
    remark = warning(EventCode.TASK_UNREGISTERED, _remark(found, max(count, len(found))))
    return replace(status, unregistered=found, findings=(*status.findings, remark))


def _remark(found: Mapping[str, str], count: int) -> str:
    named = sorted(found.items())[:NAMED]
    names = ", ".join(f"{name!r} ({task})" for name, task in named)
    more = f" and {count - len(named)} more" if count > len(named) else ""
    have = plural(count, "entry has a task", "entries have tasks")
    return f"{have} not registered in beat's code: {names}{more}"
