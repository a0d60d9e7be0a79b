"""The next slots of a schedule or an entry: `client.preview`.

The slots of an entry are between its start and its end, and no more than it has runs left. Each
slot between its cursor and the start of the preview uses up one of these runs. If the preview
starts before the cursor, slots that were handled already are shown, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from habeat.client.budget import Check, unbounded
from habeat.core.entry import Entry
from habeat.core.holds import NO_HOLDS, EntryHolds
from habeat.core.offsets import jitter_ms, spread_ms
from habeat.errors import ValidationError
from habeat.printable import plural
from habeat.schedules import Schedule
from habeat.schedules.schedule import Run, moment, to_ms

COUNT = 10
COUNT_MAX = 10_000
#: At most this many slots are counted to find the first run of a preview after the cursor.
LOOKED_AHEAD = 100_000
#: Where slots are counted one by one, the time limit is checked once for this many.
COUNTED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Instant:
    """One slot: its nominal time, and when its firing is due.

    `nominal` and `effective` are in the schedule's own zone (UTC if it has none); ``nominal_utc``
    and ``effective_utc`` are the same instants in UTC. `marks` says what is special: "gap" (it
    replaces a local time that the clocks skip), "fold first" and "fold second" (its local time
    occurs twice), "spread" and "jitter" (its firing is delayed by `offset`), and what holds it:
    "paused: all", "maintenance: NAME", "calendar: NAME".
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

    @property
    def offset(self) -> timedelta:
        """How long after the slot the firing is due."""
        return self.effective_utc - self.nominal_utc


@dataclass(frozen=True, slots=True)
class Span:
    """Which slots to show: ``after < slot <= until``, and how many at most."""

    after_ms: int
    until_ms: int | None
    count: int

    @classmethod
    def checked(cls, start: datetime, end: datetime | None, count: int | None) -> Span:
        """From the arguments of `preview`; ValidationError."""
        if count is not None and (type(count) is not int or not 1 <= count <= COUNT_MAX):
            raise ValidationError("count", count, f"a whole number from 1 to {COUNT_MAX}")
        after_ms = to_ms("start", start)
        if end is None:
            return cls(after_ms, None, COUNT if count is None else count)
        until_ms = to_ms("end", end)
        if until_ms <= after_ms:
            raise ValidationError("end", end, f"an instant after the start ({start})")
        # One more than allowed: without a count, `cut` must notice that there are too many.
        return cls(after_ms, until_ms, COUNT_MAX + 1 if count is None else count)

    def cut(self, slots: Iterable[int], check: Check = unbounded) -> list[int]:
        """The slots in the span; ValidationError if there are more than COUNT_MAX."""
        found: list[int] = []
        for slot_ms in slots:
            check(lambda: plural(len(found), "slot was", "slots were") + " found")
            if len(found) == self.count or (self.until_ms is not None and slot_ms > self.until_ms):
                break
            found.append(slot_ms)
        if len(found) > COUNT_MAX:
            allowed = f"a span of at most {COUNT_MAX} slots, or a count"
            raise ValidationError("end", moment(self.until_ms or 0), allowed)
        return found


def instants_of(
    entry: Entry, span: Span, check: Check = unbounded, holds: EntryHolds = NO_HOLDS
) -> list[Instant]:
    """The slots of an entry, also if it is paused or held."""
    found: list[Instant] = []
    slots = span.cut(slots_of(entry, span.after_ms, check), check)
    for slot_ms, zone in _zoned(entry.schedule, slots):
        check(lambda: f"{len(found)} of {len(slots)} slots were shown")
        due_ms = entry.effective_ms(slot_ms)
        marks = (*_marks(entry, slot_ms), *holds.reasons_at(slot_ms, due_ms))
        found.append(_instant(slot_ms, due_ms, zone, marks))
    return found


def instants(schedule: Schedule, span: Span, check: Check = unbounded) -> list[Instant]:
    """The slots of a schedule that is not stored."""
    slots = span.cut(_slots(schedule, span.after_ms), check)
    found: list[Instant] = []
    for slot_ms, zone in _zoned(schedule, slots):
        check(lambda: f"{len(found)} of {len(slots)} slots were shown")
        found.append(_instant(slot_ms, slot_ms, zone, _remarks(schedule, slot_ms)))
    return found


def counted(
    entry: Entry, after_ms: int, until_ms: int, limit: int, check: Check = unbounded
) -> Run | None:
    """`Entry.count_between`, in short parts if slots are counted one by one."""
    if entry.schedule.arithmetic:
        return entry.count_between(after_ms, until_ms, limit)
    whole: Run | None = None
    while whole is None or whole.count < limit:
        count = 0 if whole is None else whole.count
        check(plural(count, "slot was", "slots were") + " counted")
        from_ms = after_ms if whole is None else whole.last_ms
        part = entry.count_between(from_ms, until_ms, min(COUNTED_AT_ONCE, limit - count))
        if part is None:
            break
        first_ms = part.first_ms if whole is None else whole.first_ms
        whole = Run(count + part.count, first_ms, part.last_ms)
    return whole


def slots_of(entry: Entry, after_ms: int, check: Check = unbounded) -> Iterator[int]:
    """The slots of an entry after an instant, within its bounds and its remaining runs."""
    cursor_ms, left = entry.state.cursor_ms, entry.runs_left(entry.state.fired)
    if left and after_ms > cursor_ms > 0:
        used = counted(entry, cursor_ms, after_ms, min(left, LOOKED_AHEAD), check)
        left -= used.count if used else 0
    slot_ms = entry.next_slot_ms(after_ms)
    while slot_ms is not None:
        if left is not None and slot_ms > cursor_ms:
            if left <= 0:
                return
            left -= 1
        yield slot_ms
        slot_ms = entry.next_slot_ms(slot_ms)


def in_zone(schedule: Schedule, timezone: str) -> Schedule:
    """The schedule with its zone filled in; values derived from an entry's name stay open."""
    if getattr(schedule, "tz", "") is not None:
        return schedule
    return cast(Schedule, dataclasses.replace(cast(Any, schedule), tz=timezone))


def _slots(schedule: Schedule, after_ms: int) -> Iterator[int]:
    slot_ms = schedule.next_after_ms(after_ms)
    while slot_ms is not None:
        yield slot_ms
        slot_ms = schedule.next_after_ms(slot_ms)


def _zoned(schedule: Schedule, slots: list[int]) -> Iterator[tuple[int, Any]]:
    """The slots, each with the zone of the schedule."""
    if not slots:
        return
    first = schedule.next_after(moment(slots[0] - 1))
    zone = UTC if first is None else first.tzinfo
    for slot_ms in slots:
        yield slot_ms, zone


def _instant(slot_ms: int, effective_ms: int, zone: Any, marks: tuple[str, ...]) -> Instant:
    nominal = moment(slot_ms).astimezone(zone)
    same = effective_ms == slot_ms
    return Instant(nominal, nominal if same else moment(effective_ms).astimezone(zone), marks)


def _marks(entry: Entry, slot_ms: int) -> tuple[str, ...]:
    marks = _remarks(entry.schedule, slot_ms)
    if entry.spread_ms and spread_ms(entry.name, entry.spread_ms):
        marks += ("spread",)
    if entry.jitter_ms and jitter_ms(entry.name, slot_ms, entry.jitter_ms):
        marks += ("jitter",)
    return marks


def _remarks(schedule: Schedule, slot_ms: int) -> tuple[str, ...]:
    remark = schedule.remark(slot_ms)
    return (remark,) if remark else ()
