"""Which slots does an entry or a schedule have between two instants?"""

from __future__ import annotations

from typing import Any

from habeat.client.preview import COUNT_MAX, Instant, Span, in_zone, instants, instants_of
from habeat.core.entry import Entry
from habeat.entries.schedules import schedule_of
from habeat.errors import ValidationError
from habeat.testing.times import Instant as Given
from habeat.testing.times import instant_ms


def slots(
    entry_or_schedule: Entry | Any, since: Given, until: Given, tz: str = "UTC"
) -> list[Instant]:
    """The slots with ``since <= slot < until``, at most 10,000.

    A schedule is one of habeat's or of Celery's, or a period in seconds. `tz` is the zone of
    schedules that have none, and of times without an offset. Each result has `nominal` and
    `effective` in the schedule's zone, and `marks` that say what is special: "gap", "fold first",
    "fold second", "spread" or "jitter". Raises ValidationError.
    """
    since_ms, until_ms = instant_ms("since", since, tz), instant_ms("until", until, tz)
    if until_ms <= since_ms:
        raise ValidationError("until", until, f"an instant after the start ({since})")
    # The span of a preview is open at its start and closed at its end.
    span = Span(since_ms - 1, until_ms - 1, COUNT_MAX + 1)
    if isinstance(entry_or_schedule, Entry):
        return instants_of(entry_or_schedule, span)
    return instants(in_zone(schedule_of(entry_or_schedule, zone=tz), tz), span)
