"""The load of the whole schedule over a period, and its peaks: `client.simulate`.

Firings are counted per minute of their effective times and not stored one by one. A second pass
over the few fullest minutes finds the entries that fire in them. On request, the load with a given
spread is counted as well: the same entries, each with at least that spread. Nothing is written. The
result is the plan: catch-up, triggers and retries are not part of it.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from habeat.client.budget import Check, unbounded
from habeat.client.preview import slots_of
from habeat.core.entry import Entry
from habeat.core.holds import EntryHolds, Holds
from habeat.core.offsets import offset_ms, spread_ms
from habeat.entries.values import span_ms
from habeat.errors import ValidationError
from habeat.printable import plural
from habeat.schedules import Interval
from habeat.schedules.custom import Code
from habeat.schedules.schedule import moment, to_ms

MINUTE_MS = 60_000
MINUTES_MAX = 366 * 24 * 60
#: The most firings in one simulation, which takes about a minute.
FIRINGS_MAX = 20_000_000
#: The time limit is checked once for this many firings.
CHECK_EVERY = 100
PEAKS = 5
ENTRIES_OF_A_PEAK = 10
NONE_HELD = Holds()


@dataclass(frozen=True, slots=True)
class Peak:
    """One of the fullest minutes: how many firings, and the entries with the most of them."""

    at: datetime
    firings: int
    entries: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Load:
    """Firings per minute, from the start of the period, and the fullest minutes."""

    per_minute: Sequence[int]
    peaks: tuple[Peak, ...]

    @property
    def firings(self) -> int:
        return sum(self.per_minute)

    @property
    def highest(self) -> int:
        """The number of firings in the fullest minute."""
        return max(self.per_minute, default=0)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The result of `simulate` for ``start <= effective time < end``, whole minutes in UTC.

    `entries` is the number of entries simulated; `left_out` has the others, with the reason.
    `with_spread` is the load with the given `spread`, None without one.
    """

    start: datetime
    end: datetime
    entries: int
    left_out: Mapping[str, str]
    load: Load
    spread: timedelta | None = None
    with_spread: Load | None = None


Pages = Callable[[], Iterable[Sequence[Entry]]]


