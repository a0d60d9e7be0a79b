"""Recurrence rules of RFC 5545, in a zone: what calendars and RedBeat call an rrule.

The rule recurs in local time, so that 09:00 stays 09:00 all year; which instants of UTC that makes
is decided by the same policies for gaps and folds as for cron (`wallclock`). A rule that is HOURLY,
MINUTELY or SECONDLY counts elapsed time; a rarer one names times of day, in BYHOUR or by its
dtstart, and is fixed.

COUNT counts slots: COUNT=10 of an hourly rule is ten firings also where an hour comes twice.

A rule has no phase without its beginning: `dtstart` has to be said, and the clock is never asked
for it. It is a local time. As an aware datetime it is converted to the zone, once that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, cast

from habeat.core.schedule import recurrence_words
from habeat.core.schedule.local import Fold, Gap, LocalSchedule
from habeat.core.schedule.recurrence import SEARCH_YEARS, Recurrence
from habeat.core.schedule.recurrence_parts import Parts, explicit
from habeat.core.schedule.recurrence_text import RuleText, local_seconds, read
from habeat.core.schedule.registry import register
from habeat.core.schedule.wallclock import WallClock
from habeat.core.schedule.zone import DAY_S, zone_named
from habeat.errors import ValidationError

_SECOND = timedelta(seconds=1)


@register
@dataclass(frozen=True, repr=False)
class RRule(LocalSchedule):
    """A recurrence rule with its beginning, a zone and policies for the change of clocks.

    `text` is the RRULE, with EXDATE lines if wished; a DTSTART in it moves to `dtstart`, its TZID
    to `tz`. `dtstart` is kept as local time ("2026-01-05T09:00:00"), or with its offset as long
    as there is no zone. Raises ValidationError, naming the part, for what cannot be read, and for
    a rule that never has a slot.
    """

    kind: ClassVar[str] = "rrule"

    text: str
    tz: str | None = None
    dtstart: str | datetime | None = None
    gap: Gap = "shift"
    fold: Fold = "auto"

    def __post_init__(self) -> None:
        told = read(self.text)
        tz = _zone_of(told, self.tz)
        start = _start(told, self.dtstart, tz)
        dtstart = start.isoformat(timespec="seconds")
        for name, value in {"text": told.rule, "tz": tz, "dtstart": dtstart}.items():
            object.__setattr__(self, name, value)
        start_s = local_seconds(start.replace(tzinfo=None))
        parts = explicit(told.parts, start_s)
        here = {moment.local_s for moment in told.excluded if moment.tz in (None, tz)}
        rule = Recurrence(parts, start_s, frozenset(here))
        if not rule.possible:
            allowed = f"a rule with a slot in the {SEARCH_YEARS} years after its dtstart"
            raise ValidationError("text", told.rule, allowed)
        self._follow(rule)
        end_ms = parts.until_ms
        if parts.count is not None:
            end_ms = _last_of_count(parts, start_s, tz or "UTC", self.gap, self.fold)
        elsewhere = {moment.instant_ms() for moment in told.excluded if moment.tz not in (None, tz)}
        if elsewhere or end_ms is not None:
            object.__setattr__(self, "_next", _ended(self._next, end_ms, frozenset(elsewhere)))
        if self.next_after_ms(_before_ms(start_s)) is None:
            raise _refused_end(told.rule, dtstart)

    def describe(self) -> str:
        parts = cast(Recurrence, self._rule).parts
        since, end = f", from {str(self.dtstart)[:10]}", recurrence_words.end(parts)
        return f"{recurrence_words.rule(parts)}{since}{end}{self._place()}"


@lru_cache(maxsize=1024)
def _last_of_count(parts: Parts, start_s: int, tz: str, gap: str, fold: str) -> int:
    """The slot that uses COUNT up, found by going there from dtstart; excluded ones count."""
    clock = WallClock(Recurrence(parts, start_s), zone_named(tz), gap, fold)
    last_ms = _before_ms(start_s)
    for _ in range(parts.count or 0):
        slot_ms = clock.next_after_ms(last_ms)
        if slot_ms is None:
            break
        last_ms = slot_ms
    return last_ms


def _before_ms(start_s: int) -> int:
    """An instant before a local time, in whatever zone that is."""
    return (start_s - 2 * DAY_S) * 1000


def _refused_end(rule: str, dtstart: str) -> ValidationError:
    """For a rule that is over, or has nothing left, before its first slot."""
    until = [part for part in rule.partition("\n")[0].split(";") if part.startswith("UNTIL=")]
    field, given = ("UNTIL", until[0].removeprefix("UNTIL=")) if until else ("text", rule)
    return ValidationError(field, given, f"at least one slot from dtstart ({dtstart}) to the end")


def _zone_of(told: RuleText, tz: object) -> str | None:
    """The schedule's zone: the one given, or the one that DTSTART is written in."""
    if tz is not None:
        zone_named(tz)
    named = told.start.tz if told.start else None
    # A DTSTART in UTC is an instant, which any zone can show; one with a TZID is local time.
    if tz is None or named in (None, "UTC", tz):
        return named if tz is None else str(tz)
    raise ValidationError("tz", tz, f"{named!r}, the TZID of DTSTART, or None")


def _start(told: RuleText, dtstart: object, tz: str | None) -> datetime:
    """The beginning: naive local time, or aware as long as there is no zone."""
    if told.start is not None:
        if dtstart is not None:
            raise ValidationError("dtstart", dtstart, "None, because the text has a DTSTART")
        moment = told.start
        start = datetime(1970, 1, 1) + (moment.local_s * _SECOND)
        return _local(start.replace(tzinfo=UTC), tz) if moment.tz == "UTC" else start
    try:
        given = datetime.fromisoformat(dtstart) if isinstance(dtstart, str) else dtstart
        if isinstance(given, datetime) and (given.utcoffset() is not None or given is not dtstart):
            return _local(given, tz)
    except (ValueError, OverflowError):
        pass
    allowed = "a datetime with a timezone (or a DTSTART in the text): the rule counts from it"
    raise ValidationError("dtstart", dtstart, allowed)


def _local(start: datetime, tz: str | None) -> datetime:
    """Naive in the zone; as long as there is none, an aware one stays aware, in UTC."""
    start = start.replace(microsecond=0)
    if start.tzinfo is None:
        return start
    return start.astimezone(UTC if tz is None else zone_named(tz).info).replace(
        tzinfo=UTC if tz is None else None
    )


def _ended(
    following: Callable[[int], int | None], until_ms: int | None, excluded_ms: frozenset[int]
) -> Callable[[int], int | None]:
    """The same slots up to an instant, without some instants."""

    def next_after_ms(after_ms: int) -> int | None:
        slot_ms = following(after_ms)
        while slot_ms in excluded_ms and slot_ms is not None:
            slot_ms = following(slot_ms)
        return slot_ms if until_ms is None or slot_ms is None or slot_ms <= until_ms else None

    return next_after_ms
