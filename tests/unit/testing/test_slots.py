"""`slots`: what fires between two instants?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from celery.schedules import crontab

from habeat import cron
from habeat.entries.draft import new_entry
from habeat.errors import ValidationError
from habeat.testing import slots


def test_what_fires_on_the_night_when_the_clocks_go_forward() -> None:
    found = slots(cron("30 2 * * *"), "2026-03-29 01:00", "2026-03-29 04:00", tz="Europe/Berlin")
    assert [(each.nominal.isoformat(), each.marks) for each in found] == [
        ("2026-03-29T03:00:00+02:00", ("gap",))
    ]


def test_what_fires_on_the_night_when_they_go_back() -> None:
    found = slots(
        crontab(minute="*/30"), "2026-10-25 01:30", "2026-10-25 03:00", tz="Europe/Berlin"
    )
    assert [f"{each.nominal:%H:%M%z}" for each in found] == [
        "01:30+0200",
        "02:00+0200",
        "02:30+0200",
        "02:00+0100",
        "02:30+0100",
    ]
    assert found[-1].marks == ("fold second",)


def test_the_start_is_in_the_span_and_the_end_is_not() -> None:
    day = datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)
    assert [each.nominal for each in slots(cron("0 0 * * *"), *day)] == [day[0]]


def test_an_entry_has_its_offsets_and_bounds() -> None:
    entry = new_entry(
        "e",
        {
            "task": "t",
            "schedule": 3600,
            "spread": 60,
            "end": datetime(2026, 5, 4, 3, tzinfo=UTC),
        },
        "UTC",
    )
    found = slots(entry, "2026-05-04", "2026-05-05")
    assert len(found) == 3
    assert all(each.marks == ("spread",) for each in found)


def test_a_span_is_refused_if_it_is_empty_or_has_too_many_slots() -> None:
    with pytest.raises(ValidationError, match="until"):
        slots(60, "2026-05-05", "2026-05-04")
    with pytest.raises(ValidationError, match="10000 slots"):
        slots(1, "2026-05-04", "2026-05-05")
    with pytest.raises(ValidationError, match="schedule"):
        slots("0 8 * * *", "2026-05-04", "2026-05-05")
