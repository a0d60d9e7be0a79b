"""What a manual scheduler returns: firings, and runs of slots that do not fire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Firing:
    """One message that beat would send.

    `slot` is the nominal instant, `effective` is the slot with spread and jitter, and `sent` is
    what the clock showed. They are in the zone of the entry's schedule. `catch_up` is "" for a slot
    within its grace, and otherwise the policy that made it fire: "latest" or "all". Lazy arguments
    have been called.
    """

    name: str
    task: str
    slot: datetime
    effective: datetime
    sent: datetime
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    catch_up: str = ""

    @property
    def late(self) -> timedelta:
        """How long after its effective time it was sent."""
        return self.sent - self.effective


@dataclass(frozen=True, slots=True)
class Skipped:
    """A run of slots of one entry that will never fire: how many, from which to which, and why.

    `outcome` and `reason` are those of the ledger, such as "missed" and "misfire: latest".
    """

    name: str
    first: datetime
    last: datetime
    count: int
    outcome: str
    reason: str
