"""Holds: times in which slots do not fire, for the whole schedule or for a part of it.

A *pause* stops the whole schedule, from now on, until it is resumed or its end has come. A *window*
(`habeat hold`) stops the entries of a scope: once, or again and again by a schedule of its own. A
*calendar* (core/calendars.py) has days on which the entries that name it do not fire.

A slot is held if it falls due within the hold. While a hold is on, a slot that fell due before it
is held too, for otherwise a late one would be sent in the middle of it. What becomes of held slots
is decided by the hold: they are skipped, or (`latest`) the newest of them fires after its end.

`Holds.of` narrows the holds to those of one entry; mostly there are none, which costs nothing.
Everything is decided from the stored values and `now`, so every leader comes to the same result,
and a hold ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from habeat.core.calendars import Calendar
from habeat.core.entry import Entry
from habeat.schedules.schedule import LAST_MS, Schedule

#: A hold without an end ends here.
NEVER_MS = LAST_MS

PAUSED_ALL = "paused: all"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of the whole schedule; `until_ms` (exclusive) is None while it has no end.

    `over` says that it was resumed. Otherwise it is on until its end, even if the server's clock
    stands before its beginning because it was set back.
    """

    since_ms: int
    until_ms: int | None = None
    reason: str = ""
    by: str = ""
    over: bool = False

    def is_on(self, now_ms: int) -> bool:
        """Whether the schedule is paused now."""
        return not self.over and now_ms < self.ends_ms

    def covers(self, due_ms: int) -> bool:
        """Whether what fell due at this instant fell due in it."""
        return self.since_ms <= due_ms < self.ends_ms

    @property
    def ends_ms(self) -> int:
        return NEVER_MS if self.until_ms is None else self.until_ms


@dataclass(frozen=True, slots=True)
class _Answer:
    """The end of the window that is on from `from_ms` until `before_ms`; None if none is."""

    from_ms: int
    before_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """A hold on the entries with this prefix and all these tags.

    Once, from `from_ms` to `until_ms` (exclusive). With `schedule`, again and again between these:
    each of its slots begins a window of `for_ms`. With `latest`, the newest slot of each entry in a
    window fires after it; otherwise all are skipped.
    """

    name: str
    from_ms: int
    until_ms: int | None = None
    schedule: Schedule | None = None
    for_ms: int = 0
    prefix: str = ""
    tags: tuple[str, ...] = ()
    latest: bool = False
    reason: str = ""
    by: str = ""
    #: The last answers of `end_of`, each with the instants for which it holds.
    _answers: list[tuple[_Answer, ...]] = field(
        default_factory=lambda: [()], init=False, repr=False, compare=False
    )

    def concerns(self, entry: Entry) -> bool:
        """Whether the entry is in its scope."""
        in_prefix = entry.name.startswith(self.prefix)
        return in_prefix and (not self.tags or set(self.tags) <= set(entry.tags))

    def end_of(self, at_ms: int) -> int | None:
        """The end (exclusive) of the window at this instant; None if there is none."""
        ends_ms = NEVER_MS if self.until_ms is None else self.until_ms
        if not self.from_ms <= at_ms < ends_ms:
            return None
        if self.schedule is None:
            return ends_ms
        # A leader asks for each entry that is due, and a schedule is slow to ask. The answer is the
        # same until the window ends or the next one begins, so it is kept. Two, because a slot
        # that is late is looked at beside the present.
        kept = self._answers[0]
        for answer in kept:
            if answer.from_ms <= at_ms < answer.before_ms:
                return answer.end_ms
        found = self._answer(self.schedule, at_ms, ends_ms)
        self._answers[0] = (found, *kept[:1])
        return found.end_ms

    def _answer(self, schedule: Schedule, at_ms: int, ends_ms: int) -> _Answer:
        # The first one that has not ended by then.
        begins_ms = schedule.next_after_ms(at_ms - self.for_ms)
        if begins_ms is None or begins_ms > at_ms:
            return _Answer(at_ms, NEVER_MS if begins_ms is None else begins_ms, None)
        end_ms = begins_ms + self.for_ms
        return _Answer(at_ms, end_ms, min(end_ms, ends_ms))

    def next_begin_ms(self, after_ms: int) -> int | None:
        """When the next window begins, strictly after an instant; None if there is none."""
        ends_ms = NEVER_MS if self.until_ms is None else self.until_ms
        if after_ms < self.from_ms:
            if self.end_of(self.from_ms) is not None:
                return self.from_ms
            after_ms = self.from_ms
        if self.schedule is None:
            return None
        begins_ms = self.schedule.next_after_ms(after_ms)
        return None if begins_ms is None or begins_ms >= ends_ms else begins_ms


