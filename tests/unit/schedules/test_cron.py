"""Cron expressions: what they mean, beside cronsim and croniter; what is refused."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from croniter import croniter
from cronsim import CronSim, CronSimError
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import ValidationError
from habeat.schedules import Cron, cron
from tests.unit.schedules.strategies import (
    DAYS,
    HOURS,
    MINUTES,
    MONTH_FIELDS,
    WEEKDAY_FIELDS,
    untimed,
)

LATE = datetime(3000, 1, 1, tzinfo=UTC)
YEAR_START = datetime(2026, 1, 1, tzinfo=UTC)
STARTS = st.integers(0, 5 * 366 * 1440).map(
    lambda n: datetime(2023, 1, 1, tzinfo=UTC) + timedelta(minutes=n)
)


def first(schedule: Cron, count: int, start: datetime = YEAR_START) -> list[datetime]:
    return list(islice(schedule.between(start, datetime(2200, 1, 1, tzinfo=UTC)), count))


@untimed
@given(MINUTES, HOURS, DAYS, MONTH_FIELDS, WEEKDAY_FIELDS, STARTS)
def test_slots_in_utc_equal_cronsim(
    minute: str, hour: str, dom: str, month: str, dow: str, start: datetime
) -> None:
    expression = f"{minute} {hour} {dom} {month} {dow}"
    try:
        expected = list(islice(CronSim(expression, start), 20))
    except CronSimError:  # some of the impossible days
        expected = []
    try:
        schedule = cron(expression)
    except ValidationError:
        assert expected == []
        return
    # cronsim gives up after 50 years.
    assert first(schedule, len(expected), start) == expected


@untimed
@given(
    st.sampled_from(["l", "15,l", "*", "?"]),
    st.sampled_from(["mon#1", "fri#5", "1#2,3#4", "mon-wed#2", "*"]),
    STARTS,
)
def test_last_days_and_nth_weekdays_equal_cronsim(dom: str, dow: str, start: datetime) -> None:
    expression = f"0 12 {dom} * {dow}"
    # cronsim writes L in capitals, has no ? and no range before #.
    theirs = expression.replace("l", "L").replace("?", "*").replace("mon-wed#2", "1#2,2#2,3#2")
    expected = list(islice(CronSim(theirs, start), 30))
    assert first(cron(expression), 30, start) == expected


@untimed
@given(st.sampled_from(range(7)), STARTS)
def test_the_last_weekday_of_a_month_equals_cronsim(day: int, start: datetime) -> None:
    expected = list(islice(CronSim(f"0 12 * * {day}L", start), 30))
    assert first(cron(f"0 12 * * L{day}"), 30, start) == expected


@untimed
@given(STARTS)
def test_the_last_weekday_of_the_month_equals_cronsim(start: datetime) -> None:
    expected = list(islice(CronSim("0 12 LW * *", start), 30))
    assert first(cron("0 12 LW * *"), 30, start) == expected


@pytest.mark.parametrize("day", range(1, 32))
def test_the_nearest_weekday_by_trying_all_days(day: int) -> None:
    """Over the 28 years in which each of the 14 kinds of years occurs."""
    found = iter(cron(f"0 0 {day}W * *").between(datetime(1999, 12, 31, 23, tzinfo=UTC), LATE))
    for year in range(2000, 2028):
        for month in range(1, 13):
            length = monthrange(year, month)[1]
            if day <= length:
                weekdays = [d for d in range(1, length + 1) if date(year, month, d).weekday() < 5]
                nearest = min(weekdays, key=lambda d: abs(d - day))
                assert next(found).date() == date(year, month, nearest)


@untimed
@given(MINUTES, MINUTES, HOURS, STARTS)
def test_six_fields_begin_with_the_seconds(
    second: str, minute: str, hour: str, start: datetime
) -> None:
    expression = f"{second} {minute} {hour} * * *"
    theirs = croniter(expression, start, ret_type=datetime, second_at_beginning=True)
    assert first(cron(expression), 30, start) == [next(theirs) for _ in range(30)]


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 13 * 5", [2, 9, 13, 16]),  # either: every Friday, and the 13th
        ("0 0 */10 * 5", []),  # a star first: both; no Friday in January is a 1st, 11th, ...
        ("0 0 */8 * 5", [9]),
        ("0 0 1-31 * 1", [2, 3, 4, 5]),  # no star: either, and every day is one
        ("0 0 * * 1", [5, 12, 19, 26]),
        ("0 0 ? * 1", [5, 12, 19, 26]),
        ("0 0 * * 7", [4, 11, 18, 25]),  # 7 is Sunday, too
        ("0 0 * * 5-7", [2, 3, 4, 9]),
        ("0 0 L * *", [31]),
        ("0 0 29-L * *", [29, 30, 31]),
        ("0 0 l * 1#1", [5, 31]),
        ("0  0\t* * SUN", [4, 11, 18, 25]),
        ("0 0 * * 5L", [30]),
        ("0 0 * * FRIL,mon#1", [5, 30]),
        ("0 0 1W,15W,31W * *", [15, 30]),  # the 31st is a Saturday
        ("0 0 LW,2 * *", [2, 30]),
        ("0 0 3W,4W * *", [2, 5]),  # a Saturday and a Sunday
        ("0 0 3W * 0", [2, 4, 11, 18]),  # either
        ("*,5 0 1 * *", [1, 1, 1, 1]),
        ("0 0 *,5 * 1", [5, 12, 19, 26]),  # a star first: both
    ],
)
def test_which_days_of_january(expression: str, days: list[int]) -> None:
    found = [slot.day for slot in first(cron(expression), 4) if slot.month == 1]
    assert found == days


@pytest.mark.parametrize(
    ("macro", "expression"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
    ],
)
def test_macros_are_not_hashed(macro: str, expression: str) -> None:
    bound = cron(macro).bound("nightly", "UTC")
    assert bound == Cron(macro, "UTC")
    assert first(bound, 5) == first(cron(expression), 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("expression", ["H * * * *", "h h * * *", "H/15 H(0-7) * * *", "H H H * H"])
def test_h_is_chosen_by_the_entrys_name(expression: str) -> None:
    bound = cron(expression).bound("nightly", "UTC")
    assert bound == Cron(expression, "UTC", hash_id="nightly")
    assert bound.next_after(YEAR_START) == cron(expression).bound("nightly", "UTC").next_after(
        YEAR_START
    )
    several = {cron(expression).bound(f"n{n}", "UTC").next_after(YEAR_START) for n in range(40)}
    assert len(several) > 5


@untimed
@given(st.text(max_size=20), STARTS)
def test_h_equals_croniters_choice(name: str, start: datetime) -> None:
    expression = "H H(2-5) * * *"
    bound = cron(expression).bound(name, "UTC")
    theirs = croniter(expression, start, ret_type=datetime, hash_id=name)
    assert bound.next_after(start) == next(theirs)


def test_h_as_a_day_of_the_month_is_a_day_that_every_month_has() -> None:
    for n in range(60):
        bound = cron("0 0 H * *").bound(f"n{n}", "UTC")
        assert isinstance(bound, Cron)
        assert [slot.month for slot in first(bound, 12)][1:] in (
            list(range(2, 13)),
            [*range(3, 13), 1],
        )


def test_an_h_without_a_name_says_so() -> None:
    schedule = cron("H 3 * * *")
    with pytest.raises(ValidationError, match="bound") as caught:
        schedule.next_after_ms(0)
    assert caught.value.field == "expression"
    assert "H" in schedule.describe()


def test_h_is_fixed_h_with_a_step_counts_elapsed_time() -> None:
    spring = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    fixed = cron("H(10-20) 2 * * *", tz="Europe/Berlin").bound("nightly", "UTC")
    assert fixed.next_after_ms(int(spring.timestamp()) * 1000) == 1_774_746_000_000
    stepped = cron("H/20 2 * * *", tz="Europe/Berlin").bound("nightly", "UTC")
    slot = stepped.next_after(spring)
    assert slot is not None
    assert slot.day == 30


@pytest.mark.parametrize(
    ("expression", "field", "words"),
    [
        ("R * * * *", "minute", "H instead of R"),
        ("0 R(1-5) * * *", "hour", "H instead of R"),
        ("0 0 W * *", "day_of_month", "W only after a single day"),
        ("0 0 32W * *", "day_of_month", "W only after a single day"),
        ("0 0 1-5W * *", "day_of_month", "W only after a single day"),
        ("0 0 15W/2 * *", "day_of_month", "W only after a single day"),
        ("0 0 1,WL * *", "day_of_month", "W only after a single day"),
        ("0 0 31W 4 *", "day_of_month", "a day that occurs in month"),
        ("0 0 L-31 * *", "day_of_month", "15W or LW"),
        ("0 0 * * L", "day_of_week", "L5"),
        ("0 0 * * 8L", "day_of_week", "L5"),
        ("0 5-5 * * *", "hour", "not a range of one value"),
        ("0 0 * jan-jan *", "month", "not a range of one value"),
        ("60 * * * *", "minute", "0–59"),
        ("60 * * * * *", "second", "0–59"),
        ("0 24 * * *", "hour", "0–23"),
        ("0 0 0 * *", "day_of_month", "1–31"),
        ("0 0 * 13 *", "month", "1–12"),
        ("0 0 * foo *", "month", "1–12"),
        ("0 0 * * 8", "day_of_week", "0–6"),
        ("0 0 * * 1#6", "day_of_week", "0–6"),
        ("0 0 * * *,tue#2", "day_of_week", "without \\*"),
        ("*/0 * * * *", "minute", "0–59"),
        ("0~5 * * * *", "minute", "0–59"),
        ("-5 * * * *", "minute", "0–59"),
        ("* * * *", "expression", "5 fields"),
        ("0 * * * * * 2026 1", "expression", "5 fields"),
        ("", "expression", "5 fields"),
        ("@reboot", "expression", "@daily"),
        ("\u0661 * * * *", "expression", "cron expression"),
        (None, "expression", "cron expression"),
        ("0 0 30 2 *", "day_of_month", "a day that occurs in month"),
        ("0 0 31 4,6,9,11 *", "day_of_month", "a day that occurs in month"),
    ],
)
def test_what_is_refused_is_named(expression: object, field: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        cron(expression)  # type: ignore[arg-type]
    assert caught.value.field == field


@untimed
@given(st.text("0123456789*/-,#lhrw?@ monfri()~", max_size=24))
def test_any_text_is_a_schedule_or_a_validation_error(text: str) -> None:
    try:
        schedule = cron(text)
    except ValidationError:
        return
    assert schedule.bound("name", "UTC").describe()


def test_an_impossible_day_of_the_month_is_allowed_beside_a_day_of_the_week() -> None:
    assert [slot.day for slot in first(cron("0 0 30 2 mon"), 4)] == [2, 9, 16, 23]


def test_white_space_is_no_change_of_the_schedule() -> None:
    assert cron(" 0  3 * *\t* ") == cron("0 3 * * *")
