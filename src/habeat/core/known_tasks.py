"""Which tasks are known: those that a leader's code registers, and those that other apps serve.

The leader stores them for clients, which may have no code of the project. Celery's beat imports all
modules that a worker of the same app imports, so a task that it has not registered is one that no
such worker can run. It can still be a task of another app: `habeat_remote_tasks` names those.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

#: More names than this are not stored, and then no task counts as unregistered.
NAMES_MOST = 10_000


@dataclass(frozen=True, slots=True)
class KnownTasks:
    """Registered names, and how names begin (`billing.`) that are known elsewhere."""

    names: frozenset[str]
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, registered: frozenset[str], elsewhere: tuple[str, ...]) -> KnownTasks:
        """`elsewhere` has names, and beginnings of names with a star after them (`billing.*`)."""
        exact = registered.union(each for each in elsewhere if not each.endswith("*"))
        return cls(exact, tuple(each[:-1] for each in elsewhere if each.endswith("*")))

    def has(self, task: str) -> bool:
        """Whether a task of this name is known."""
        return task in self.names or task.startswith(self.prefixes)

    def to_text(self) -> str:
        """The tasks as they are stored."""
        return json.dumps({"names": sorted(self.names), "prefixes": self.prefixes})

    @classmethod
    def from_text(cls, stored: bytes) -> KnownTasks | None:
        """The stored tasks; None if they cannot be read, and then no task is unregistered."""
        try:
            data = json.loads(stored)
        except ValueError:
            return None
        names, prefixes = _strings(data, "names"), _strings(data, "prefixes")
        if names is None or prefixes is None:
            return None
        return cls(frozenset(names), tuple(prefixes))


def _strings(data: Any, key: str) -> list[str] | None:
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return None
    return found
