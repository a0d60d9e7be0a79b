"""Entries whose calendars have no effect: named while it lasts, and no longer."""

from __future__ import annotations

import logging
from datetime import date

import pytest

from habeat.core.calendars import Calendar
from habeat.core.controls import CALENDAR, stored_calendar
from habeat.ports import StoredControls
from tests.unit.engine.world import World

PAST, COMING = Calendar("past", (date(2020, 1, 1),)), Calendar("gone", (date(2099, 1, 1),))


def stored(world: World, stamp: str, *calendars: Calendar) -> None:
    fields = {CALENDAR + each.name: stored_calendar(each) for each in calendars}
    world.store.controls = StoredControls(stamp, fields)


def named(world: World) -> tuple[dict[str, str], dict[str, str]]:
    """The entries with a calendar that is missing, and that has ended."""
    report, now_ms = world.engine.report, world.store.now_ms
    missing, ended = (
        {entry: each.why for entry, each in waits.current(now_ms).items()}
        for waits in (report.missing_calendars, report.ended_calendars)
    )
    return missing, ended


def test_an_entry_is_named_until_its_calendar_has_days_to_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    stored(world, "s1", PAST)
    world.add("a", every_ms=1_000, calendar="gone,past")
    world.add("b", every_ms=1_000)
    with caplog.at_level(logging.ERROR, "habeat"):
        world.run(5_000)
        assert named(world) == ({"a": "gone"}, {"a": "past"})
        stored(world, "s2", COMING)
        world.run(3_000)
        assert named(world) == ({"a": "past"}, {}), "it was removed, and is missing now"
        stored(world, "s3", COMING, Calendar("past", (), ((2, 29),)))
        world.run(3_000)
        assert named(world) == ({}, {})
    said = [each.getMessage() for each in caplog.records if "calendar" in each.getMessage()]
    assert [("'gone'" in each, "'past'" in each) for each in said] == [(True, False), (False, True)]


def test_an_entry_that_is_gone_is_not_named_for_long() -> None:
    world = World()
    world.add("a", every_ms=1_000, calendar="gone")
    world.run(3_000)
    assert named(world)[0] == {"a": "gone"}
    world.store.rows.pop("a")
    world.run(6_000)
    assert named(world) == ({}, {})


def test_a_calendar_is_over_after_its_last_day_in_the_zone_of_the_entry() -> None:
    calendar = Calendar("c", (date(2026, 12, 25),))
    ends_ms = calendar.end_of(1_798_156_800_000, "UTC")  # 2026-12-25
    assert ends_ms is not None
    assert (calendar.is_over(ends_ms - 1, "UTC"), calendar.is_over(ends_ms, "UTC")) == (False, True)
    assert calendar.is_over(ends_ms - 1, "Asia/Tokyo"), "it is the next day there"
    assert not Calendar("c", (), ((12, 25),)).is_over(ends_ms, "UTC"), "next year"
    assert not Calendar("c", (), ((2, 29),)).is_over(ends_ms, "UTC"), "in 2028"
    assert Calendar("c", ()).is_over(ends_ms, "UTC")
