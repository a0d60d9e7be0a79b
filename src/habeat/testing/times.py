"""Instants in tests: aware datetimes, or local times of a zone, as text or as a datetime.

A local time that the clocks skip is refused, because it may mean an hour earlier or later. One that
occurs twice needs an offset, or a datetime with its `fold`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from habeat.errors import ValidationError
from habeat.schedules.schedule import moment, to_ms
from habeat.schedules.zone import zone_named

#: What functions here take as an instant.
Instant = datetime | str

EXPECTED = "a datetime, or a time in ISO 8601 such as '2026-03-29 02:30'"


def instant_ms(field: str, given: Instant, timezone: str) -> int:
    """Unix milliseconds; a time without an offset is one of `timezone`. ValidationError."""
    at = _parsed(field, given) if isinstance(given, str) else given
    if not isinstance(at, datetime):
        raise ValidationError(field, given, EXPECTED)
    if at.tzinfo is not None:
        return to_ms(field, at)
    info = zone_named(timezone).info
    both = [at.replace(tzinfo=info, fold=fold) for fold in (0, 1)]
    first, second = (each.astimezone(UTC).astimezone(info) for each in both)
    if first.utcoffset() == second.utcoffset():
        return to_ms(field, first)
    if first.replace(tzinfo=None, fold=0) != at.replace(fold=0):
        allowed = f"a time that exists in {timezone}, where the clocks skip this one"
        raise ValidationError(field, given, allowed)
    if isinstance(given, str):
        allowed = (
            f"an offset, because this time occurs twice in {timezone}: {first.isoformat()} or "
            f"{second.isoformat()}"
        )
        raise ValidationError(field, given, allowed)
    return to_ms(field, second if at.fold else first)


def shown(at_ms: int, timezone: str) -> datetime:
    """An instant as an aware datetime in this zone."""
    return moment(at_ms).astimezone(zone_named(timezone).info)


def span_of(span: float | timedelta, units: dict[str, float]) -> int:
    """A span in ms, given in seconds, as a timedelta, or in units; ValidationError."""
    try:
        length = timedelta(**units)
        length += span if isinstance(span, timedelta) else timedelta(seconds=span)
    except (TypeError, OverflowError):
        allowed = "seconds, a timedelta, or units such as hours=3"
        raise ValidationError("span", units or span, allowed) from None
    return length // timedelta(milliseconds=1)


def _parsed(field: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValidationError(field, text, EXPECTED) from None
