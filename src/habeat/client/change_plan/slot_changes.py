"""The slots of one entry before and after a change: which appear, vanish or move.

Slots that only one side has are paired in the order of time. A slot that vanishes moves to the next
one that appears, or from the previous one, if no slot lies between the two and neither has a nearer
neighbour on its other side. So a run that moves from 08:00 to 09:00 is one move a day, and a
`*/10` that becomes `*/15` keeps its half hours.

Slots are enumerated up to a limit. Beyond it, the rest is counted, and a note says so. Two
intervals are compared by arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from math import gcd
from typing import Any, Literal, cast

from habeat.client.change_plan.saved import facts
from habeat.core.entry import Entry
from habeat.schedules import Interval, in_words
from habeat.schedules.custom import Code
from habeat.schedules.schedule import moment
from habeat.schedules.zone import DAY_S, zone_named

#: The most slots of one side of an entry that are enumerated, and those for which there is always
#: room.
ENUMERATED_MOST = 60_000
ENUMERATED_LEAST = 100
EXAMPLES = 3

DAY_MS = DAY_S * 1_000
#: No zone has skipped more than this in the last hundred years, except for whole days.
GAP_MOST_MS = 3 * 3_600_000

Kind = Literal["added", "removed", "changed"]
Move = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """The slots in question: ``start_ms <= slot < end_ms``."""

    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Budget:
    """How many more slots may be enumerated for all entries together."""

    left: int

    def take(self, most: int) -> int:
        """How many slots may be enumerated now."""
        return max(ENUMERATED_LEAST, min(most, self.left))


@dataclass(frozen=True, slots=True)
class EntryChange:
    """What a change does to one entry within the window.

    `before` and `after` are the schedules in words. Counts are exact unless a note says otherwise;
    the tuples are the first few. `shift_ms` is the one distance by which all moves go, None if they
    differ. `clock_changes` are slots after the change whose local time is skipped or repeated
    ("gap", "fold first", "fold second"), and where gap="skip" leaves one out ("skipped").
    """

    name: str
    what: Kind
    before: str = ""
    after: str = ""
    slots_before: int = 0
    slots_after: int = 0
    appear: int = 0
    vanish: int = 0
    move: int = 0
    shift_ms: int | None = None
    appearing: tuple[datetime, ...] = ()
    vanishing: tuple[datetime, ...] = ()
    moving: tuple[Move, ...] = ()
    clock_changes: tuple[tuple[datetime, str], ...] = ()
    notes: tuple[str, ...] = ()


def compare(
    name: str, before: Entry | None, after: Entry | None, window: Window, budget: Budget
) -> EntryChange | None:
    """The change of one entry; None if nothing about its slots changes."""
    if before is not None and after is not None and facts(before) == facts(after):
        return None
    what: Kind = "added" if before is None else "removed" if after is None else "changed"
    words = _words(before), _words(after)
    if any(entry is not None and isinstance(entry.schedule, Code) for entry in (before, after)):
        return EntryChange(name, what, *words, notes=("its slots are known to code only",))
    try:
        return _Comparison(before, after, window, budget).change(name, what, words)
    except Exception as error:  # of a schedule: it concerns this entry only
        why = f"its slots cannot be compared: {type(error).__name__}: {error}"
        return EntryChange(name, what, *words, notes=(why,))


def _words(entry: Entry | None) -> str:
    if entry is None:
        return ""
    words = [entry.schedule.describe()]
    words += [] if entry.enabled else ["disabled"]
    for what, at_ms in (("from", entry.start_ms), ("until", entry.end_ms)):
        words += [] if at_ms is None else [f"{what} {moment(at_ms):%Y-%m-%d %H:%M:%S} UTC"]
    words += [] if entry.max_runs is None else [f"at most {entry.max_runs} times"]
    for what, length_ms in (("spread", entry.spread_ms), ("jitter", entry.jitter_ms)):
        words += [f"{what} {in_words.duration(length_ms)}"] if length_ms else []
    return "; ".join(words)


@dataclass(slots=True)
class _Comparison:
    before: Entry | None
    after: Entry | None
    window: Window
    budget: Budget

    def change(self, name: str, what: Kind, words: tuple[str, str]) -> EntryChange | None:
        """The change; None if the slots are the same, in the window and just after it."""
        lists = [self._slots(each) for each in (self.before, self.after)]
        counts = [
            self._count(entry, found) for entry, found in zip(self._sides, lists, strict=True)
        ]
        until_ms = min((found[-1] for found, whole in lists if not whole), default=None)
        old, new = (
            [at for at in found if until_ms is None or at <= until_ms] for found, _ in lists
        )
        vanish, appear, moves = paired(old, new)
        figures = (len(appear), len(vanish), len(moves))
        notes = self._other_notes()
        if until_ms is not None:
            figures, more = self._beyond(until_ms, counts, figures)
            notes.append(more)
        elif not any(figures):
            notes += self._after_the_window()
        if what == "changed" and not any(figures) and not notes:
            return None
        zones = [_zone(entry) for entry in self._sides]
        shifts = {to_ms - from_ms for from_ms, to_ms in moves}
        return EntryChange(
            name,
            what,
            *words,
            slots_before=counts[0],
            slots_after=counts[1],
            appear=figures[0],
            vanish=figures[1],
            move=figures[2],
            shift_ms=shifts.pop() if len(shifts) == 1 else None,
            appearing=_shown(appear[:EXAMPLES], zones[1]),
            vanishing=_shown(vanish[:EXAMPLES], zones[0]),
            moving=tuple(
                (moment(a).astimezone(zones[0]), moment(b).astimezone(zones[1]))
                for a, b in moves[:EXAMPLES]
            ),
            clock_changes=clock_changes(self.after, new, self.window),
            notes=tuple(notes),
        )

    @property
    def _sides(self) -> tuple[Entry | None, Entry | None]:
        return self.before, self.after

    def _slots(self, entry: Entry | None) -> tuple[list[int], bool]:
        """The slots in the window, and whether these are all."""
        found: list[int] = []
        if entry is None or not entry.enabled:
            return found, True
        limit = self.budget.take(ENUMERATED_MOST)
        slot_ms = entry.next_slot_ms(self.window.start_ms - 1)
        while slot_ms is not None and slot_ms < self.window.end_ms and len(found) < limit:
            found.append(slot_ms)
            slot_ms = entry.next_slot_ms(slot_ms)
        self.budget.left -= len(found)
        return found, slot_ms is None or slot_ms >= self.window.end_ms

    def _count(self, entry: Entry | None, found: tuple[list[int], bool]) -> int:
        slots, whole = found
        if entry is None or whole or not entry.schedule.arithmetic:
            return len(slots)
        run = entry.count_between(self.window.start_ms - 1, self.window.end_ms - 1)
        return 0 if run is None else run.count

    def _beyond(
        self, until_ms: int, counts: Sequence[int], figures: tuple[int, int, int]
    ) -> tuple[tuple[int, int, int], str]:
        """The figures for the whole window if not all slots were listed, and a note about it."""
        old, new = counts
        if not (old and new):
            return (new, old, 0), _BY_ARITHMETIC
        common = _common(self.before, self.after, self.window)
        if common is not None:
            moved = min(old, new) if common == 0 and _same_period(self.before, self.after) else 0
            return (new - common - moved, old - common - moved, moved), _BY_ARITHMETIC
        return figures, (
            f"compared up to {moment(until_ms):%Y-%m-%d %H:%M:%S} UTC only; the whole window has "
            f"{old} slots before and {new} after"
        )

    def _other_notes(self) -> list[str]:
        """Changes that move no slot: of due times, and of how often it fires."""
        old, new = self.before, self.after
        if old is None or new is None:
            return []
        names = ("spread_ms", "jitter_ms", "max_runs")
        differ = [name for name in names if getattr(old, name) != getattr(new, name)]
        return [_OTHER[name] for name in differ]

    def _after_the_window(self) -> list[str]:
        """A note if the first slots after the window differ: the window may have none."""
        firsts = [
            None if each is None or not each.enabled else each.next_slot_ms(self.window.end_ms - 1)
            for each in self._sides
        ]
        if firsts[0] == firsts[1]:
            return []
        then = ["none" if at is None else f"{moment(at):%Y-%m-%d %H:%M} UTC" for at in firsts]
        return [f"no slot of the window changes; the next one after it was {then[0]}, is {then[1]}"]


_BY_ARITHMETIC = "counted by arithmetic: there are too many slots to list"
_OTHER = {
    "spread_ms": "its spread changes, so its firings are due at other times",
    "jitter_ms": "its jitter changes, so its firings are due at other times",
    "max_runs": "it may fire another number of times in all",
}


def paired(
    old: Sequence[int], new: Sequence[int]
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Slots that vanish, slots that appear, and pairs of slots that move; all sorted."""
    kept = set(old).intersection(new)
    marked = sorted(
        [(at, "old" if at not in kept else "kept") for at in old]
        + [(at, "new") for at in new if at not in kept]
    )
    gone: list[int] = []
    come: list[int] = []
    moves: list[tuple[int, int]] = []
    at = 0
    while at < len(marked):
        slot_ms, side = marked[at]
        if side != "kept" and _moves(marked, at):
            other_ms = marked[at + 1][0]
            moves.append((slot_ms, other_ms) if side == "old" else (other_ms, slot_ms))
            at += 2
            continue
        if side != "kept":
            (gone if side == "old" else come).append(slot_ms)
        at += 1
    return gone, come, moves


