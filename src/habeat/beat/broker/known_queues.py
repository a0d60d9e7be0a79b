"""Queues and exchanges that were declared already.

To learn that from kombu costs as much as the message: it binds a copy of each queue to see. They
are known by identity, and kept for that: as long as one is here its id is nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

KEPT = 1_000


class KnownQueues:
    """What has been declared over one connection or channel."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def knows(self, entities: Iterable[Any] | None) -> bool:
        """Whether all of these have been declared."""
        return all(id(entity) in self._known for entity in entities or ())

    def without_known(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A publish's arguments, to declare only what has not been."""
        declare = arguments.get("declare") or ()
        return {**arguments, "declare": [each for each in declare if id(each) not in self._known]}

    def add(self, entities: Iterable[Any] | None) -> None:
        """These have been declared."""
        if len(self._known) > KEPT:
            self._known.clear()
        for entity in entities or ():
            self._known[id(entity)] = entity
