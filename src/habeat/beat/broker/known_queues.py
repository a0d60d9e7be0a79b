"""Queues and exchanges that were declared already.

kombu can tell, but binds a copy of each queue to find out, which costs as much as the message. Here
they are recognised by `id`. They are kept, too, so that no other object can get the same id.
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
        """A publish's arguments, with `declare` reduced to what was not declared yet."""
        declare = arguments.get("declare") or ()
        return {**arguments, "declare": [each for each in declare if id(each) not in self._known]}

    def add(self, entities: Iterable[Any] | None) -> None:
        """Remember that these were declared."""
        if len(self._known) > KEPT:
            self._known.clear()
        for entity in entities or ():
            self._known[id(entity)] = entity