def _moves(marked: Sequence[tuple[int, str]], at: int) -> bool:
    """Whether this slot and the next one are the two ends of a move."""
    if at + 1 == len(marked):
        return False
    (slot_ms, side), (next_ms, other) = marked[at : at + 2]
    if other in ("kept", side):
        return False
    if at + 2 == len(marked) or marked[at + 2][1] != side:
        return True
    return marked[at + 2][0] - next_ms >= next_ms - slot_ms


def clock_changes(
    entry: Entry | None, slots: Sequence[int], window: Window
) -> tuple[tuple[datetime, str], ...]:
    """The slots that fall into a gap or a fold of their zone, and those that a gap takes away."""
    zone = None if entry is None else getattr(entry.schedule, "tz", None)
    if entry is None or zone is None or not entry.enabled:
        return ()
    found: dict[int, str] = {}
    for at_ms in _transitions(zone, window):
        near = [slot_ms for slot_ms in slots if abs(slot_ms - at_ms) <= DAY_MS]
        found |= {slot_ms: entry.schedule.remark(slot_ms) for slot_ms in near}
        found |= {slot_ms: "skipped" for slot_ms in _skipped(entry, at_ms) if slot_ms not in near}
    info = _zone(entry)
    return tuple((moment(at).astimezone(info), found[at]) for at in sorted(found) if found[at])