def simulated(
    pages: Pages,
    start: datetime,
    end: datetime,
    spread: float | timedelta | None,
    holds: Holds = NONE_HELD,
    check: Check = unbounded,
) -> Simulation:
    """Simulate the entries that `pages` yields; ValidationError if the period is too long.

    Slots that are held are left out; the newest one of a hold with `latest` counts at its end.

    `pages` is called twice.
    """
    start_ms = to_ms("start", start) // MINUTE_MS * MINUTE_MS
    end_ms = -(-to_ms("end", end) // MINUTE_MS) * MINUTE_MS
    minutes = (end_ms - start_ms) // MINUTE_MS
    if not 1 <= minutes <= MINUTES_MAX:
        raise ValidationError("end", end, "after the start, by 366 days at most")
    least_ms = None if spread is None else span_ms("spread", spread)
    plain = _Count(start_ms, minutes, 0, check, holds)
    counts = [plain]
    if least_ms is not None:
        counts.append(_Count(start_ms, minutes, least_ms, check, holds))
    left_out: dict[str, str] = {}
    taken = 0
    for page in pages():
        for entry in page:
            if why := _why_not(entry):
                left_out[entry.name] = why
                continue
            taken += 1
            for count in counts:
                count.add(entry)
    loads = _loads(pages, counts)
    return Simulation(
        start=moment(start_ms),
        end=moment(end_ms),
        entries=taken,
        left_out=left_out,
        load=loads[0],
        spread=None if least_ms is None else timedelta(milliseconds=least_ms),
        with_spread=None if least_ms is None else loads[1],
    )


def _why_not(entry: Entry) -> str:
    if entry.condition in ("paused", "disabled", "quarantined"):
        return entry.condition
    return "its slots are known to code only" if isinstance(entry.schedule, Code) else ""


@dataclass
class _Count:
    """Firings per minute under one assumption: every entry has at least this spread."""

    start_ms: int
    minutes: int
    spread_ms: int
    check: Check
    holds: Holds
    per_minute: array[int] = field(init=False)
    looked_at: int = 0

    def __post_init__(self) -> None:
        self.per_minute = array("L", bytes(array("L").itemsize * self.minutes))

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.minutes * MINUTE_MS

    def add(self, entry: Entry) -> None:
        """Count the firings of an entry."""
        start_ms, counted = self.start_ms, self.per_minute
        due = self._due(entry, start_ms, self.end_ms)
        self._check(entry)
        for due_ms in islice(due, FIRINGS_MAX - self.looked_at):
            counted[(due_ms - start_ms) // MINUTE_MS] += 1
            self.looked_at += 1
            if self.looked_at % CHECK_EVERY == 0:
                self._check(entry)
        if self.looked_at >= FIRINGS_MAX:
            raise ValidationError(
                "end", moment(self.end_ms), f"a period of less than {FIRINGS_MAX} firings"
            )

    def _check(self, entry: Entry) -> None:
        were = plural(self.looked_at, "firing was", "firings were")
        self.check(f"{were} counted, those of {entry.name!r} last")

    def fullest(self) -> list[int]:
        """The indexes of the fullest minutes, the fullest first, without empty ones."""
        places = heapq.nlargest(
            PEAKS, range(self.minutes), key=lambda at: (self.per_minute[at], -at)
        )
        return [at for at in places if self.per_minute[at]]

    def within(self, entry: Entry, minute: int) -> int:
        """How often an entry fires in one minute."""
        at_ms = self.start_ms + minute * MINUTE_MS
        self.check(lambda: f"all firings were counted, the peaks up to {entry.name!r}")
        return sum(1 for _ in self._due(entry, at_ms, at_ms + MINUTE_MS))

    def _due(self, entry: Entry, start_ms: int, end_ms: int) -> Iterable[int]:
        spread = replace(entry, spread_ms=max(entry.spread_ms, self.spread_ms))
        holds = self.holds.of(entry)
        if not holds:
            return due_times(spread, start_ms, end_ms)
        return _unheld(_slots_due(spread, start_ms, end_ms), holds, end_ms)


def _unheld(due: Iterable[tuple[int, int]], holds: EntryHolds, end_ms: int) -> Iterator[int]:
    """The times at which something fires, with these holds, of slots and their effective times."""
    waits_ms: int | None = None
    for slot_ms, due_ms in due:
        if waits_ms is not None and due_ms >= waits_ms:
            yield waits_ms
            waits_ms = None
        if holds.day_off(slot_ms) is not None:  # the day of the slot counts, as for the leader
            continue
        held = max(holds.due_in(due_ms), key=lambda each: not each.latest, default=None)
        if held is None:
            yield due_ms
        elif held.latest:
            waits_ms = held.until_ms
    if waits_ms is not None and waits_ms < end_ms:
        yield waits_ms


def due_times(entry: Entry, start_ms: int, end_ms: int) -> Iterable[int]:
    """The effective times in ``start <= t < end``; a range if they are evenly spaced."""
    steady = _steady(entry, start_ms, end_ms)
    if steady is not None:
        return steady
    return (due_ms for _, due_ms in _offset(entry, start_ms, end_ms))


def _steady(entry: Entry, start_ms: int, end_ms: int) -> range | None:
    """The effective times of an interval without jitter or bounds; None for other entries."""
    schedule = entry.schedule
    bounded = (entry.start_ms, entry.end_ms, entry.max_runs) != (None, None, None)
    if not isinstance(schedule, Interval) or entry.jitter_ms or bounded:
        return None
    always_ms = _always_ms(entry, schedule)
    first_ms = schedule.next_after_ms(start_ms - 1 - always_ms)
    if first_ms is None:
        return range(0)
    return range(first_ms + always_ms, end_ms, schedule.every_ms)


def _always_ms(entry: Entry, schedule: Interval) -> int:
    """By how much each slot of an interval is later."""
    return spread_ms(entry.name, min(entry.spread_ms, schedule.every_ms - 1))


def _slots_due(entry: Entry, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """The slots with effective times in ``start <= t < end``, and these times."""
    steady, schedule = _steady(entry, start_ms, end_ms), entry.schedule
    if steady is None or not isinstance(schedule, Interval):
        return _offset(entry, start_ms, end_ms)
    always_ms = _always_ms(entry, schedule)
    return ((due_ms - always_ms, due_ms) for due_ms in steady)


def _offset(entry: Entry, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    most = entry.spread_ms, entry.jitter_ms
    slots = slots_of(entry, _before(entry, start_ms))
    slot_ms = next(slots, None)
    while slot_ms is not None and slot_ms < end_ms:
        following_ms = next(slots, None)
        if following_ms is None:
            due_ms = entry.effective_ms(slot_ms)  # the schedule may continue after the entry's end
        else:
            room_ms = following_ms - slot_ms - 1
            due_ms = slot_ms + offset_ms(entry.name, slot_ms, *most, room_ms)
        if start_ms <= due_ms < end_ms:
            yield slot_ms, due_ms
        slot_ms = following_ms


def _before(entry: Entry, start_ms: int) -> int:
    """An instant early enough to find every slot whose firing may be due at `start_ms` or later.

    An offset stays below the gap to the next slot, so it is enough to find one slot before
    `start_ms`.
    """
    most_ms = entry.spread_ms + entry.jitter_ms
    back_ms = min(most_ms, MINUTE_MS)
    while back_ms < most_ms:
        slot_ms = entry.next_slot_ms(start_ms - back_ms - 1)
        if slot_ms is not None and slot_ms < start_ms:
            break
        back_ms = min(most_ms, back_ms * 8)
    return start_ms - back_ms - 1


def _loads(pages: Pages, counts: Sequence[_Count]) -> list[Load]:
    """The loads, with the entries that fire in the fullest minutes, found in a second pass."""
    fullest = [count.fullest() for count in counts]
    makers: list[dict[int, list[tuple[int, str]]]] = [
        {minute: [] for minute in places} for places in fullest
    ]
    for page in pages() if any(fullest) else ():
        for entry in page:
            if not _why_not(entry):
                _look(entry, counts, makers)
    return [
        Load(count.per_minute, tuple(_peak(count, minute, found[minute]) for minute in places))
        for count, places, found in zip(counts, fullest, makers, strict=True)
    ]


def _look(
    entry: Entry, counts: Sequence[_Count], makers: Sequence[dict[int, list[tuple[int, str]]]]
) -> None:
    for count, found in zip(counts, makers, strict=True):
        for minute, most in found.items():
            firings = count.within(entry, minute)
            if firings:
                most.append((firings, entry.name))
            if len(most) > 4 * ENTRIES_OF_A_PEAK:
                most[:] = _most(most)


def _most(found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(found, key=lambda each: (-each[0], each[1]))[:ENTRIES_OF_A_PEAK]


def _peak(count: _Count, minute: int, found: list[tuple[int, str]]) -> Peak:
    at = moment(count.start_ms + minute * MINUTE_MS)
    return Peak(at, count.per_minute[minute], {name: firings for firings, name in _most(found)})
