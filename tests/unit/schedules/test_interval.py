"""Grids: where they lie, how they are counted, whose offset is whose."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import ValidationError
from habeat.schedules import Interval, Run, every
from habeat.schedules.schedule import LAST_MS
from tests.unit.schedules.strategies import untimed

T0 = 1_767_225_600_000  # 2026-01-01 00:00 UTC


def test_slots_lie_on_the_grid_of_the_unix_epoch() -> None:
    schedule = Interval(every_ms=7000)
    slot = schedule.next_after_ms(T0)
    assert slot is not None
    assert slot % 7000 == 0
    assert T0 < slot <= T0 + 7000
    assert schedule.next_after_ms(slot) == slot + 7000
    assert schedule.next_after_ms(slot - 1) == slot


def test_the_offset_moves_the_grid() -> None:
    assert Interval(60_000, offset_ms=12_345).next_after_ms(T0) == T0 + 12_345
    assert Interval(60_000, offset_ms=12_345).next_after_ms(T0 + 12_345) == T0 + 72_345


def test_before_the_unix_epoch_the_grid_continues() -> None:
    assert Interval(1000, offset_ms=1).next_after_ms(-5000) == -4999


def test_unbound_without_an_offset_means_offset_0() -> None:
    assert Interval(60_000).next_after_ms(T0 + 1) == T0 + 60_000


def test_from_a_minute_up_an_entry_gets_an_offset_of_its_own() -> None:
    offsets = {every(3600).bound(f"entry-{n}", "UTC").offset_ms for n in range(200)}
    assert len(offsets) > 150  # of 3,600 possible ones
    assert all(offset is not None and offset % 1000 == 0 for offset in offsets)
    assert all(offset is not None and 0 <= offset < 3_600_000 for offset in offsets)


def test_the_own_offset_is_the_same_in_every_process_and_version() -> None:
    assert every(3600).bound("nightly", "UTC") == Interval(3_600_000, OWN)
    assert every(3600).bound("nightly", "Asia/Tokyo") == Interval(3_600_000, OWN)


# sha256("nightly") modulo an hour, in whole seconds: stored slots depend on it.
OWN = 2_272_000


@pytest.mark.parametrize("schedule", [every(59), every(1), every(3600, align="epoch"), every(0.1)])
def test_no_own_offset_below_a_minute_or_when_aligned(schedule: Interval) -> None:
    assert schedule.bound("nightly", "UTC").offset_ms == 0


def test_binding_leaves_an_explicit_offset_alone() -> None:
    schedule = every(3600, offset=90)
    assert schedule.bound("nightly", "UTC") is schedule
    again = every(3600).bound("nightly", "UTC")
    assert again.bound("another name", "UTC") is again


@untimed
@given(
    st.integers(100, 10**6),
    st.integers(0, 99),
    st.integers(-(10**7), 10**7),
    st.integers(0, 10**7),
)
def test_counting_by_arithmetic_equals_enumerating(
    every_ms: int, offset_ms: int, after_ms: int, length_ms: int
) -> None:
    schedule = Interval(every_ms * 100, offset_ms)
    slots, slot = [], schedule.next_after_ms(after_ms)
    while slot is not None and slot <= after_ms + length_ms:
        slots.append(slot)
        slot = schedule.next_after_ms(slot)
    expected = Run(len(slots), slots[0], slots[-1]) if slots else None
    assert schedule.count_between(after_ms, after_ms + length_ms) == expected


def test_a_thousand_years_of_tenths_are_counted_at_once() -> None:
    until_ms = T0 + 31_556_952_000_000
    run = every(0.1).count_between(T0, until_ms)
    assert run == Run(315_569_520_000, T0 + 100, until_ms)
    assert every(0.1).count_between(T0, until_ms, limit=1000) == Run(1000, T0 + 100, T0 + 100_000)
    assert every(0.1).count_between(T0, T0 + 250, limit=1000) == Run(2, T0 + 100, T0 + 200)


def test_the_end_of_the_calendar_is_exhaustion() -> None:
    assert Interval(1000).next_after_ms(LAST_MS) is None
    assert Interval(1000).count_between(LAST_MS - 1000, LAST_MS * 2) is not None
    assert Interval(1000).count_between(LAST_MS, LAST_MS * 2) is None


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Interval(99), "every_ms"),
        (lambda: Interval(0), "every_ms"),
        (lambda: Interval(-1000), "every_ms"),
        (lambda: Interval(1000.0), "every_ms"),  # type: ignore[arg-type]
        (lambda: Interval(True), "every_ms"),
        (lambda: Interval(1000, 1000), "offset_ms"),
        (lambda: Interval(1000, -1), "offset_ms"),
        (lambda: Interval(1000, 1, "epoch"), "offset_ms"),
        (lambda: Interval(1000, align="hour"), "align"),  # type: ignore[arg-type]
        (lambda: every(0.01), "seconds"),
        (lambda: every(-5), "seconds"),
        (lambda: every(60, offset=61), "offset"),
        (lambda: every(60, offset=-1), "offset"),
        (lambda: every(1.00005), "seconds"),
        (lambda: every(float("nan")), "seconds"),
        (lambda: every(float("inf")), "seconds"),
        (lambda: every("5"), "seconds"),  # type: ignore[arg-type]
        (lambda: every(True), "seconds"),
        (lambda: every(timedelta(microseconds=100_001)), "seconds"),
        (lambda: every(60, offset="1"), "offset"),  # type: ignore[arg-type]
        (lambda: every(1).count_between(0, 1, limit=0), "limit"),
    ],
)
def test_what_cannot_be_is_refused(make: object, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.field == field


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.1, 2.675, 86_400, timedelta(seconds=1.5)])
def test_decimal_fractions_of_seconds_are_taken_as_written(seconds: float | timedelta) -> None:
    wanted = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
    assert every(seconds).every_ms == wanted / timedelta(milliseconds=1)
