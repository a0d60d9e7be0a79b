"""What a forked child must not use: sockets and threads of its parent."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakValueDictionary


class Droppable(Protocol):
    """Something that a child drops."""

    def drop_after_fork(self) -> None:
        """Let go of what belongs to the parent, without closing it there."""


_held: WeakValueDictionary[int, Droppable] = WeakValueDictionary()
_watching: list[bool] = []


def drop_in_children(owner: Droppable) -> None:
    """Make each forked child call `drop_after_fork`; nothing is registered at import."""
    _held[id(owner)] = owner
    if not _watching:
        _watching.append(True)
        os.register_at_fork(after_in_child=_drop_all)


def _drop_all() -> None:
    for owner in list(_held.values()):
        owner.drop_after_fork()
