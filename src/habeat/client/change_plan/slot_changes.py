"""The slots of one entry before and after a change: which appear, vanish or move.

Slots are listed up to a limit. Beyond it, the rest is counted, and a note says so. Two intervals
are compared by arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal

from habeat.client.change_plan.clock_changes import clock_changes, zone_of
from habeat.client.change_plan.intervals import same_period, shared_slots
from habeat.client.change_plan.pairing import Pairs, paired
from habeat.client.change_plan.saved import facts
from habeat.client.change_plan.window import Window
from habeat.core.entry import Entry
from habeat.schedules import in_words
from habeat.schedules.custom import Code
from habeat.schedules.schedule import moment

#: The most slots of one side of an entry that are listed, and those for which there is always room.
LISTED_MOST = 60_000
LISTED_LEAST = 100
EXAMPLES = 3

Kind = Literal["added", "removed", "changed"]
Move = tuple[datetime, datetime]


@dataclass(slots=True)
class Budget:
    """How many more slots may be listed, for all entries together."""

    left: int

    def take(self) -> int:
        """How many slots of one side may be listed now."""
        return max(LISTED_LEAST, min(LISTED_MOST, self.left))


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
class _Side:
    """The slots of one side: those that were listed, whether these are all, and how many are."""

    listed: list[int]
    whole: bool
    count: int


@dataclass(slots=True)
class _Difference:
    """What differs: the pairs that were listed, the figures of the whole window, and notes."""

    pairs: Pairs
    figures: tuple[int, int, int]
    notes: list[str]


@dataclass(slots=True)
class _Comparison:
    before: Entry | None
    after: Entry | None
    window: Window
    budget: Budget

    def change(self, name: str, what: Kind, words: tuple[str, str]) -> EntryChange | None:
        """The change; None if the slots are the same, in the window and just after it."""
        old, new = (self._side(each) for each in self._sides)
        found = self._difference(old, new)
        if what == "changed" and not any(found.figures) and not found.notes:
            return None
        zones = [zone_of(entry) for entry in self._sides]
        pairs, shifts = found.pairs, {to_ms - from_ms for from_ms, to_ms in found.pairs.moves}
        return EntryChange(
            name,
            what,
            *words,
            slots_before=old.count,
            slots_after=new.count,
            appear=found.figures[0],
            vanish=found.figures[1],
            move=found.figures[2],
            shift_ms=shifts.pop() if len(shifts) == 1 else None,
            appearing=_shown(pairs.appear, zones[1]),
            vanishing=_shown(pairs.vanish, zones[0]),
            moving=_shown_moves(pairs.moves, *zones),
            clock_changes=clock_changes(self.after, new.listed, self.window),
            notes=tuple(found.notes),
        )

    @property
    def _sides(self) -> tuple[Entry | None, Entry | None]:
        return self.before, self.after

    def _side(self, entry: Entry | None) -> _Side:
        found: list[int] = []
        if entry is None or not entry.enabled:
            return _Side(found, True, 0)
        limit, start_ms, end_ms = self.budget.take(), self.window.start_ms, self.window.end_ms
        slot_ms = entry.next_slot_ms(start_ms - 1)
        while slot_ms is not None and slot_ms < end_ms and len(found) < limit:
            found.append(slot_ms)
            slot_ms = entry.next_slot_ms(slot_ms)
        self.budget.left -= len(found)
        if slot_ms is None or slot_ms >= end_ms:
            return _Side(found, True, len(found))
        # Kinds that cannot count would list all slots, so their listed slots are counted.
        run = entry.count_between(start_ms - 1, end_ms - 1) if entry.schedule.arithmetic else None
        return _Side(found, False, len(found) if run is None else run.count)

    def _difference(self, old: _Side, new: _Side) -> _Difference:
        until_ms = min((each.listed[-1] for each in (old, new) if not each.whole), default=None)
        if until_ms is not None:
            for each in (old, new):
                each.listed = [at for at in each.listed if at <= until_ms]
        pairs = paired(old.listed, new.listed)
        figures = len(pairs.appear), len(pairs.vanish), len(pairs.moves)
        notes = self._other_notes()
        if until_ms is not None:
            exact = self._by_arithmetic(old.count, new.count)
            if exact is None:
                notes.append(_up_to(until_ms, old, new))
            elif any(exact):
                notes.append("counted by arithmetic: there are too many slots to list")
            figures = exact or figures
        elif not any(figures):
            notes += self._after_the_window()
        return _Difference(pairs, figures, notes)

    def _by_arithmetic(self, old: int, new: int) -> tuple[int, int, int] | None:
        """The figures of the whole window without a list of slots; None if that is impossible."""
        if not (old and new):
            return new, old, 0
        shared = shared_slots(self.before, self.after, self.window)
        if shared is None:
            return None
        all_move = old == new or same_period(self.before, self.after)
        moved = min(old, new) if shared == 0 and all_move else 0
        return new - shared - moved, old - shared - moved, moved

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
        return [f"no slot in this time changes; the next one after it was {then[0]}, is {then[1]}"]


_OTHER = {
    "spread_ms": "its spread changes, so its firings are due at other times",
    "jitter_ms": "its jitter changes, so its firings are due at other times",
    "max_runs": "it may fire another number of times in all",
}


def _up_to(until_ms: int, old: _Side, new: _Side) -> str:
    return (
        f"compared up to {moment(until_ms):%Y-%m-%d %H:%M:%S} UTC only; the whole time has "
        f"{old.count} slots before and {new.count} after"
    )


def _shown(slots: Sequence[int], zone: tzinfo) -> tuple[datetime, ...]:
    return tuple(moment(at).astimezone(zone) for at in slots[:EXAMPLES])


def _shown_moves(
    moves: Sequence[tuple[int, int]], before: tzinfo, after: tzinfo
) -> tuple[Move, ...]:
    return tuple(
        (moment(from_ms).astimezone(before), moment(to_ms).astimezone(after))
        for from_ms, to_ms in moves[:EXAMPLES]
    )
