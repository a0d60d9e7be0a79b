"""When the message of a firing expires: one rule for the planner, the message and the ledger.

Numbers of seconds count from the firing's effective time, and not from the moment of sending: a
firing that leaves late, or again, expires when it would have expired on time. Of a deadline and an
`expires`, the earlier one counts.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from habeat.core.entry import Entry
from habeat.core.firing import Firing

_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)


def expires_ms(entry: Entry, firing: Firing, expires: Any = None) -> int | None:
    """The instant from which the message is of no use, in Unix ms; None if it never expires.

    `expires` replaces the entry's own option. Values that are not numbers, timedeltas or aware
    datetimes are ignored.
    """
    if expires is None:
        expires = entry.options.get("expires")
    found = [_as_ms(firing.effective_ms, expires)]
    if entry.deadline_ms is not None:
        found.append(firing.effective_ms + entry.deadline_ms)
    return min((each for each in found if each is not None), default=None)


def has_expired(entry: Entry, firing: Firing, now_ms: int) -> bool:
    """Whether its message is of no use any more."""
    at_ms = expires_ms(entry, firing)
    return at_ms is not None and at_ms <= now_ms


def at_ms(instant: datetime) -> int:
    """An aware datetime in Unix ms; parts of a millisecond count as a whole one."""
    return -((_EPOCH - instant) // _MS)


def _as_ms(effective_ms: int, expires: Any) -> int | None:
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    if isinstance(expires, bool) or expires is None:
        return None
    if isinstance(expires, int | float) and math.isfinite(expires):
        return effective_ms + round(expires * 1_000)
    if isinstance(expires, datetime) and expires.tzinfo is not None:
        return at_ms(expires)
    return None
