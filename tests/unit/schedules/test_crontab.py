"""Fields mean what Celery makes of them; Celery's own parser is the oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from celery.schedules import crontab as celery_crontab
from celery.schedules import crontab_parser
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import ValidationError
from habeat.schedules import Crontab, crontab
from habeat.schedules.crontab import expand
from tests.unit.schedules.oracles import newest_celery, utc_minutes
from tests.unit.schedules.strategies import (
    DAYS,
    HOURS,
    MINUTES,
    MONTH_FIELDS,
    MONTHS,
    WEEKDAY_FIELDS,
    WEEKDAYS,
    untimed,
)

SCALES: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "minute": (60, 0, ()),
    "hour": (24, 0, ()),
    "day_of_week": (7, 0, WEEKDAYS),
    "day_of_month": (31, 1, ()),
    "month_of_year": (12, 1, MONTHS),
}


@st.composite
def celery_fields(draw: st.DrawFn) -> tuple[str, str]:
    """A field's name and any expression that Celery reads, wrapping ranges included."""
    name = draw(st.sampled_from(sorted(SCALES)))
    size, low, names = SCALES[name]
    bounds: list[st.SearchStrategy[str]] = [st.integers(low, low + size - 1).map(str)]
    if names:
        bounds.append(st.sampled_from([*names, *(f"{n}day" for n in names), names[0].upper()]))
    bound = st.one_of(*bounds)
    ranges = st.tuples(bound, bound).map("-".join)
    stepped = st.tuples(st.one_of(ranges, st.just("*")), st.integers(1, 99).map(str))
    part = st.one_of(bound, ranges, st.just("*"), stepped.map("/".join))
    return name, draw(st.lists(part, min_size=1, max_size=4).map(",".join))


@newest_celery
@untimed
@given(celery_fields())
def test_expansion_equals_celery(field: tuple[str, str]) -> None:
    name, spec = field
    size, low, _ = SCALES[name]
    expected = sorted(crontab_parser(size, low).parse(spec))
    assert list(expand(name, spec.lower())) == expected


@untimed
@given(st.sampled_from(sorted(SCALES)), st.text("0123456789*/-,monjan ", max_size=8))
def test_what_is_accepted_celery_reads_the_same(name: str, spec: str) -> None:
    size, low, _ = SCALES[name]
    try:
        ours = crontab(**{name: spec})  # type: ignore[arg-type]
    except ValidationError:
        return
    kept = getattr(ours, name)
    assert set(expand(name, kept)) == crontab_parser(size, low).parse(kept)


@newest_celery
@untimed
@given(MINUTES, HOURS, WEEKDAY_FIELDS, DAYS, MONTH_FIELDS, st.integers(0, 5 * 366 * 1440))
def test_slots_in_utc_equal_a_scan_with_celerys_sets(
    minute: str, hour: str, dow: str, dom: str, month: str, start_minutes: int
) -> None:
    fields = {"day_of_week": dow, "day_of_month": dom, "month_of_year": month}
    try:
        oracle = celery_crontab(minute, hour, **fields)
    except ValueError:
        with pytest.raises(ValidationError):
            Crontab(minute, hour, **fields)
        return
    start = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(minutes=start_minutes)
    end = start + timedelta(days=500)
    expected = islice(utc_minutes(oracle, start, end), 300)
    found = islice(Crontab(minute, hour, **fields).between(start, end), 300)
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (5, "5"),
        ([45, 15, 15], "15,45"),
        ({0, 30}, "0,30"),
        (range(0, 60, 20), "0,20,40"),
        ((n for n in (1, 2)), "1,2"),
        (" */15 , 7", "*/15,7"),
    ],
)
def test_numbers_and_iterables_are_taken_as_celery_takes_them(given: Any, kept: str) -> None:
    assert crontab(minute=given).minute == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("minute", "60"),
        ("minute", 60),
        ("minute", -1),
        ("minute", [0, 60]),
        ("minute", []),
        ("minute", ["1"]),
        ("minute", True),
        ("minute", None),
        ("minute", 1.5),
        ("minute", b"1"),
        ("minute", ""),
        ("minute", "1,,2"),
        ("minute", "*/0"),
        ("minute", "5/10"),
        ("minute", "*/15 x"),
        ("minute", "99"),  # RedBeat's whole beat dies of this one
        ("minute", "9" * 5000),
        ("hour", "24"),
        ("hour", "mon"),
        ("hour", "1-"),
        ("day_of_week", 7),
        ("day_of_week", "moonday"),
        ("day_of_month", 0),
        ("day_of_month", "32"),
        ("month_of_year", "13"),
        ("month_of_year", "0"),
    ],
)
def test_errors_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        crontab(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"day_of_month": 30, "month_of_year": 2},
        {"day_of_month": 31, "month_of_year": "feb,apr,jun,sep,nov"},
    ],
)
def test_days_that_never_come_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="day_of_month"):
        crontab(**fields)  # type: ignore[arg-type]


def test_a_day_must_match_week_and_month() -> None:
    schedule = crontab(0, 0, day_of_week="fri", day_of_month=13)
    found = schedule.next_after(datetime(2026, 4, 1, tzinfo=UTC))
    assert found == datetime(2026, 11, 13, tzinfo=UTC)


def test_a_leap_day_that_is_a_monday_is_waited_for() -> None:
    schedule = crontab(0, 0, day_of_week="mon", day_of_month=29, month_of_year=2)
    assert schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(
        2044, 2, 29, tzinfo=UTC
    )


def test_binding_gives_the_zone_of_the_entry_and_keeps_its_own() -> None:
    assert crontab(0, 3).bound("nightly", "Asia/Tokyo") == crontab(0, 3, tz="Asia/Tokyo")
    own = crontab(0, 3, tz="Europe/Berlin")
    assert own.bound("nightly", "Asia/Tokyo") is own
    with pytest.raises(ValidationError, match="invalid tz 'Mars'"):
        crontab(0, 3).bound("nightly", "Mars")
