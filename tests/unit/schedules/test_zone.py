"""Segments agree with zoneinfo, in order and without holes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import ValidationError
from habeat.schedules import Cron
from habeat.schedules.zone import FIRST_S, LAST_S, zone_named
from tests.unit.schedules.strategies import untimed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "UTC"]


@untimed
@given(st.sampled_from(NAMES), st.integers(FIRST_S, LAST_S))
def test_the_segment_of_an_instant_has_its_offset(name: str, instant_s: int) -> None:
    zone = zone_named(name)
    segment = zone.segment_at(instant_s)
    offset = (EPOCH + timedelta(seconds=instant_s)).astimezone(zone.info).utcoffset()
    assert segment.start_s <= instant_s < segment.end_s
    assert timedelta(seconds=segment.offset_s) == offset


@pytest.mark.parametrize("name", NAMES)
def test_segments_join_without_holes(name: str) -> None:
    zone = zone_named(name)
    at_s, segments = int(datetime(2005, 1, 1, tzinfo=UTC).timestamp()), []
    while at_s < datetime(2015, 1, 1, tzinfo=UTC).timestamp():
        segments.append(zone.segment_at(at_s))
        at_s = segments[-1].end_s
    assert all(a.end_s == b.start_s for a, b in pairwise(segments))


def test_a_gap_and_a_fold_are_known_from_both_sides() -> None:
    zone = zone_named("Europe/Berlin")
    spring, autumn = 1_774_746_000, 1_792_890_000  # 2026-03-29 and 2026-10-25, 01:00 UTC
    summer = zone.segment_at(spring)
    assert (summer.start_s, summer.offset_s) == (spring, 7200)
    assert summer.missing_from == spring + 3600
    before, winter = zone.segment_at(autumn - 1), zone.segment_at(autumn)
    assert before.repeat_from == autumn + 3600
    assert winter.repeat_until == autumn + 7200
    assert winter.missing_from == autumn + winter.offset_s  # no gap


def test_a_cut_between_two_blocks_is_no_change_of_clocks() -> None:
    cut_s = 53 << 25  # 2026-05-10
    segment = zone_named("UTC").segment_at(cut_s)
    assert segment.start_s == cut_s
    assert segment.missing_from == cut_s
    assert segment.repeat_until <= cut_s


def test_one_zone_is_worked_out_once() -> None:
    assert zone_named("Europe/Berlin") is zone_named("Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "offset_s"), [("UTC+05:30", 19_800), ("UTC-03:00", -10_800), ("UTC+00:00", 0)]
)
def test_a_fixed_offset_is_a_zone_without_transitions(name: str, offset_s: int) -> None:
    zone = zone_named(name)
    assert {zone.segment_at(at_s).offset_s for at_s in (0, 10**9, 2 * 10**9)} == {offset_s}
    assert Cron("0 9 * * *", tz=name).next_after_ms(0) == ((9 * 3_600 - offset_s) % 86_400) * 1_000


@pytest.mark.parametrize("name", ["UTC+24:00", "UTC+5:30", "UTC+05:60", "+05:30", "EST-5"])
def test_what_resembles_a_fixed_offset_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        zone_named(name)
