"""No schedule can hold up its reader: every search counts its steps, and gives up.

Work is counted, not timed. The alarm is the last resort against a loop that counts nothing.
"""

from __future__ import annotations

import gc
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType, ModuleType

import pytest

import habeat
from habeat.errors import HabeatError, ScheduleTooExpensive, ValidationError
from habeat.schedules import Crontab, RRule, search_budget
from habeat.schedules.recurrence.ending import counted_end
from habeat.schedules.recurrence.parse import WEEKDAYS
from habeat.schedules.recurrence.parts import FREQUENCIES
from habeat.schedules.registry import from_json
from habeat.schedules.schedule import FIRST_MS, LAST_MS, Schedule

NOW_MS = int(datetime(2026, 11, 28, tzinfo=UTC).timestamp() * 1_000)
DAY_MS = 86_400_000
ALARM_S = 60
ROUNDS = 250

SIXTY = ",".join(map(str, range(60)))
DAY = f"BYHOUR={','.join(map(str, range(24)))};BYMINUTE={SIXTY};BYSECOND={SIXTY}"


@contextmanager
def bounded(questions: int) -> Iterator[None]:
    """At most so many questions' worth of steps, and an end."""

    def rung(number: int, frame: FrameType | None) -> None:
        raise AssertionError("a search that counts nothing does not end")

    signal.signal(signal.SIGALRM, rung)
    signal.alarm(ALARM_S)
    before = search_budget.spent()
    try:
        yield
    finally:
        signal.alarm(0)
    # The step that breaks the budget may be one of a hundred.
    assert search_budget.spent() - before <= questions * (search_budget.STEPS + 100)


def rule(text: str, **given: str) -> RRule:
    start = {} if "DTSTART" in text else {"dtstart": "2026-01-05T09:00:00"}
    return RRule(text, **{"tz": "Europe/Berlin", **start, **given})  # type: ignore[arg-type]


