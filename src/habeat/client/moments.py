"""Instants in milliseconds, as Redis has them, as the datetimes that the API returns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from habeat.schedules.schedule import FIRST_MS, LAST_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(at_ms: int) -> datetime:
    """Unix milliseconds as an aware datetime in UTC, clamped to the range of slots."""
    return _EPOCH + timedelta(milliseconds=min(max(at_ms, FIRST_MS), LAST_MS))
