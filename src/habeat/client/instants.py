"""The coming slots of a schedule, for people: `client.preview`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from habeat.core.entry import Entry
from habeat.core.schedule import Schedule
from habeat.core.schedule.base import to_ms
from habeat.errors import ValidationError

COUNT_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Instant:
    """One slot: when it is named for, and when its firing is due.

    `nominal` and `effective` are in the schedule's own zone (UTC where it has none); the
    ``…_utc`` are the same instants in UTC. `marks` says what is special about it, if anything.
    """

    nominal: datetime
    effective: datetime
    marks: tuple[str, ...] = ()

    @property
    def nominal_utc(self) -> datetime:
        return self.nominal.astimezone(UTC)

    @property
    def effective_utc(self) -> datetime:
        return self.effective.astimezone(UTC)


def instants(
    schedule: Schedule,
    start: datetime,
    count: int,
    effective_ms: Callable[[int], int] = lambda slot_ms: slot_ms,
) -> list[Instant]:
    """The first `count` slots strictly after an aware datetime; fewer if there are no more."""
    if type(count) is not int or not 1 <= count <= COUNT_MAX:
        raise ValidationError("count", count, f"a whole number from 1 to {COUNT_MAX}")
    found: list[Instant] = []
    slot = schedule.next_after(start)
    while slot is not None and len(found) < count:
        slot_ms = to_ms("slot", slot)
        delay = timedelta(milliseconds=effective_ms(slot_ms) - slot_ms)
        found.append(Instant(slot, (slot.astimezone(UTC) + delay).astimezone(slot.tzinfo)))
        slot = schedule.next_after(slot)
    return found


def instants_of(entry: Entry, start: datetime, count: int) -> list[Instant]:
    """The coming slots of an entry, whether it is paused or not."""
    return instants(entry.schedule, start, count, entry.effective_ms)


def in_zone(schedule: Schedule, timezone: str) -> Schedule:
    """The schedule with its zone filled in; what is made from an entry's name stays open."""
    if getattr(schedule, "tz", "") is not None:
        return schedule
    return cast(Schedule, dataclasses.replace(cast(Any, schedule), tz=timezone))
