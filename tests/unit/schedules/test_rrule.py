"""Recurrence rules: what they mean, how they end, what is refused; see also the oracles."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import ValidationError
from habeat.schedules import RRule, from_json, rrule
from habeat.schedules.recurrence import enumerate
from tests.unit.schedules.strategies import untimed

BERLIN = "Europe/Berlin"
START = datetime(2026, 1, 5, 9, tzinfo=ZoneInfo(BERLIN))
FAR_OFF = datetime(2500, 1, 1, tzinfo=UTC)


def first(schedule: RRule, count: int, after: datetime = START) -> list[str]:
    """Slots from an instant on, as local time."""
    found = schedule.between(after - timedelta(milliseconds=1), FAR_OFF)
    return [f"{slot:%Y-%m-%d %H:%M}" for slot in islice(found, count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=DAILY", ["2026-01-05 09:00", "2026-01-06 09:00"]),
        ("FREQ=DAILY;BYHOUR=7,19", ["2026-01-05 19:00", "2026-01-06 07:00"]),
        ("FREQ=WEEKLY;INTERVAL=2", ["2026-01-05 09:00", "2026-01-19 09:00"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU", ["2026-01-06 09:00", "2026-01-11 09:00"]),
        # The week that dtstart is in begins on Monday or on Sunday, and the next one is skipped.
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;WKST=SU", ["2026-01-18 09:00", "2026-02-01 09:00"]),
        ("FREQ=MONTHLY", ["2026-01-05 09:00", "2026-02-05 09:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-01-31 09:00", "2026-03-31 09:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-01-31 09:00", "2026-02-28 09:00"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-01-30 09:00", "2026-02-27 09:00"]),
        ("FREQ=MONTHLY;BYDAY=MO(2)", ["2026-01-12 09:00", "2026-02-09 09:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-01-30 09:00", "2026-02-27 09:00"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", ["2026-02-13 09:00", "2026-03-13 09:00"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29 09:00", "2032-02-29 09:00"]),
        ("FREQ=YEARLY;BYYEARDAY=-1", ["2026-12-31 09:00", "2027-12-31 09:00"]),
        ("FREQ=YEARLY;BYDAY=20MO", ["2026-05-18 09:00", "2027-05-17 09:00"]),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", ["2026-03-29 09:00", "2027-03-28 09:00"]),
        ("FREQ=HOURLY;INTERVAL=12", ["2026-01-05 09:00", "2026-01-05 21:00"]),
        ("FREQ=MINUTELY;INTERVAL=90;BYDAY=TU", ["2026-01-06 00:00", "2026-01-06 01:30"]),
        (
            "FREQ=HOURLY;BYHOUR=8;BYMINUTE=0,30;BYSETPOS=-1",
            ["2026-01-06 08:30", "2026-01-07 08:30"],
        ),
    ],
)
def test_what_rules_mean(text: str, expected: list[str]) -> None:
    assert first(rrule(text, tz=BERLIN, dtstart=START), 2) == expected


def test_a_monthly_first_monday_is_not_every_monday() -> None:
    for text in ("FREQ=MONTHLY;BYDAY=1MO", "FREQ=MONTHLY;BYDAY=+1MO", "FREQ=MONTHLY;BYDAY=MO(1)"):
        found = first(rrule(text, tz=BERLIN, dtstart=START), 3)
        assert found == ["2026-01-05 09:00", "2026-02-02 09:00", "2026-03-02 09:00"]


def test_dtstart_stays_the_same_local_time_when_the_clocks_change() -> None:
    schedule = rrule("FREQ=DAILY", tz=BERLIN, dtstart=START)
    slots = list(schedule.between(START, START + timedelta(days=365)))
    assert len({slot.utcoffset() for slot in slots}) == 2
    assert {f"{slot:%H:%M}" for slot in slots} == {"09:00"}


@pytest.mark.parametrize(
    "ending",
    ["COUNT=3", "UNTIL=20260107T090000", "UNTIL=20260107T080000Z", "UNTIL=20260107T235959"],
)
def test_a_past_rule_is_exhausted(ending: str) -> None:
    schedule = rrule(f"FREQ=DAILY;{ending}", tz=BERLIN, dtstart=START)
    days = ["2026-01-05 09:00", "2026-01-06 09:00", "2026-01-07 09:00"]
    assert first(schedule, 9) == days
    assert schedule.next_after(datetime(2026, 1, 7, 8, tzinfo=UTC)) is None
    assert schedule.next_after(FAR_OFF) is None
    assert schedule.next_after(START - timedelta(days=9000)) == START


def test_until_in_utc_is_an_instant_also_in_the_fold() -> None:
    begin = datetime(2026, 10, 25, 1, tzinfo=ZoneInfo(BERLIN))
    text = "FREQ=MINUTELY;INTERVAL=30;UNTIL=20261025T003000Z"
    assert len(first(rrule(text, tz=BERLIN, dtstart=begin), 99, begin)) == 4
    local = "FREQ=MINUTELY;INTERVAL=30;UNTIL=20261025T023000"
    assert len(first(rrule(local, tz=BERLIN, dtstart=begin), 99, begin)) == 6


def test_count_counts_slots_also_where_the_clocks_change() -> None:
    for month, day in ((3, 29), (10, 25)):
        begin = datetime(2026, month, day, tzinfo=ZoneInfo(BERLIN))
        hourly = rrule("FREQ=HOURLY;COUNT=6", tz=BERLIN, dtstart=begin)
        slots = [slot.astimezone(UTC) for slot in hourly.between(START, FAR_OFF)]
        assert slots == [begin.astimezone(UTC) + timedelta(hours=n) for n in range(6)]
    before = datetime(2026, 3, 28, 2, 30, tzinfo=ZoneInfo(BERLIN))
    daily = rrule("FREQ=DAILY;COUNT=3", tz=BERLIN, dtstart=before, gap="skip")
    assert [slot.day for slot in daily.between(START, FAR_OFF)] == [28, 30, 31]


def test_excluded_times_do_not_run_but_count() -> None:
    text = "FREQ=DAILY;COUNT=4\nEXDATE:20260106T090000\nEXDATE;TZID=Europe/London:20260107T080000"
    schedule = rrule(text, tz=BERLIN, dtstart=START)
    assert first(schedule, 9) == ["2026-01-05 09:00", "2026-01-08 09:00"]
    in_utc = rrule("FREQ=DAILY;COUNT=2\nEXDATE:20260106T080000Z", tz=BERLIN, dtstart=START)
    assert first(in_utc, 9) == ["2026-01-05 09:00"]


def test_dtstart_may_stand_in_the_text() -> None:
    named = rrule("DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=DAILY")
    assert named == rrule("rrule:freq=daily", tz=BERLIN, dtstart=START)
    assert named == rrule("DTSTART:20260105T080000Z FREQ=DAILY", tz=BERLIN)
    assert named == rrule("DTSTART:20260105T090000\r\nRRULE:FREQ=\r\n DAILY", tz=BERLIN)
    assert rrule("DTSTART:20260105T080000Z\nFREQ=DAILY").tz == "UTC"
    floating = rrule("DTSTART:20260105T090000\nFREQ=DAILY")
    assert floating.tz is None
    assert floating.bound("name", BERLIN) == named
    midnight = rrule("DTSTART;VALUE=DATE:20260105\nFREQ=DAILY", tz=BERLIN)
    assert midnight.dtstart == "2026-01-05T00:00:00"


def test_an_aware_dtstart_becomes_local_time_where_the_zone_is_known() -> None:
    unbound = rrule("FREQ=DAILY", dtstart=START)
    assert unbound.dtstart == "2026-01-05T08:00:00+00:00"
    assert from_json(unbound.to_json()) == unbound
    bound = unbound.bound("name", "America/New_York")
    assert bound == RRule("FREQ=DAILY", "America/New_York", "2026-01-05T03:00:00")
    assert bound.next_after(START - timedelta(hours=1)) == START


def test_microseconds_of_dtstart_are_cut_off() -> None:
    assert rrule("FREQ=DAILY", tz=BERLIN, dtstart=START.replace(microsecond=9)) == rrule(
        "FREQ=DAILY", tz=BERLIN, dtstart=START
    )


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("", "text", "a recurrence rule"),
        (None, "text", "a recurrence rule"),
        ("FREQ=DÄILY", "text", "a recurrence rule"),
        ("INTERVAL=2", "FREQ", "one of YEARLY"),
        ("FREQ=FORTNIGHTLY", "FREQ", "one of YEARLY"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ", "only one "),
        ("FREQ=DAILY;BYEASTER=0", "BYEASTER", "one of FREQ"),
        ("FREQ=DAILY;;", "text", "one of FREQ"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL", "from 1"),
        ("FREQ=DAILY;INTERVAL=x", "INTERVAL", "from 1"),
        ("FREQ=DAILY;COUNT=0", "COUNT", "from 1 to 100000"),
        ("FREQ=DAILY;COUNT=100001", "COUNT", "from 1 to 100000"),
        ("FREQ=DAILY;COUNT=5;UNTIL=20270101", "COUNT", "either"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL", "20261231T235959"),
        ("FREQ=DAILY;UNTIL=20260231", "UNTIL", "20261231T235959"),
        ("FREQ=DAILY;UNTIL=20250101T000000Z", "UNTIL", "at least one slot"),
        ("FREQ=DAILY;WKST=XX", "WKST", "one of MO"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR", "0–23"),
        ("FREQ=DAILY;BYHOUR=-1", "BYHOUR", "0–23"),
        ("FREQ=DAILY;BYMINUTE=60", "BYMINUTE", "0–59"),
        ("FREQ=DAILY;BYSECOND=60", "BYSECOND", "0–59"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH", "1–12"),
        ("FREQ=DAILY;BYMONTH=", "BYMONTH", "1–12"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY", "-31 to -1"),
        ("FREQ=DAILY;BYMONTHDAY=32", "BYMONTHDAY", "1–31"),
        ("FREQ=YEARLY;BYYEARDAY=-367", "BYYEARDAY", "1–366"),
        ("FREQ=YEARLY;BYWEEKNO=54;BYDAY=MO", "BYWEEKNO", "1–53"),
        ("FREQ=DAILY;BYMINUTE=0 15", "text", "BYMINUTE=0,15, without blanks"),
        ("FREQ=MONTHLY;BYWEEKNO=20;BYDAY=MO", "BYWEEKNO", "FREQ=YEARLY"),
        ("FREQ=MONTHLY;BYDAY=XX", "BYDAY", "MO, TU, WE"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY", "MO, TU, WE"),
        ("FREQ=MONTHLY;BYDAY=1MO(1)", "BYDAY", "MO, TU, WE"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY", "MO, TU, WE"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY", "only with FREQ=MONTHLY"),
        ("FREQ=DAILY;BYDAY=MO(1)", "BYDAY", "only with FREQ=MONTHLY"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS", "another BY part"),
        ("FREQ=DAILY;BYHOUR=1,2;BYSETPOS=0", "BYSETPOS", "1–366"),
        ("FREQ=DAILY RRULE:FREQ=DAILY", "RRULE", "exactly one"),
        ("EXDATE:20260106T090000", "RRULE", "exactly one"),
        ("FREQ=DAILY\nRDATE:20260101T000000", "RDATE", "another entry"),
        ("FREQ=DAILY\nEXRULE:FREQ=WEEKLY", "EXRULE", "another entry"),
        ("FREQ=DAILY\nEXDATE:x", "EXDATE", "20261231T235959"),
        ("FREQ=DAILY\nEXDATE;X=1:20260106T090000", "EXDATE", "TZID"),
        ("FREQ=DAILY\nEXDATE;TZID=Mars:20260106T090000", "tz", "IANA"),
        ("FREQ=DAILY;COUNT=1\nEXDATE:20260105T090000", "text", "at least one slot"),
        ("DTSTART:20260105T090000\nFREQ=DAILY", "dtstart", "the text has a DTSTART"),
    ],
)
def test_what_is_refused_is_named(text: object, field: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        rrule(text, tz=BERLIN, dtstart=START)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("FREQ=DAILY", "dtstart"),
        ("DTSTART:20260105T090000\nDTSTART:20260105T090000\nFREQ=DAILY", "DTSTART"),
        ("DTSTART:20260105T090000,20260106T090000\nFREQ=DAILY", "DTSTART"),
        ("DTSTART;TZID=Europe/Berlin:20260105T090000Z\nFREQ=DAILY", "DTSTART"),
        ("DTSTART;TZID=Europe/London:20260105T090000\nFREQ=DAILY", "tz"),
        ("DTSTART:2026-01-05\nFREQ=DAILY", "DTSTART"),
    ],
)
def test_without_a_beginning_there_is_no_phase(text: str, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rrule(text, tz=BERLIN)
    assert caught.value.field == field


@pytest.mark.parametrize("dtstart", [datetime(2026, 1, 5), date(2026, 1, 5), "2026-01-05", 5])
def test_a_dtstart_without_a_zone_is_refused(dtstart: object) -> None:
    with pytest.raises(ValidationError, match="with a timezone") as caught:
        rrule("FREQ=DAILY", tz=BERLIN, dtstart=dtstart)  # type: ignore[arg-type]
    assert caught.value.field == "dtstart"


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
        "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=4",  # dtstart is in January
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",  # and in no leap year
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",  # and on a Monday
        "FREQ=HOURLY;INTERVAL=6;BYHOUR=4",  # at 09:00
        "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1",
        "FREQ=SECONDLY;INTERVAL=604800;BYDAY=TU",
        "FREQ=SECONDLY;BYSECOND=3;BYSETPOS=2",
    ],
)
def test_rules_that_never_run_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="within 400 years after its dtstart") as caught:
        rrule(text, tz=BERLIN, dtstart=START)
    assert caught.value.field == "text"


def test_a_time_that_is_always_skipped_is_no_slot() -> None:
    begin = datetime(2026, 3, 1, tzinfo=ZoneInfo(BERLIN))
    text = "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=29;BYHOUR=2;BYMINUTE=30;UNTIL=20260401"
    assert first(rrule(text, tz=BERLIN, dtstart=begin), 2, begin) == ["2026-03-29 03:00"]
    with pytest.raises(ValidationError, match="at least one slot"):
        rrule(text, tz=BERLIN, dtstart=begin, gap="skip")


def test_by_the_hour_is_interval_like_and_a_rarer_rule_is_fixed() -> None:
    spring = datetime(2026, 3, 29, 0, 30, tzinfo=ZoneInfo(BERLIN))
    autumn = datetime(2026, 10, 25, 0, 30, tzinfo=ZoneInfo(BERLIN))
    hours = {
        (text, begin): [
            slot.astimezone(UTC).hour
            for slot in rrule(text, tz=BERLIN, dtstart=begin).between(begin, end)
        ]
        for text in ("FREQ=HOURLY;BYMINUTE=30", "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=30")
        for begin, end in (
            (spring, spring + timedelta(hours=4)),
            (autumn, autumn + timedelta(hours=5)),
        )
    }
    assert list(hours.values()) == [[0, 1, 2], [23, 0, 1, 2, 3, 4], [0, 1, 1], [23, 0, 2]]


# The weeks of the Gregorian calendar repeat after 400 years, within a century after 28.
@pytest.mark.parametrize("years", [29, pytest.param(400, marks=pytest.mark.slow)])
def test_weeks_are_numbered_as_in_iso_8601(years: int) -> None:
    begin = datetime(2000, 1, 1, 9, tzinfo=UTC)
    for weeks, back in (("1,20,53", False), ("-1,-53", True)):
        text = f"FREQ=YEARLY;BYWEEKNO={weeks};BYDAY=MO,TU,WE,TH,FR,SA,SU"
        found = rrule(text, tz="UTC", dtstart=begin).between(
            begin - timedelta(days=1), datetime(2000 + years, 1, 1, tzinfo=UTC)
        )
        number_of_days = (date(2000 + years, 1, 1) - date(2000, 1, 1)).days
        days = (date(2000, 1, 1) + timedelta(days=n) for n in range(number_of_days))
        expected = [day for day in days if week(day, back=back) in map(int, weeks.split(","))]
        assert [slot.date() for slot in found] == expected


def week(day: date, *, back: bool) -> int:
    number = day.isocalendar().week
    last = date(day.isocalendar().year, 12, 28).isocalendar().week
    return number - last - 1 if back else number


@untimed
@given(
    st.sampled_from(
        [
            "FREQ=YEARLY;INTERVAL=3;BYDAY=-1FR;BYMONTH=1,7",
            "FREQ=MONTHLY;INTERVAL=5;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1",
            "FREQ=WEEKLY;INTERVAL=3;WKST=SU;BYDAY=SU,WE",
            "FREQ=DAILY;INTERVAL=11;BYHOUR=2,14",
            "FREQ=HOURLY;INTERVAL=5;BYDAY=MO,SU",
            "FREQ=MINUTELY;INTERVAL=1001",
            "FREQ=DAILY;COUNT=3000\nEXDATE:20270105T090000",
        ]
    ),
    st.integers(0, 12 * 365 * 86_400_000),
)
def test_an_answer_does_not_depend_on_where_it_is_asked(text: str, after_ms: int) -> None:
    """Found from afar, walked to from the slot before, and by a schedule never asked before."""
    schedule, fresh = (rrule(text, tz=BERLIN, dtstart=START) for _ in range(2))
    after_ms += int(START.timestamp() * 1000)
    slots = [after_ms]
    while len(slots) < 6 and (slot := schedule.next_after_ms(slots[-1])) is not None:
        slots.append(slot)
    for before, slot in pairwise(slots[1:]):
        assert fresh.next_after_ms(slot - 1) == slot
        assert fresh.next_after_ms((before + slot) // 2) == slot


def test_asking_about_a_late_instant_does_not_walk_there(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = datetime(1975, 1, 1, tzinfo=UTC)
    schedules = [
        rrule(text, tz=BERLIN, dtstart=begin)
        for text in ("FREQ=SECONDLY;INTERVAL=7", "FREQ=DAILY;INTERVAL=3", "FREQ=MONTHLY;BYDAY=1MO")
    ]
    asked: list[int] = []
    in_phase_from = enumerate.Period.in_phase_from

    def counting(period: enumerate.Period, day: int) -> int:
        asked.append(day)
        return in_phase_from(period, day)

    monkeypatch.setattr(enumerate.Period, "in_phase_from", counting)
    for schedule in schedules:
        assert schedule.next_after(datetime(2026, 5, 1, tzinfo=UTC)) is not None
    assert len(asked) < 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=DAILY", "every day at 09:00"),
        ("FREQ=MONTHLY;BYDAY=1MO", "every month on the first Monday at 09:00"),
        ("FREQ=MONTHLY;BYDAY=FR,-1MO", "every month on Fridays and the last Monday at 09:00"),
        ("FREQ=YEARLY;INTERVAL=2", "every 2 years in January on the 5th at 09:00"),
        ("FREQ=YEARLY;BYDAY=20MO", "every year on the 20th Monday of the year at 09:00"),
        (
            "FREQ=YEARLY;BYWEEKNO=1,2,3;BYDAY=MO",
            "every year in weeks 1 to 3 of the year on Mondays at 09:00",
        ),
        ("FREQ=YEARLY;BYYEARDAY=100", "every year on day 100 of the year at 09:00"),
        (
            "FREQ=MONTHLY;BYMONTHDAY=1,-2;BYHOUR=7",
            "every month on the 1st and second to last day of the month at 07:00",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=1,-1",
            "every month on Mondays and Fridays at 09:00, only the first and last of them",
        ),
        ("FREQ=HOURLY;INTERVAL=6;BYDAY=SA", "every 6 hours on Saturdays at minute 0"),
        ("FREQ=MINUTELY;INTERVAL=5;BYHOUR=9,10,11", "every 5 minutes of hours 9 to 11"),
        ("FREQ=SECONDLY;BYMINUTE=30", "every second at minute 30"),
    ],
)
def test_words(text: str, words: str) -> None:
    schedule = rrule(text, tz=BERLIN, dtstart=START)
    assert schedule.describe() == f"{words}, from 2026-01-05, {BERLIN}"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("COUNT=1", "once"),
        ("COUNT=10", "10 times"),
        ("UNTIL=20261231", "until 2026-12-31 00:00:00"),
        ("UNTIL=20261231T120000Z", "until 2026-12-31 12:00:00 UTC"),
    ],
)
def test_words_for_the_end(ending: str, words: str) -> None:
    schedule = rrule(f"FREQ=DAILY;{ending}", dtstart=START)
    assert schedule.describe() == f"every day at 08:00, from 2026-01-05, {words}"


@untimed
@given(st.text("FREQ=DAILYMONTHBCUS;:0123456789-+,TZ()\n ", max_size=40))
def test_any_text_is_a_schedule_or_a_validation_error(text: str) -> None:
    for tried in (text, f"FREQ=MONTHLY;{text}", f"FREQ=WEEKLY\n{text}"):
        try:
            schedule = rrule(tried, tz=BERLIN, dtstart=START)
        except ValidationError:
            continue
        assert schedule.describe()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("FREQ=DAILY; BYHOUR=9, 15", "FREQ=DAILY;BYHOUR=9,15"),
        ("RRULE:FREQ=DAILY;\tBYHOUR=9,  15", "FREQ=DAILY;BYHOUR=9,15"),
        # The blank between two properties stays one.
        ("FREQ=DAILY; EXDATE:20260106T090000", "FREQ=DAILY;\nEXDATE:20260106T090000"),
        ("FREQ=DAILY\nEXDATE:20260106T090000, 20260107T090000", None),
    ],
)
def test_blanks_after_commas_and_semicolons_are_dropped(text: str, plain: str | None) -> None:
    expected = plain or "FREQ=DAILY\nEXDATE:20260106T090000,20260107T090000"
    assert rrule(text, tz=BERLIN, dtstart=START).text == expected


def test_a_quoted_zone_is_the_zone() -> None:
    quoted = rrule('DTSTART;TZID="Europe/Berlin":20260105T090000\nRRULE:FREQ=DAILY')
    assert quoted == rrule("FREQ=DAILY", tz=BERLIN, dtstart=START)
    excluded = rrule('FREQ=DAILY\nEXDATE;TZID="Europe/Berlin":20260106T090000', BERLIN, START)
    assert '"' not in excluded.text  # as stored before quotation marks were read
    assert first(excluded, 2) == ["2026-01-05 09:00", "2026-01-07 09:00"]


@pytest.mark.parametrize("name", ["W. Europe Standard Time", "w. europe standard time"])
@pytest.mark.parametrize("form", ["DTSTART;TZID={}:", 'DTSTART;TZID="{}":'])
def test_a_windows_zone_is_refused_with_the_name_to_write(name: str, form: str) -> None:
    with pytest.raises(ValidationError, match="Windows time zone, 'Europe/Berlin'") as caught:
        rrule(f"{form.format(name)}20260105T090000\nRRULE:FREQ=DAILY")
    assert caught.value.field == "tz"
    with pytest.raises(ValidationError, match="looks like the name of a Windows"):
        rrule("FREQ=DAILY", "Nowhere Standard Time", START)


@pytest.mark.parametrize("written", ["EXDATE;VALUE=DATE:", "EXDATE;TZID=Asia/Tokyo;VALUE=DATE:"])
def test_an_excluded_date_removes_the_whole_local_day(written: str) -> None:
    text = f"FREQ=HOURLY;BYHOUR=0,9,23\n{written}20260106,20260108"
    schedule = rrule(text, tz=BERLIN, dtstart=START)
    assert first(schedule, 5) == [
        *("2026-01-05 09:00", "2026-01-05 23:00"),
        *("2026-01-07 00:00", "2026-01-07 09:00", "2026-01-07 23:00"),
    ]
    assert from_json(schedule.to_json()) == schedule
    plain = rrule("FREQ=HOURLY;BYHOUR=0,9,23", tz=BERLIN, dtstart=START)
    start_ms = int(START.timestamp()) * 1000
    for hours in range(0, 120, 7):
        until_ms = start_ms + hours * 3_600_000
        kept = sum(1 for _ in schedule.between(START, START + timedelta(hours=hours)))
        run = schedule.count_between(start_ms, until_ms)
        assert kept == (run.count if run else 0)
        every = plain.count_between(start_ms, until_ms)
        assert kept <= (every.count if every else 0)


def test_excluded_dates_count_towards_a_count() -> None:
    text = "FREQ=DAILY;COUNT=4\nEXDATE;VALUE=DATE:20260106\nEXDATE:20260106T090000"
    schedule = rrule(text, tz=BERLIN, dtstart=START)
    assert first(schedule, 9) == ["2026-01-05 09:00", "2026-01-07 09:00", "2026-01-08 09:00"]


def test_a_week_without_a_weekday_is_all_its_days() -> None:
    schedule = rrule("FREQ=YEARLY;BYWEEKNO=20", tz=BERLIN, dtstart=START)
    assert first(schedule, 8) == [
        *(f"2026-05-{day} 09:00" for day in range(11, 18)),
        "2027-05-17 09:00",
    ]
    assert schedule.describe().startswith("every year in week 20 of the year, on all its days, at")


def test_a_day_of_month_in_a_yearly_rule_is_in_every_month() -> None:
    schedule = rrule("FREQ=YEARLY;BYMONTHDAY=15", tz=BERLIN, dtstart=START)
    assert first(schedule, 3) == ["2026-01-15 09:00", "2026-02-15 09:00", "2026-03-15 09:00"]


def test_week_1_counts_in_the_calendar_year_of_each_of_its_days() -> None:
    """29 to 31 December 2025 are in week 1 of 2026, but in the year 2025."""
    dtstart = datetime(2025, 1, 1, 9, tzinfo=ZoneInfo(BERLIN))
    schedule = rrule("FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1", tz=BERLIN, dtstart=dtstart)
    days = [text[:10] for text in first(schedule, 8, dtstart)]
    assert days == [
        *("2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04", "2025-01-05"),
        *("2025-12-29", "2025-12-30", "2025-12-31"),
    ]


def test_an_interval_of_hours_counts_on_the_wall_clock_and_runs_in_both_passes() -> None:
    """Every second hour is an even hour of the clock; at the fold, 02:00 comes twice."""
    begin = datetime(2026, 10, 25, tzinfo=ZoneInfo(BERLIN))
    schedule = rrule("FREQ=HOURLY;INTERVAL=2", tz=BERLIN, dtstart=begin)
    found = [slot.astimezone(UTC) for slot in islice(schedule.between(START, FAR_OFF), 4)]
    assert [slot - begin.astimezone(UTC) for slot in found] == [
        timedelta(hours=hours) for hours in (0, 2, 3, 5)
    ]


def test_an_excluded_date_without_value_date_stays_its_midnight() -> None:
    """As older releases stored and read it."""
    schedule = rrule("FREQ=HOURLY;BYHOUR=0,9\nEXDATE:20260106", tz=BERLIN, dtstart=START)
    assert first(schedule, 2) == ["2026-01-05 09:00", "2026-01-06 09:00"]


def test_thousands_of_excluded_dates_are_counted_and_skipped_within_the_budget() -> None:
    days = [START + timedelta(days=n) for n in range(1, 4000)]
    dates = ",".join(f"{day:%Y%m%d}" for day in days)
    schedule = rrule(f"FREQ=HOURLY\nEXDATE;VALUE=DATE:{dates}", tz="UTC", dtstart=START)
    after = datetime(2026, 1, 5, 23, tzinfo=UTC)
    assert schedule.next_after(after) == datetime.combine(
        days[-1].date() + timedelta(days=1), datetime.min.time(), UTC
    )
    run = schedule.count_between(0, int(after.timestamp()) * 1000 + 86_400_000)
    assert run is not None
    assert run.count == 16
