"""What else a replica does in its loop, beside dispatching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from habeat.engine.fenced import Lead


class Housekeeping(Protocol):
    """What else a replica does in its loop: says that it lives; as a leader, reconciles."""

    def each_tick(self, lead: Lead | None) -> int | None:
        """Do what is due of it; how long until there is more, in ms (None: no hurry)."""
        ...

    def mend(self, lead: Lead | None) -> None:
        """Something that was read made a turn fail: put right what is wrong with our own keys."""
        ...

    def resume(self, lead: Lead, names: Sequence[str]) -> None:
        """End the pauses of these entries: their time is over."""
        ...
