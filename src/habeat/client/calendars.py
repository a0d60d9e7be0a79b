"""Calendars: `client.set_calendar`, `calendars` and `remove_calendar` (core/calendars.py)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.guard import NO_GUARD
from habeat.core.calendars import Calendar
from habeat.core.controls import (
    CALENDAR,
    CALENDAR_DAYS_MAX,
    CALENDARS_MAX,
    calendar_of,
    stored_calendar,
)
from habeat.entries.values import CALENDAR_NAME
from habeat.errors import NotAllowed, ValidationError
from habeat.schedules.zone import zone_named

_YEARLY = re.compile(r"[0-9]{2}-[0-9]{2}", re.ASCII)
_DAY = "dates, ISO dates such as '2026-12-24', or '12-25' for every year"


@dataclass(frozen=True, slots=True)
class CalendarDays:
    """A calendar: its `dates`, the days of every year ("12-25"), and the zone for schedules without
    one."""

    name: str
    dates: tuple[date, ...]
    yearly: tuple[str, ...]
    timezone: str


def calendar_set(
    calls: RetryingCalls, name: str, days: Iterable[date | str], timezone: str
) -> CalendarDays:
    """Store a calendar in place of an earlier one. ValidationError, NotAllowed."""
    _refuse_tenants(calls, "set_calendar")
    calendar = _checked(name, days, timezone)
    _write(calls, name, stored_calendar(calendar))
    return _shown(calendar)


def calendars_listed(calls: RetryingCalls) -> tuple[CalendarDays, ...]:
    """The calendars, by name."""
    found = calls.read(lambda session: session.inspection.controls()).holds.calendars
    return tuple(map(_shown, found.values()))


def calendar_removed(calls: RetryingCalls, name: str) -> bool:
    """Remove a calendar; False if there is none of this name."""
    _refuse_tenants(calls, "remove_calendar")
    return _write(calls, name, "")


def _refuse_tenants(calls: RetryingCalls, what: str) -> None:
    if calls.guard is not NO_GUARD:
        raise NotAllowed("", what, "a client without a guard")


def _write(calls: RetryingCalls, name: str, after: str) -> bool:
    """Whether there was one of this name before."""
    existed = False

    def attempt(session: Session) -> bool:
        stamp = secrets.token_hex(8)
        nonlocal existed
        fields = session.controls.read().fields
        before = fields.get(CALENDAR + name, "")
        existed |= bool(before)
        present = sum(field.startswith(CALENDAR) for field in fields)
        if not before and after and present >= CALENDARS_MAX:
            raise ValidationError("name", name, f"at most {CALENDARS_MAX} calendars: remove some")
        word = session.controls.write(stamp, CALENDAR + name, before, after)
        if word == "full":
            raise ValidationError("name", name, "room for it: remove holds that are over")
        if word == "conflict":
            raise Overtaken("")
        return existed

    return calls.write(attempt)


def _checked(name: object, days: Iterable[date | str], timezone: str) -> Calendar:
    if not isinstance(name, str) or not CALENDAR_NAME.fullmatch(name):
        raise ValidationError("name", name, "1 to 64 letters, digits, '.', '_' and '-'")
    if isinstance(days, str) or not isinstance(days, Iterable):
        raise ValidationError("dates", days, f"a list of {_DAY}")
    zone_named(timezone)
    found = [_day(each) for each in days]
    if not 1 <= len(set(found)) <= CALENDAR_DAYS_MAX:
        raise ValidationError("dates", len(found), f"1 to {CALENDAR_DAYS_MAX} days")
    dates = [each for each in found if len(each) > len("12-25")]
    yearly = [each for each in found if len(each) == len("12-25")]
    return calendar_of(name, {"dates": dates, "yearly": yearly, "zone": timezone})


def _day(given: object) -> str:
    if isinstance(given, datetime) or not isinstance(given, date | str):
        raise ValidationError("dates", given, _DAY)
    text = given if isinstance(given, str) else given.isoformat()
    try:
        if _YEARLY.fullmatch(text):
            date.fromisoformat(f"2000-{text}")
            return text
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValidationError("dates", given, _DAY) from None


def _shown(calendar: Calendar) -> CalendarDays:
    yearly = tuple(f"{month:02}-{day:02}" for month, day in calendar.yearly)
    return CalendarDays(calendar.name, calendar.dates, yearly, calendar.zone)
