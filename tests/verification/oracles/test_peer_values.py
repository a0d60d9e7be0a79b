"""Days that users of other schedulers rely on, worked out from a calendar; croniter beside them.

Each row is a fact about a calendar. None was copied from habeat's answers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import pytest
from croniter import croniter

from habeat.errors import ValidationError
from habeat.schedules import cron, rrule
from tests.verification.oracles.world import FULL, field

FAR_OFF = datetime(2120, 1, 1, tzinfo=UTC)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=1)

#: An expression, and its first days from 2026 on.
CRON = [
    # Quartz, AWS EventBridge: three days before the last one.
    ("0 0 L-3 * *", ["2026-01-28", "2026-02-25", "2026-03-28", "2026-04-27"]),
    ("0 0 L-1W * *", ["2026-01-30", "2026-02-27", "2026-03-30", "2026-04-29"]),
    ("0 0 L-30 * *", ["2026-01-01", "2026-03-01", "2026-05-01", "2026-07-01"]),
    ("0 0 LW * *", ["2026-01-30", "2026-02-27", "2026-03-31", "2026-04-30"]),
    # Quartz: the last Fridays of three years.
    ("0 0 0 * 12 5L 2026-2028", ["2026-12-25", "2027-12-31", "2028-12-29"]),
    ("0 0 0 29 2 * 2026-2040", ["2028-02-29", "2032-02-29", "2036-02-29", "2040-02-29"]),
    # croner: Friday the 13th, and a first that is a Monday.
    ("0 0 13 * +5", ["2026-02-13", "2026-03-13", "2026-11-13", "2027-08-13"]),
    ("0 0 1 * +MON", ["2026-06-01", "2027-02-01", "2027-03-01", "2027-11-01"]),
    ("0 0 1 * +MON#1", ["2026-06-01", "2027-02-01", "2027-03-01", "2027-11-01"]),
    ("0 0 0 15 * +FRI 2027", ["2027-01-15", "2027-10-15"]),
    # Either day field, as in Vixie cron.
    ("0 0 13 * 5", ["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"]),
    ("0 0 13 * 5#2", ["2026-01-09", "2026-01-13", "2026-02-13", "2026-03-13"]),
    # cronsim, croner: plain weekdays beside the last one; full names.
    ("0 0 * 1 1,5L", ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26", "2026-01-30"]),
    ("0 0 * * friday", ["2026-01-02", "2026-01-09"]),
    ("0 0 1 february,NOVEMBER *", ["2026-02-01", "2026-11-01", "2027-02-01"]),
    ("0 0 * * fri-mon", ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05", "2026-01-09"]),
]

#: A rule, its dtstart, and its first days: examples of RFC 5545 and cases of dateutil's.
RULES = [
    ("YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12", ["1997-05-12", "1998-05-11", "1999-05-17"]),
    ("YEARLY;BYWEEKNO=20", "1997-09-02", ["1998-05-11", "1998-05-12", "1998-05-13"]),
    ("YEARLY;BYWEEKNO=1", "1997-09-02", ["1997-12-29", "1997-12-30", "1997-12-31", "1998-01-01"]),
    ("YEARLY;BYDAY=20MO", "1997-05-19", ["1997-05-19", "1998-05-18", "1999-05-17"]),
    ("YEARLY;BYMONTHDAY=1,3", "1997-09-02", ["1997-09-03", "1997-10-01", "1997-10-03"]),
    ("MONTHLY;BYMONTHDAY=-3", "1997-09-28", ["1997-09-28", "1997-10-29", "1997-11-28"]),
    ("MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1997-09-02", ["1998-02-13", "1998-03-13", "1998-11-13"]),
    ("MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", ["1997-09-04", "1997-10-07", "1997-11-06"]),
    (
        "YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2, 3, 4, 5, 6, 7, 8",
        "1996-11-05",
        ["1996-11-05", "2000-11-07", "2004-11-02"],
    ),
]


@pytest.mark.parametrize(("expression", "days"), CRON)
def test_days_of_cron_expressions(expression: str, days: list[str]) -> None:
    slots = islice(cron(expression).between(NEW_YEAR, FAR_OFF), len(days))
    assert [f"{slot:%Y-%m-%d}" for slot in slots] == days


@pytest.mark.parametrize(("text", "start", "days"), RULES)
def test_days_of_recurrence_rules(text: str, start: str, days: list[str]) -> None:
    zone = 'DTSTART;TZID="America/New_York"'
    schedule = rrule(f"{zone}:{start.replace('-', '')}T090000\nRRULE:FREQ={text}")
    slots = islice(schedule.between(datetime(1990, 1, 1, tzinfo=UTC), FAR_OFF), len(days))
    assert [f"{slot:%Y-%m-%d %H:%M}" for slot in slots] == [f"{day} 09:00" for day in days]


@pytest.mark.parametrize("n", range(400 if FULL else 40))
def test_both_day_fields_and_a_year_are_croniters(n: int) -> None:
    chance = Random(f"both {n}")
    of_month = field(chance, 1, 31, star=0, single=0.2)
    of_week = field(chance, 0, 6, star=0, single=0.4)
    first_year = chance.randint(2026, 2040)
    years = chance.choice((str(first_year), f"{first_year}-{first_year + 3}", "*"))
    try:
        schedule = cron(f"0 30 4 {of_month} * +{of_week} {years}")
    except ValidationError:  # a day that never falls on such a weekday
        return
    found = list(islice(schedule.between(NEW_YEAR, FAR_OFF), 10))
    # croniter has the second and the year at the end.
    theirs = croniter(
        f"30 4 {of_month} * {of_week} 0 {years}", NEW_YEAR, ret_type=datetime, day_or=False
    )
    assert found == [theirs.get_next() for _ in found]