# -- texts that were found ------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "DTSTART:96000101T090000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=1;BYSETPOS=2",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=WEEKLY;INTERVAL=53;BYMONTH=6;BYDAY=MO,TU;BYSETPOS=3",
        "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYMONTH=6",
        "FREQ=HOURLY;INTERVAL=6;BYHOUR=4;BYMONTH=2",
        "FREQ=MINUTELY;INTERVAL=3;BYMONTH=2;BYMONTHDAY=30",
    ],
)
@pytest.mark.parametrize("tz", ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def test_a_rule_that_never_has_a_slot_is_refused(text: str, tz: str) -> None:
    with bounded(2), pytest.raises(ValidationError):
        rule(text, tz=tz)


@pytest.mark.parametrize(
    ("instant", "tz"),
    [("00010101T000000Z", "America/New_York"), ("99991231T235959Z", "Pacific/Kiritimati")],
)
def test_a_beginning_that_its_zone_cannot_show_is_refused(instant: str, tz: str) -> None:
    with bounded(1), pytest.raises(ValidationError, match="DTSTART"):
        rule(f"DTSTART:{instant}\nRRULE:FREQ=DAILY", tz=tz)


def test_an_interval_of_centuries_ends_with_the_calendar() -> None:
    schedule = rule("FREQ=YEARLY;INTERVAL=500;BYMONTH=1;BYDAY=MO;BYSETPOS=1")
    found = list(
        schedule.between(datetime(2026, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    )
    assert [each.year for each in found] == list(range(2026, 10_000, 500))
    assert {each.weekday() for each in found} == {0}
    assert all(each.day <= 7 for each in found)


def test_a_time_that_never_exists_is_abandoned() -> None:
    """The last Sunday of March at 02:30 is in the gap of every year."""
    never = "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;BYHOUR=2;BYMINUTE=30"
    with bounded(2), pytest.raises(ScheduleTooExpensive, match="found sooner"):
        rule(never, gap="skip").next_after_ms(NOW_MS)
    with bounded(1), pytest.raises(ScheduleTooExpensive):
        habeat.cron("30 2 */1 3 0#5", tz="Europe/Berlin", gap="skip").next_after_ms(NOW_MS)


def test_a_rule_with_a_slot_in_a_century_is_abandoned_and_names_itself() -> None:
    text = "FREQ=SECONDLY;INTERVAL=86401;BYHOUR=9;BYMINUTE=0;BYSECOND=0"
    with bounded(3), pytest.raises(ScheduleTooExpensive, match="INTERVAL=86401"):
        rule(text).next_after_ms(NOW_MS)


# -- COUNT is arithmetic ---------------------------------------------------------------------


@pytest.mark.parametrize("freq", ["HOURLY;INTERVAL=704", "MONTHLY", "MINUTELY", "YEARLY;BYDAY=MO"])
def test_to_read_a_count_walks_nothing(freq: str) -> None:
    before = search_budget.spent()
    from_json(rule(f"FREQ={freq};COUNT=100000").to_json()).next_after_ms(NOW_MS)
    assert search_budget.spent() - before < 5_000


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=HOURLY;COUNT=500",
        "FREQ=HOURLY;INTERVAL=7;BYMINUTE=5,50;COUNT=301",
        "FREQ=SECONDLY;INTERVAL=977;COUNT=2000",
        "FREQ=MINUTELY;INTERVAL=7;BYHOUR=1,2,3;COUNT=700",
        "FREQ=SECONDLY;INTERVAL=11;BYHOUR=2;BYMINUTE=0,30;COUNT=333",
        "FREQ=MINUTELY;BYHOUR=2;BYMINUTE=1,31;BYSECOND=7,8,9;BYSETPOS=2;COUNT=90",
        "FREQ=DAILY;INTERVAL=3;BYHOUR=2;BYMINUTE=0,30;COUNT=200",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;BYHOUR=2,9;BYMINUTE=30;COUNT=150",
        "FREQ=WEEKLY;BYDAY=SU,MO,TU;BYSETPOS=-1;COUNT=70",
        "FREQ=MONTHLY;BYDAY=-1SU;BYHOUR=2;BYMINUTE=30;COUNT=30",
        "FREQ=MONTHLY;BYMONTHDAY=31;COUNT=12",
        "FREQ=YEARLY;INTERVAL=2;BYDAY=1MO,-1FR;COUNT=9",
        "FREQ=DAILY;COUNT=100\nEXDATE:20260106T020000,20260329T020000,20260330T020000",
        "FREQ=DAILY;COUNT=100\nEXDATE;TZID=Asia/Tokyo:20260110T100000,20260111T100000",
    ],
)
@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
def test_the_count_ends_with_the_slot_that_walking_finds(text: str, tz: str) -> None:
    start = "2026-01-05T02:00:00"
    endless = RRule(text.replace(f";COUNT={(count := int(_after(text, 'COUNT=')))}", ""), tz, start)
    bare = RRule(endless.text.partition("\n")[0], tz, start)
    walked: list[int] = []
    slot_ms = bare.next_after_ms(FIRST_MS)
    while slot_ms is not None and len(walked) < count:
        walked.append(slot_ms)
        slot_ms = bare.next_after_ms(slot_ms)
    excluded = set(walked) - {slot for slot in walked if endless.next_after_ms(slot - 1) == slot}
    wanted = [slot for slot in walked if slot not in excluded]
    assert _walk(RRule(text, tz, start)) == wanted
    # The same holds if the slots are asked for backwards, or all at once.
    counted_end.cache_clear()
    fresh = RRule(text, tz, start)
    assert fresh.next_after_ms(wanted[-1]) is None
    assert fresh.next_after_ms(wanted[-1] - 1) == wanted[-1]
    run = fresh.count_between(wanted[0] - 1, NOW_MS + 40 * 365 * DAY_MS)
    assert run is not None
    assert (run.count, run.first_ms, run.last_ms) == (len(wanted), wanted[0], wanted[-1])


def _after(text: str, part: str) -> str:
    return text.partition(part)[2].split("\n")[0].split(";")[0]


def _walk(schedule: Schedule) -> list[int]:
    slots, slot_ms = [], schedule.next_after_ms(FIRST_MS)
    while slot_ms is not None:
        slots.append(slot_ms)
        slot_ms = schedule.next_after_ms(slot_ms)
    return slots


def test_a_question_that_gives_up_leaves_the_next_one_less_to_do() -> None:
    schedule = RRule("FREQ=DAILY;INTERVAL=9;BYHOUR=3;COUNT=99999", "UTC", "0001-01-05T09:00:00")
    for _ in range(60):
        try:
            assert schedule.next_after_ms(NOW_MS) is not None
        except ScheduleTooExpensive:
            continue
        return
    pytest.fail("it never gets there")


# -- memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"FREQ=DAILY;{DAY}",
        f"FREQ=SECONDLY;{DAY}",
        f"FREQ=SECONDLY;INTERVAL=77;{DAY}",
        f"FREQ=HOURLY;{DAY}",
        f"FREQ=YEARLY;{DAY};BYDAY=MO,TU,WE;BYSETPOS=1,-1",
        f"FREQ=DAILY;{DAY};BYSETPOS=1,300,-300",
    ],
)
def test_lists_are_not_multiplied_out(text: str) -> None:
    schedule = rule(text)
    slot_ms = NOW_MS
    for _ in range(50):
        slot_ms = schedule.next_after_ms(slot_ms + 30 * DAY_MS) or NOW_MS
    schedule.count_between(NOW_MS, NOW_MS + 90 * DAY_MS)
    assert _size(schedule) < 64 * 1_024


