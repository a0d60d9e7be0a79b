"""What a replica does in its loop apart from dispatching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from habeat.engine.fenced import Lead


class Housekeeping(Protocol):
    """Chores of the loop: a replica registers that it is alive; a leader also reconciles."""

    def each_tick(self, lead: Lead | None) -> int | None:
        """Do the chores that are due; return the time until the next in ms (None: no hurry)."""
        ...

    def mend(self, lead: Lead | None) -> None:
        """Repair habeat's own keys, after a stored value may have made a tick fail."""
        ...

    def resume(self, lead: Lead, names: Sequence[str]) -> None:
        """End the pauses of these entries, because their time is over."""
        ...