@dataclass(frozen=True, slots=True)
class Held:
    """Why a slot does not fire, and until when (exclusive). See `Window` for `latest`."""

    reason: str
    until_ms: int
    latest: bool = False
    #: The end is one of slots, not of effective times.
    by_slot: bool = False


@dataclass(frozen=True, slots=True)
class EntryHolds:
    """The holds that concern one entry; false if there are none."""

    pauses: tuple[Pause, ...] = ()
    windows: tuple[Window, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    #: The zone of the entry's schedule, "" if it has none.
    zone: str = ""

    def __bool__(self) -> bool:
        return bool(self.pauses or self.windows or self.calendars)

    def held(self, slot_ms: int, effective_ms: int, now_ms: int) -> Held | None:
        """The hold on a slot that fell due at `effective_ms`; None if it may fire.

        A day in a calendar comes before all others.
        What skips its slots comes before what fires one later; among those, what ends last.
        """
        if (day_off := self.day_off(slot_ms)) is not None:
            return day_off
        found = [*self.due_in(effective_ms), *self._on(now_ms)]
        return max(found, key=lambda held: (not held.latest, held.until_ms), default=None)

    def day_off(self, slot_ms: int) -> Held | None:
        """The calendar that has the day of a slot."""
        for calendar in self.calendars:
            ends_ms = calendar.end_of(slot_ms, self.zone)
            if ends_ms is not None:
                return Held(f"calendar: {calendar.name}", ends_ms, by_slot=True)
        return None

    def due_in(self, effective_ms: int) -> Iterator[Held]:
        """The holds in which this instant is."""
        for pause in self.pauses:
            if pause.covers(effective_ms):
                yield Held(PAUSED_ALL, pause.ends_ms)
        yield from self._windows_at(effective_ms)

    def reasons_at(self, slot_ms: int, effective_ms: int) -> tuple[str, ...]:
        """Why a slot that falls due at this instant will not fire then; () if it will."""
        day_off = self.day_off(slot_ms)
        found = [*([day_off] if day_off else []), *self.due_in(effective_ms)]
        return tuple(dict.fromkeys(held.reason for held in found))

    def _on(self, now_ms: int) -> Iterator[Held]:
        for pause in self.pauses:
            if pause.is_on(now_ms):
                yield Held(PAUSED_ALL, pause.ends_ms)
        yield from self._windows_at(now_ms)

    def _windows_at(self, at_ms: int) -> Iterator[Held]:
        for window in self.windows:
            try:
                ends_ms = window.end_of(at_ms)
            except Exception:  # a schedule that fails holds nothing; entries go on
                continue
            if ends_ms is not None:
                yield Held(f"maintenance: {window.name}", ends_ms, window.latest)

    def next_begin_ms(self, after_ms: int) -> int | None:
        """When the next hold begins, strictly after an instant; None if there is none."""
        begins = [pause.since_ms for pause in self.pauses if pause.since_ms > after_ms]
        found = (each.next_begin_ms(after_ms, self.zone) for each in self.calendars)
        begins += [begin for begin in found if begin is not None]
        for window in self.windows:
            try:
                begin_ms = window.next_begin_ms(after_ms)
            except Exception:  # see `_windows_at`
                continue
            begins += [] if begin_ms is None else [begin_ms]
        return min(begins, default=None)


NO_HOLDS = EntryHolds()


@dataclass(frozen=True, slots=True)
class Holds:
    """All holds of the schedule."""

    pauses: tuple[Pause, ...] = ()
    windows: Mapping[str, Window] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)

    def of(self, entry: Entry) -> EntryHolds:
        """Those that concern an entry."""
        if not (self.pauses or self.windows or entry.calendar):
            return NO_HOLDS
        windows = tuple(each for each in self.windows.values() if each.concerns(entry))
        calendars = tuple(
            self.calendars[name] for name in entry.calendars if name in self.calendars
        )
        zone = getattr(entry.schedule, "tz", None)
        return EntryHolds(self.pauses, windows, calendars, zone if isinstance(zone, str) else "")

    def missing(self, entry: Entry) -> tuple[str, ...]:
        """The calendars that an entry names and that do not exist, or cannot be read."""
        return tuple(name for name in entry.calendars if name not in self.calendars)

    def ended(self, entry: Entry, now_ms: int) -> tuple[str, ...]:
        """The calendars that an entry names and that have no days left."""
        holds = self.of(entry)
        return tuple(each.name for each in holds.calendars if each.is_over(now_ms, holds.zone))

    def on(self, now_ms: int) -> tuple[str, ...]:
        """The names of the windows that are on."""
        found = self.windows.values()
        return tuple(each.name for each in found if any(EntryHolds((), (each,)).due_in(now_ms)))

    def pause_at(self, now_ms: int) -> Pause | None:
        """The pause of the whole schedule that is on; None if there is none."""
        return next((each for each in self.pauses if each.is_on(now_ms)), None)
