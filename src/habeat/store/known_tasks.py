"""The tasks that the leader's code registers, in one key, so that clients can mark the others.

The leader writes the key again every few minutes. It expires when no beat runs any more.
"""

from __future__ import annotations

from habeat.core.known_tasks import KnownTasks
from habeat.store.calling import Caller

KEPT_MS = 3_600_000


class KnownTasksStore:
    """Writes and reads the known tasks."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def write(self, known: KnownTasks | None) -> None:
        """Store the known tasks; None if they cannot be known."""
        key = self._caller.keys.tasks
        if known is None:
            self._caller.do(lambda client: client.delete(key))
        else:
            text = known.to_text()
            self._caller.do(lambda client: client.set(key, text, px=KEPT_MS))

    def read(self) -> KnownTasks | None:
        """The known tasks; None if no leader has stored any."""
        key = self._caller.keys.tasks
        stored = self._caller.do_or(lambda client: client.get(key), None)
        return None if stored is None else KnownTasks.from_text(bytes(stored))