def _transitions(zone: str, window: Window) -> list[int]:
    """When the offset of a zone changes, in Unix ms, in the window or a day next to it."""
    named, found = zone_named(zone), []
    at_s, last_s = window.start_ms // 1_000 - DAY_S, window.end_ms // 1_000 + DAY_S
    while (end_s := named.segment_at(at_s).end_s) <= last_s:
        if named.segment_at(end_s).offset_s != named.segment_at(at_s).offset_s:
            found.append(end_s * 1_000)
        at_s = end_s
    return found


def _skipped(entry: Entry, at_ms: int) -> list[int]:
    """With gap="skip": where slots would be that the change of the clocks at `at_ms` takes away."""
    if getattr(entry.schedule, "gap", "") != "skip":
        return []
    shifted = replace(entry, schedule=replace(cast(Any, entry.schedule), gap="shift"))
    slot_ms = shifted.next_slot_ms(at_ms - 1)
    # All of them are shifted to the first instant after the gap, or by its length.
    found: list[int] = []
    while slot_ms is not None and slot_ms <= at_ms + DAY_MS and len(found) < ENUMERATED_LEAST:
        if shifted.schedule.remark(slot_ms) == "gap":
            found.append(slot_ms)
        elif slot_ms - at_ms > GAP_MOST_MS:
            break
        slot_ms = shifted.next_slot_ms(slot_ms)
    return found


def _zone(entry: Entry | None) -> tzinfo | None:
    """The zone in which the slots of an entry are shown."""
    return zone_named(
        (None if entry is None else getattr(entry.schedule, "tz", None)) or "UTC"
    ).info


def _shown(slots: Sequence[int], zone: tzinfo | None) -> tuple[datetime, ...]:
    return tuple(moment(at).astimezone(zone) for at in slots)


# -- intervals -------------------------------------------------------------------------------


def _same_period(old: Entry | None, new: Entry | None) -> bool:
    periods = [getattr(each.schedule, "every_ms", None) for each in (old, new) if each is not None]
    return len(periods) == 2 and periods[0] == periods[1]


def _common(old: Entry | None, new: Entry | None, window: Window) -> int | None:
    """How many slots two intervals share in the window; None if they are something else."""
    if old is None or new is None:
        return None
    a, b = old.schedule, new.schedule
    if not isinstance(a, Interval) or not isinstance(b, Interval):
        return None
    if not (old.enabled and new.enabled):
        return 0
    begins = [at for at in (window.start_ms, old.start_ms, new.start_ms) if at is not None]
    ends = [window.end_ms, *(at + 1 for at in (old.end_ms, new.end_ms) if at is not None)]
    step = gcd(a.every_ms, b.every_ms)
    apart = (b.offset_ms or 0) - (a.offset_ms or 0)
    if apart % step:
        return 0
    # The Chinese remainder theorem: the shared slots are an interval themselves.
    turns = apart // step * pow(a.every_ms // step, -1, b.every_ms // step)
    every_ms = a.every_ms // step * b.every_ms
    first_ms = (a.offset_ms or 0) + turns % (b.every_ms // step) * a.every_ms
    from_ms = max(begins)
    from_ms += (first_ms - from_ms) % every_ms
    return max(0, -(-(min(ends) - from_ms) // every_ms))
