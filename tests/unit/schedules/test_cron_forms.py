"""Forms of cron beyond Vixie's: years, days before the last, both day fields, full names."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import ValidationError
from habeat.schedules import Cron, cron, from_json
from habeat.schedules.wallclock import nth_ms
from tests.unit.schedules.strategies import (
    DAYS,
    DAYS_FROM_THE_END,
    MIXED_WEEKDAYS,
    WEEKDAY_FIELDS,
    WEEKDAYS,
    YEARS,
    untimed,
)

START = datetime(2025, 12, 31, 23, tzinfo=UTC)
END = datetime(2030, 12, 31, 23, tzinfo=UTC)
FULL_NAMES = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def days_of(schedule: Cron) -> list[date]:
    return [slot.date() for slot in schedule.between(START, END)]


def all_days() -> Iterator[date]:
    day = date(2026, 1, 1)
    while day <= END.date():
        yield day
        day += timedelta(days=1)


def days_left(day: date) -> int:
    return monthrange(day.year, day.month)[1] - day.day


@pytest.mark.parametrize("before", range(1, 31))
def test_days_before_the_last_are_counted_from_the_end_of_each_month(before: int) -> None:
    expected = [day for day in all_days() if days_left(day) == before]
    assert days_of(cron(f"0 0 L-{before} * *")) == expected


@pytest.mark.parametrize("before", range(31))
def test_the_weekday_nearest_to_a_day_before_the_last(before: int) -> None:
    expected = []
    for first in (day for day in all_days() if day.day == 1):
        length = monthrange(first.year, first.month)[1]
        weekdays = [d for d in range(1, length + 1) if first.replace(day=d).weekday() < 5]
        if length > before:
            nearest = min(weekdays, key=lambda d: abs(d - (length - before)))
            expected.append(first.replace(day=nearest))
    assert days_of(cron(f"0 0 L-{before}W * *" if before else "0 0 LW * *")) == expected


@untimed
@given(DAYS, WEEKDAY_FIELDS)
def test_a_plus_demands_both_day_fields(of_month: str, of_week: str) -> None:
    by_month, by_week = days_of(cron(f"0 0 {of_month} * *")), days_of(cron(f"0 0 * * {of_week}"))
    expected = sorted(set(by_month) & set(by_week))
    assert days_of(cron(f"0 0 {of_month} * +{of_week}")) == expected


@untimed
@given(st.sets(st.integers(0, 6), min_size=1, max_size=3), st.integers(0, 6), st.integers(1, 5))
def test_plain_weekdays_beside_numbered_ones_add_up(plain: set[int], day: int, n: int) -> None:
    several = ",".join(map(str, sorted(plain)))
    for numbered in (f"{day}#{n}", f"{day}L"):
        alone = [*days_of(cron(f"0 0 * * {several}")), *days_of(cron(f"0 0 * * {numbered}"))]
        assert days_of(cron(f"0 0 * * {several},{numbered}")) == sorted(set(alone))


@pytest.mark.parametrize(("short", "full"), [*zip(WEEKDAYS, FULL_NAMES, strict=True)])
@pytest.mark.parametrize("form", ["{}", "{}#2", "{}L", "{}-sat", "mon,{}", "+{}"])
def test_full_names_of_weekdays_are_the_short_ones(short: str, full: str, form: str) -> None:
    if form == "{}-sat" and short == "sat":
        return  # a range of one value is refused
    for written in (full, full.upper(), full.title()):
        assert days_of(cron(f"0 0 1 * {form.format(written)}")) == days_of(
            cron(f"0 0 1 * {form.format(short)}")
        )


def test_full_names_of_months() -> None:
    assert days_of(cron("0 0 1 January,march-May *")) == days_of(cron("0 0 1 1,3-5 *"))


@pytest.mark.parametrize(
    ("years", "expected"),
    [
        ("2027", [2027]),
        ("2027,2029", [2027, 2029]),
        ("2027-2029", [2027, 2028, 2029]),
        ("2026-2030/2", [2026, 2028, 2030]),
        ("2027/3", [2027, 2030]),
        ("*/2", [2026, 2028, 2030]),
        ("*", [2026, 2027, 2028, 2029, 2030]),
        ("2020", []),
    ],
)
def test_years(years: str, expected: list[int]) -> None:
    slots = list(cron(f"0 0 12 4 7 * {years}").between(START, END))
    assert slots == [datetime(year, 7, 4, 12, tzinfo=UTC) for year in expected]


def test_a_year_ends_in_its_own_zone() -> None:
    schedule = cron("0 0 * * * * 2027", tz="Asia/Tokyo")
    slots = list(schedule.between(START, END))
    assert slots[0] == datetime(2026, 12, 31, 15, tzinfo=UTC)
    assert slots[-1] == datetime(2027, 12, 31, 14, tzinfo=UTC)
    assert len(slots) == 365 * 24


def test_years_are_found_and_counted_from_far_before_and_end() -> None:
    schedule = cron("0 0 0 1 1 * 2090")
    slot = datetime(2090, 1, 1, tzinfo=UTC)
    assert schedule.next_after(datetime(1, 1, 4, tzinfo=UTC)) == slot
    assert schedule.next_after(slot) is None
    run = schedule.count_between(0, 10**13)
    assert run is not None
    assert (run.count, run.first_ms, run.last_ms) == (1, *[int(slot.timestamp()) * 1000] * 2)
    assert nth_ms(schedule._count, 1, 0, 10**13) == run.last_ms


@pytest.mark.parametrize(
    ("expression", "field", "words"),
    [
        ("0 0 0 1 1 * 1969", "year", "1970–2099"),
        ("0 0 0 1 1 * 2100", "year", "1970–2099"),
        ("0 0 0 1 1 * 2030-2027", "year", "1970–2099"),
        ("0 0 0 1 1 * */0", "year", "1970–2099"),
        ("0 0 0 1 1 * H", "year", "1970–2099"),
        ("0 0 0 1 1 * 27", "year", "1970–2099"),
        ("0 0 0 29 2 * 2026,2027", "day_of_month", "of the years '2026,2027'"),
        ("0 0 1 1 * 2027", "year", r"seconds first .* '0 0 0 1 1 \* 2027'"),
        ("0 0 L-0 * *", "day_of_month", "L-3"),
        ("0 0 L-30 2 *", "day_of_month", "a day that occurs"),
        ("0 0 L-3-L * *", "day_of_month", "L-3"),
        ("0 0 1 * +", "day_of_week", "0–6"),
        ("0 0 1 * 5L,", "day_of_week", "0–6"),
        ("0 0 +1 * 5", "day_of_month", "1–31"),
        ("0 0 * * fridays", "day_of_week", "0–6"),
        ("0 0 * friday *", "month", "1–12"),
        ("CRON_TZ=Europe/Berlin 0 0 * * *", "expression", "tz='Europe/Berlin'"),
        ("TZ=Asia/Tokyo 0 0 * * *", "expression", "tz='Asia/Tokyo'"),
    ],
)
def test_what_is_refused_says_what_to_write(expression: str, field: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        cron(expression)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "expression",
    ["0 0 L-3,L-1W * *", "0 0 1-7 * +friday", "0 0 * * 1,5L", "0 30 4 1 1 * 2027-2030/3"],
)
def test_the_new_forms_survive_json(expression: str) -> None:
    schedule = cron(expression, tz="Europe/Berlin")
    again = from_json(schedule.to_json())
    assert again == schedule
    assert list(islice(again.between(START, END), 20)) == list(
        islice(schedule.between(START, END), 20)
    )


@pytest.mark.parametrize(
    ("expression", "same_as"),
    [
        ("*/90 * * * *", "0 * * * *"),  # a step beyond the field leaves its first value
        ("0 17-9 * * *", "0 17-23,0-9 * * *"),  # a range that wraps
        ("0 0 * * fri-mon", "0 0 * * 5,6,0,1"),
        ("0 0 1 nov-feb *", "0 0 1 11,12,1,2 *"),
        ("50-10/5 * * * *", "50,55,0,5,10 * * * *"),
    ],
)
def test_steps_beyond_a_field_and_ranges_that_wrap(expression: str, same_as: str) -> None:
    until = START + timedelta(days=400)
    assert list(cron(expression).between(START, until)) == list(cron(same_as).between(START, until))


def test_a_numbered_weekday_beside_a_day_of_month_is_either() -> None:
    found = [day.day for day in days_of(cron("0 0 13 * 5#2"))[:4]]
    assert found == [9, 13, 13, 13]


@untimed
@given(DAYS_FROM_THE_END, MIXED_WEEKDAYS, YEARS)
def test_new_forms_are_found_counted_said_and_stored_alike(
    of_month: str, of_week: str, years: str
) -> None:
    try:
        schedule = cron(f"0 30 9,17 {of_month} * {of_week} {years}")
    except ValidationError as error:
        if "occurs" not in error.allowed:  # only a day that never comes is refused
            raise
        return
    after_ms, until_ms = 1_700_000_000_000, 1_900_000_000_000
    found, slot_ms = [], schedule.next_after_ms(after_ms)
    while slot_ms is not None and slot_ms <= until_ms:
        found.append(slot_ms)
        slot_ms = schedule.next_after_ms(slot_ms)
    run = schedule.count_between(after_ms, until_ms)
    assert (
        (run.count, run.first_ms, run.last_ms) == (len(found), found[0], found[-1])
        if run
        else (found == [])
    )
    assert from_json(schedule.to_json()) == schedule
    assert schedule.describe().startswith("at 09:30 and 17:30 ")


@untimed
@given(YEARS, st.integers(1, 9998))
def test_a_search_over_any_distance_of_years_stays_within_its_budget(years: str, year: int) -> None:
    schedule = (
        cron(f"0 0 0 29 2 * {years}") if years in ("*", "*/3") else cron(f"0 0 0 1 1 * {years}")
    )
    slot = schedule.next_after(datetime(year, 6, 1, tzinfo=UTC))
    assert slot is None or slot.year >= year
