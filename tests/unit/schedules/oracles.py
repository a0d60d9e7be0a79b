"""Slow, plain ways to find slots, to compare with; none shares code with what it checks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import celery
import pytest
from celery.schedules import crontab as celery_crontab

MINUTE = timedelta(minutes=1)

newest_celery = pytest.mark.skipif(
    celery.VERSION[:2] < (5, 7),
    reason="the oracle is Celery 5.7's; earlier ones read no names of months",
)


def matches(rule: celery_crontab, local: datetime) -> bool:
    """Whether a local time is in the sets that Celery's crontab expanded its fields to."""
    return (
        local.second == 0
        and local.minute in rule.minute
        and local.hour in rule.hour
        and local.isoweekday() % 7 in rule.day_of_week
        and local.day in rule.day_of_month
        and local.month in rule.month_of_year
    )


def utc_minutes(rule: celery_crontab, start: datetime, end: datetime) -> Iterator[datetime]:
    """The minutes of UTC in (start, end] that match, by a scan of days, hours and minutes."""
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= end:
        if matches(rule, day.replace(hour=min(rule.hour), minute=min(rule.minute))):
            for hour, minute in product(sorted(rule.hour), sorted(rule.minute)):
                slot = day.replace(hour=hour, minute=minute)
                if start < slot <= end:
                    yield slot
        day += timedelta(days=1)


def zoned_minutes(
    rule: celery_crontab, zone: ZoneInfo, start: datetime, end: datetime, *, interval_like: bool
) -> list[datetime]:
    """The slots in (start, end] by walking every minute of UTC and looking at the wall clock.

    For zones whose offset changes on whole minutes.
    """
    found = []
    utc = start.astimezone(UTC)
    while utc < end:
        before, utc = utc, utc + MINUTE
        local = utc.astimezone(zone)
        if interval_like:
            fires = matches(rule, local)
        else:
            fires = matches(rule, local) and not local.fold
            fires |= any(matches(rule, missing) for missing in _missing(zone, before, utc))
        if fires:
            found.append(utc)
    return found


def _missing(zone: ZoneInfo, before: datetime, after: datetime) -> Iterator[datetime]:
    """The local minutes between two consecutive minutes of UTC."""
    local = before.astimezone(zone).replace(tzinfo=None) + MINUTE
    end = after.astimezone(zone).replace(tzinfo=None)
    while local < end:
        yield local
        local += MINUTE
