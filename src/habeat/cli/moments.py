"""Times in ISO 8601. One without an offset is in a given zone, or in this host's.

A local time that the clocks skip is refused, because it may mean an hour earlier or later. One that
occurs twice is the first of the two, and a note on stderr says so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

import click

from habeat.schedules.zone import zone_named

EXPECTED = "expected a time in ISO 8601, such as 2026-03-29T02:30"


def moment_in(written: str, zone: str) -> datetime:
    """The aware time; without an offset, in the zone of this name."""
    info = zone_named(zone).info
    return _moment(written, lambda local: local.replace(tzinfo=info), info, zone)


def moment_here(written: str) -> datetime:
    """The aware time; without an offset, in this host's zone."""
    return _moment(written, lambda local: local.astimezone(), None, "this host's time zone")


def _moment(
    written: str, localized: Callable[[datetime], datetime], zone: tzinfo | None, where: str
) -> datetime:
    try:
        given = datetime.fromisoformat(written)
    except ValueError:
        raise click.UsageError(f"{written!r}: {EXPECTED}") from None
    if given.tzinfo is not None:
        return given
    try:
        first, second = (
            localized(given.replace(fold=fold)).astimezone(UTC).astimezone(zone) for fold in (0, 1)
        )
    except (OverflowError, ValueError, OSError):
        raise click.UsageError(f"{written!r} is too far from now: {EXPECTED}") from None
    if first.utcoffset() == second.utcoffset():
        return first
    if first.replace(tzinfo=None, fold=0) != given:
        earlier, later = sorted(at.replace(tzinfo=None) for at in (first, second))
        raise click.UsageError(
            f"{written} does not exist in {where}, because the clocks skip it: give "
            f"{_short(earlier)} or {_short(later)}"
        )
    click.echo(
        f"note: {written} occurs twice in {where}; this is the first, {_short(first)} "
        f"(the second is {_short(second)})",
        err=True,
    )
    return first


def _short(at: datetime) -> str:
    exact = bool(at.second or at.microsecond)
    return at.isoformat(timespec="auto" if exact else "minutes")
