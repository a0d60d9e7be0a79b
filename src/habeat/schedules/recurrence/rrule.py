"""Recurrence rules of RFC 5545 in a zone: what calendars and RedBeat call an rrule.

The rule recurs in local time, so 09:00 stays 09:00 all year. The same policies for gaps and folds
as for cron decide which instants of UTC that gives (`wallclock`). An HOURLY, MINUTELY or SECONDLY
rule counts elapsed time (interval-like); a DAILY or rarer one names times of day, by BYHOUR or its
dtstart, and is fixed.

COUNT counts slots: COUNT=10 of an hourly rule is ten firings even if an hour occurs twice.

Without its start a rule has no phase, so `dtstart` is required and is never taken from the clock.
It is a local time; an aware datetime is converted to the zone as soon as the zone is known.
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
from habeat.schedules.zone import DAY_S, zone_named

_SECOND = timedelta(seconds=1)


class _Ended(LocalSchedule):
    """Attributes beside the dataclass fields: the rule's end, and the excluded instants."""

    _end: NoEnd
    _elsewhere: frozenset[int]


@register
@dataclass(frozen=True, repr=False)
class RRule(_Ended):
    """A recurrence rule with its start, a zone and policies for clock changes.

    `text` is the RRULE and optional EXDATE lines; a DTSTART in it moves to `dtstart`, its TZID to
    `tz`. `dtstart` is kept as local time ("2026-01-05T09:00:00"), or with its offset while there
    is no zone. Raises ValidationError, which names the part, for invalid text, and for a rule that
    never has a slot.
    """

    kind: ClassVar[str] = "rrule"
    arithmetic: ClassVar[bool] = True

    text: str
    tz: str | None = None
    dtstart: str | datetime | None = None
    gap: Gap = "shift"
    fold: Fold = "auto"

    def __post_init__(self) -> None:
        parsed = read(self.text)
        tz = _zone_of(parsed, self.tz)
        start = _start(parsed, self.dtstart, tz)
        dtstart = start.isoformat(timespec="seconds")
        for name, value in {"text": parsed.rule, "tz": tz, "dtstart": dtstart}.items():
            object.__setattr__(self, name, value)
        start_s = local_seconds(start.replace(tzinfo=None))
        parts = explicit(parsed.parts, start_s)
        own = [moment for moment in parsed.excluded if moment.whole_day or moment.tz in (None, tz)]
        here = frozenset(moment.local_s for moment in own if not moment.whole_day)
        # A date is a day of the rule's own calendar, whatever its TZID.
        days = frozenset(moment.local_s // DAY_S for moment in own if moment.whole_day)
        rule = Recurrence(parts, start_s, here, days)
        _check_possible(rule, parsed.rule)
        self._follow(rule)
        elsewhere = {moment.instant_ms() for moment in parsed.excluded if moment not in own}
        end = NoEnd() if parts.until_ms is None else Until(parts.until_ms)
        if parts.count is not None:
            end = counted_end(parts, start_s, tz or "UTC", self.gap, self.fold)
        object.__setattr__(self, "_elsewhere", frozenset(elsewhere))
        object.__setattr__(self, "_end", end)
        if elsewhere or type(end) is not NoEnd:
            object.__setattr__(self, "_next", self._next_kept)
        if self.next_after_ms(before_ms(start_s)) is None:
            raise _refused_end(parsed.rule, dtstart)

    def _next_kept(self, after_ms: int) -> int | None:
        """The next slot that is neither excluded nor after the end."""
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
    """Raise ValidationError if the rule never has a slot, or finding the first takes too long."""
    search_budget.begin()
    try:
        if rule.possible:
            return
    except search_budget.TooManySteps:
        raise ScheduleTooExpensive(
            "text", text, "a rule whose first slot is found sooner"
        ) from None
    allowed = f"a rule with a slot within {SEARCH_YEARS} years after its dtstart"
    raise ValidationError("text", text, allowed)


def _refused_end(rule: str, dtstart: str) -> ValidationError:
    """The error for a rule that ends before its first slot, or whose slots are all excluded."""
    until = [part for part in rule.partition("\n")[0].split(";") if part.startswith("UNTIL=")]
    field, given = ("UNTIL", until[0].removeprefix("UNTIL=")) if until else ("text", rule)
    return ValidationError(
        field, given, f"at least one slot between dtstart ({dtstart}) and the end"
    )


def _zone_of(parsed: RuleText, tz: object) -> str | None:
    """The schedule's zone: `tz`, or else the zone of DTSTART."""
    if tz is not None:
        zone_named(tz)
    named = parsed.start.tz if parsed.start else None
    # A DTSTART in UTC is an instant and fits any zone; one with a TZID is local time there.
    if tz is None or named in (None, "UTC", tz):
        return named if tz is None else str(tz)
    raise ValidationError("tz", tz, f"{named!r}, the TZID of DTSTART, or None")


def _start(parsed: RuleText, dtstart: object, tz: str | None) -> datetime:
    """The rule's start: naive local time, or aware if there is no zone yet."""
    if parsed.start is not None:
        if dtstart is not None:
            raise ValidationError("dtstart", dtstart, "None, because the text has a DTSTART")
        moment = parsed.start
        start = datetime(1970, 1, 1) + (moment.local_s * _SECOND)
        try:
            return _local(start.replace(tzinfo=UTC), tz) if moment.tz == "UTC" else start
        except OverflowError:
            allowed = "a time between the years 1 and 9999 in its zone"
            raise ValidationError("DTSTART", start.isoformat(), allowed) from None
    try:
        given = datetime.fromisoformat(dtstart) if isinstance(dtstart, str) else dtstart
        if isinstance(given, datetime) and (given.utcoffset() is not None or given is not dtstart):
            return _local(given, tz)
    except (ValueError, OverflowError):
        pass
    allowed = "a datetime with a timezone, or a DTSTART in the text, as the start of the rule"
    raise ValidationError("dtstart", dtstart, allowed)


def _local(start: datetime, tz: str | None) -> datetime:
    """An aware `start` as naive local time in the zone, or in UTC if there is no zone yet."""
    start = start.replace(microsecond=0)
    if start.tzinfo is None:
        return start
    return start.astimezone(UTC if tz is None else zone_named(tz).info).replace(
        tzinfo=UTC if tz is None else None
    )