def _size(root: object) -> int:
    """The bytes of all that an object refers to, without the zones, which are shared."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        each = waiting.pop()
        shared = isinstance(each, type | ModuleType) or type(each).__name__ in ("Zone", "function")
        if id(each) not in seen and not shared:
            seen[id(each)] = each
            waiting += gc.get_referents(each)
    return sum(map(sys.getsizeof, seen.values()))


# -- any text at all -------------------------------------------------------------------------


def _list(draw: random.Random, low: int, high: int, back: bool) -> str:
    values = [draw.randint(low, high) for _ in range(draw.choice((1, 1, 2, 5, 60)))]
    return ",".join(str(-v if back and draw.random() < 0.3 else v) for v in values)


def _recurrence(draw: random.Random) -> Schedule:
    freq = draw.choice(FREQUENCIES)
    parts = [f"FREQ={freq}"]
    if draw.random() < 0.5:
        interval = draw.choice((2, 3, 7, 11, 53, 60, 97, 500, 1_441, 86_401, 604_800, 999_999_999))
        parts.append(f"INTERVAL={interval}")
    lists = [
        ("BYMONTH", 1, 12, False),
        ("BYMONTHDAY", 1, 31, True),
        ("BYYEARDAY", 1, 366, True),
        ("BYHOUR", 0, 23, False),
        ("BYMINUTE", 0, 59, False),
        ("BYSECOND", 0, 59, False),
        ("BYSETPOS", 1, 366, True),
        ("BYWEEKNO", 1, 53, True),
    ]
    parts += [f"{name}={_list(draw, *rest)}" for name, *rest in lists if draw.random() < 0.25]
    if draw.random() < 0.4:
        number = draw.choice(("", "", "1", "-1", "5", "53"))
        parts.append(f"BYDAY={number}{draw.choice(WEEKDAYS)}")
    if draw.random() < 0.3:
        ends = f"COUNT={draw.choice((1, 3, 100_000))}", "UNTIL=20300101T000000Z", "UNTIL=99991231"
        parts.append(draw.choice(ends))
    start = draw.choice(("0001-01-01", "1583-02-28", "1970-01-01", "2026-01-05", "9999-12-30"))
    text = ";".join(parts)
    if draw.random() < 0.2:
        text += "\nEXDATE:" + ",".join(f"2026{month:02}05T090000" for month in range(1, 13))
    gap, fold = draw.choice(("shift", "skip")), draw.choice(("auto", "first", "last", "both"))
    tz = draw.choice(("UTC", "Europe/Berlin", "Pacific/Apia", "Africa/Casablanca"))
    return RRule(text, tz, f"{start}T09:30:00", gap, fold)  # type: ignore[arg-type]


def _field(draw: random.Random, low: int, high: int) -> str:
    one, other = draw.randint(low, high + 1), draw.randint(low, high + 1)
    return draw.choice(
        ("*", f"{one}", f"{one},{other}", f"{one}-{other}", f"*/{one}", f"{one}-{other}/{other}")
    )


def _fields(draw: random.Random) -> list[str]:
    return [_field(draw, *r) for r in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))]


def _cron(draw: random.Random) -> Schedule:
    fields = _fields(draw)
    fields[2] = draw.choice((fields[2], "29", "30", "31", "15w", "lw", "l", "*/29"))
    fields[3] = draw.choice((fields[3], "2", "2", "2,4,6,9,11"))
    fields[4] = draw.choice((fields[4], "1#5", "5#1", "l5", "*/7"))
    gap = draw.choice(("shift", "skip"))
    return habeat.cron(" ".join(fields), tz="Europe/Berlin", gap=gap)  # type: ignore[arg-type]


def _crontab(draw: random.Random) -> Schedule:
    minute, hour, day, month, weekday = _fields(draw)
    day = draw.choice((day, "29", "30", "31"))
    month = draw.choice((month, "2", "2,4,6,9,11"))
    return from_json(Crontab(minute, hour, weekday, day, month, "Europe/Berlin").to_json())


@pytest.mark.parametrize("make", [_recurrence, _cron, _crontab])
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_any_schedule_answers_or_is_refused(make: object, seed: int) -> None:
    draw = random.Random(f"{make.__name__} {seed}")  # type: ignore[attr-defined]
    made = 0
    for _ in range(ROUNDS):
        try:
            with bounded(4):
                schedule = make(draw)  # type: ignore[operator]
            made += 1
            for after_ms in (FIRST_MS, NOW_MS, draw.randint(FIRST_MS, LAST_MS), LAST_MS):
                with bounded(1):
                    slot_ms = schedule.next_after_ms(after_ms)
                assert slot_ms is None or after_ms < slot_ms <= LAST_MS
                with bounded(1 + search_budget.COUNT_STEPS // search_budget.STEPS):
                    schedule.count_between(after_ms, after_ms + 400 * DAY_MS)
        except HabeatError:
            pass  # refused, with a reason
    assert made > ROUNDS // 10
