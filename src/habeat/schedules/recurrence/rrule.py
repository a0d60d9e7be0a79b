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

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, cast

from habeat.errors import ScheduleTooExpensive, ValidationError
from habeat.schedules import search_budget
from habeat.schedules.local import Fold, Gap, LocalSchedule
from habeat.schedules.recurrence import in_words
from habeat.schedules.recurrence.ending import NoEnd, Until, before_ms, counted_end
from habeat.schedules.recurrence.enumerate import SEARCH_YEARS, Recurrence
from habeat.schedules.recurrence.parse import RuleText, local_seconds, read
from habeat.schedules.recurrence.parts import explicit
from habeat.schedules.registry import register
from habeat.schedules.zone import zone_named

_SECOND = timedelta(seconds=1)


class _Ended(LocalSchedule):
    """Beside the fields of the dataclass: what ends the rule, and instants that are left out."""

    _end: NoEnd
    _elsewhere: frozenset[int]


@register
@dataclass(frozen=True, repr=False)
class RRule(_Ended):
    """A recurrence rule with its beginning, a zone and policies for the change of clocks.

    `text` is the RRULE, with EXDATE lines if wished; a DTSTART in it moves to `dtstart`, its TZID
    to `tz`. `dtstart` is kept as local time ("2026-01-05T09:00:00"), or with its offset as long
    as there is no zone. Raises ValidationError, naming the part, for what cannot be read, and for
    a rule that never has a slot.
    """

    kind: ClassVar[str] = "rrule"
    arithmetic: ClassVar[bool] = True

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
        _check_possible(rule, told.rule)
        self._follow(rule)
        elsewhere = {moment.instant_ms() for moment in told.excluded if moment.tz not in (None, tz)}
        end = NoEnd() if parts.until_ms is None else Until(parts.until_ms)
        if parts.count is not None:
            end = counted_end(parts, start_s, tz or "UTC", self.gap, self.fold)
        object.__setattr__(self, "_elsewhere", frozenset(elsewhere))
        object.__setattr__(self, "_end", end)
        if elsewhere or type(end) is not NoEnd:
            object.__setattr__(self, "_next", self._next_kept)
        if self.next_after_ms(before_ms(start_s)) is None:
            raise _refused_end(told.rule, dtstart)

    def _next_kept(self, after_ms: int) -> int | None:
        """The next slot that is not excluded and not after the end."""
        slot_ms = self._clock.next_after_ms(after_ms)
        while slot_ms is not None and slot_ms in self._elsewhere:
            slot_ms = self._clock.next_after_ms(slot_ms)
        return None if slot_ms is None or self._end.by(slot_ms) < slot_ms else slot_ms

    def _end_by(self, until_ms: int) -> int:
        return self._end.by(until_ms)

    def _count(self, after_ms: int, until_ms: int) -> int:
        number = super()._count(after_ms, until_ms)
        for instant_ms in self._elsewhere:
            if after_ms < instant_ms <= until_ms:
                number -= self._clock.next_after_ms(instant_ms - 1) == instant_ms
        return number

    def describe(self) -> str:
        parts = cast(Recurrence, self._rule).parts
        since, end = f", from {str(self.dtstart)[:10]}", in_words.end(parts)
        return f"{in_words.rule(parts)}{since}{end}{self._place()}"


def _check_possible(rule: Recurrence, text: str) -> None:
    """ValidationError for a rule that never has a slot, or whose first slot takes too long."""
    search_budget.begin()
    try:
        if rule.possible:
            return
    except search_budget.TooManySteps:
        raise ScheduleTooExpensive(
            "text", text, "a rule whose first slot is found sooner"
        ) from None
    allowed = f"a rule with a slot in the {SEARCH_YEARS} years after its dtstart"
    raise ValidationError("text", text, allowed)


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
        try:
            return _local(start.replace(tzinfo=UTC), tz) if moment.tz == "UTC" else start
        except OverflowError:
            allowed = "an instant that its zone can show, from year 1 to 9999"
            raise ValidationError("DTSTART", start.isoformat(), allowed) from None
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
