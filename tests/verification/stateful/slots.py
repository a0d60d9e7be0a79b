"""Which slots a schedule has, by brute force: every local time that matches, one by one.

Nothing of habeat is imported. A local time is converted to UTC by asking zoneinfo for both folds,
and seeing which of the two convert back to it: two is a fold, none is a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MS = 86_400_000
DAY = timedelta(days=1)
#: A schedule without a slot for this long counts as having none.
HORIZON_DAYS = 430

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def ms_of(at: datetime) -> int:
    return (at - _EPOCH) // _MS


def utc_of(at_ms: int) -> datetime:
    return _EPOCH + at_ms * _MS


class Rule:
    """A schedule in the model."""

    def on(self, day: date) -> list[int]:
        """The slots that come from local times of this day, sorted."""
        raise NotImplementedError

    def between(self, after_ms: int, until_ms: int) -> list[int]:
        """The slots with ``after < slot <= until``."""
        if until_ms <= after_ms:
            return []
        found: set[int] = set()
        day = utc_of(after_ms).date() - DAY
        while day <= utc_of(until_ms).date() + DAY:
            found.update(slot for slot in _on(self, day) if after_ms < slot <= until_ms)
            day += DAY
        return sorted(found)

    def after(self, after_ms: int) -> int | None:
        """The first slot strictly after an instant, None if there is none for long."""
        day = utc_of(after_ms).date() - DAY
        for _ in range(HORIZON_DAYS):
            # The next day's local times may come before the last of this day's, in UTC.
            near = [s for d in (day, day + DAY, day + 2 * DAY) for s in _on(self, d)]
            later = [slot for slot in near if slot > after_ms]
            if later and min(later) < ms_of(datetime(day.year, day.month, day.day, tzinfo=UTC)) + (
                2 * DAY_MS
            ):
                return min(later)
            day += DAY
        return None


@lru_cache(maxsize=50_000)
def _on(rule: Rule, day: date) -> tuple[int, ...]:
    return tuple(rule.on(day))


@dataclass(frozen=True)
class Every(Rule):
    """A period on the grid of the Unix epoch."""

    every_ms: int
    offset_ms: int

    def between(self, after_ms: int, until_ms: int) -> list[int]:
        first = (after_ms - self.offset_ms) // self.every_ms + 1
        last = (until_ms - self.offset_ms) // self.every_ms
        return [number * self.every_ms + self.offset_ms for number in range(first, last + 1)]

    def after(self, after_ms: int) -> int:
        return self.between(after_ms, after_ms + self.every_ms)[0]


@dataclass(frozen=True)
class At(Rule):
    """One instant."""

    at_ms: int

    def between(self, after_ms: int, until_ms: int) -> list[int]:
        return [self.at_ms] if after_ms < self.at_ms <= until_ms else []

    def after(self, after_ms: int) -> int | None:
        return self.at_ms if self.at_ms > after_ms else None


@dataclass(frozen=True)
class Local(Rule):
    """Local times in a zone, with what happens to those that the clocks skip or repeat."""

    zone: str
    gap: str
    fold: str
    interval_like: bool

    def times(self, day: date) -> Iterator[datetime]:
        """The naive local times of this day that the rule names."""
        raise NotImplementedError

    def on(self, day: date) -> list[int]:
        return sorted({slot for naive in self.times(day) for slot in self._instants(naive)})

    def _instants(self, naive: datetime) -> list[int]:
        found = real_instants(self.zone, naive)
        if not found:
            shifts = self.gap == "shift" and not self.interval_like
            return [end_of_gap(self.zone, naive)] if shifts else []
        if len(found) == 1:
            return list(found)
        fold = self.fold if self.fold != "auto" else ("both" if self.interval_like else "first")
        return {"both": list(found), "first": [found[0]], "last": [found[1]]}[fold]

    def mark(self, slot_ms: int) -> str:
        """ "fold first" or "fold second" for a slot whose local time comes twice, else ""."""
        naive = utc_of(slot_ms).astimezone(ZoneInfo(self.zone)).replace(tzinfo=None, fold=0)
        found = real_instants(self.zone, naive)
        if len(found) == 2:
            return "fold first" if slot_ms == found[0] else "fold second"
        return ""


@dataclass(frozen=True)
class Fields(Local):
    """Cron: sets of seconds, minutes, hours and days. `either`: one of the two sorts of day."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None
    either: bool

    def times(self, day: date) -> Iterator[datetime]:
        if self._has(day):
            for hour in self.hours:
                for minute in self.minutes:
                    for second in self.seconds:
                        yield datetime(day.year, day.month, day.day, hour, minute, second)

    def _has(self, day: date) -> bool:
        by_month = self.days is None or day.day in self.days
        by_week = self.weekdays is None or day.isoweekday() % 7 in self.weekdays
        if self.either and self.days is not None and self.weekdays is not None:
            return by_month or by_week
        return by_month and by_week


@dataclass(frozen=True)
class Steps(Local):
    """A recurrence rule: the first local time, and one each so many minutes after it."""

    first: datetime
    step_minutes: int

    def times(self, day: date) -> Iterator[datetime]:
        start = datetime(day.year, day.month, day.day)
        step = timedelta(minutes=self.step_minutes)
        naive = self.first + max(0, -((self.first - start) // step)) * step
        while naive < start + DAY:
            if naive >= start:
                yield naive
            naive += step


@lru_cache(maxsize=200_000)
def real_instants(zone: str, naive: datetime) -> tuple[int, ...]:
    """The instants at which the clocks of a zone show a local time: none, one or two."""
    info = ZoneInfo(zone)
    found = set()
    for fold in (0, 1):
        utc = naive.replace(tzinfo=info, fold=fold).astimezone(UTC)
        if utc.astimezone(info).replace(tzinfo=None, fold=0) == naive:
            found.add(ms_of(utc))
    return tuple(sorted(found))


def end_of_gap(zone: str, naive: datetime) -> int:
    """The first instant after the gap in which a local time lies, minute by minute."""
    info = ZoneInfo(zone)
    at = (naive.replace(second=0) - timedelta(hours=30)).replace(tzinfo=UTC)
    while at.astimezone(info).replace(tzinfo=None) < naive:
        at += timedelta(minutes=1)
    return ms_of(at)
