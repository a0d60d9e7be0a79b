"""cron beside cronsim, which follows Debian's cron."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError

from habeat.errors import ValidationError
from habeat.schedules import Cron, cron
from habeat.schedules.field_rule import Rule
from habeat.schedules.wallclock import WallClock
from habeat.schedules.zone import zone_named
from tests.unit.schedules.oracles import zoned_minutes
from tests.verification.oracles.world import (
    APIA,
    END,
    FULL,
    START,
    ZONES,
    Change,
    around,
    changes,
    expression,
    ms,
    slots_ms,
)

Slots = list[int]
Window = tuple[datetime, datetime]


def as_fixed(schedule: Cron, window: Window, found: Slots) -> Slots:
    return read_as(schedule, window, interval_like=False)


def as_interval_like(schedule: Cron, window: Window, found: Slots) -> Slots:
    return read_as(schedule, window, interval_like=True)


def by_way_of_the_missing_midnight(schedule: Cron, window: Window, found: Slots) -> Slots:
    rule, others = schedule._rule, set(found)
    assert isinstance(rule, Rule)
    for change in changes(str(schedule.tz), window[0] - timedelta(days=2), window[1]):
        begin, end = (change.at + offset for offset in times(change))
        # The first midnight from the begin of the gap on.
        midnight = (begin + timedelta(days=1, microseconds=-1)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        yesterday = midnight - timedelta(days=1)
        hopped = matches_day(rule, midnight) and not matches_day(rule, yesterday)
        if not begin <= midnight < end or not hopped:
            continue
        if 0 not in rule.hours:
            hour_ms = ms(change.at) + 3_600_000
            others = {slot for slot in others if not ms(change.at) <= slot < hour_ms}
        elif 0 in rule.minutes and change.at > window[0]:
            others.add(ms(change.at))
    return sorted(others)


def matches_day(rule: Rule, day: datetime) -> bool:
    return day.day in rule.days.matching(day.year, day.month)


def times(change: Change) -> tuple[timedelta, timedelta]:
    return change.before, change.after


#: What cronsim does otherwise: a name, whom it concerns, and what cronsim then makes of it.
EXPLAINED: dict[str, tuple[Callable[[str], bool], Callable[[Cron, Window, Slots], Slots]]] = {
    "cronsim takes a range or a step without a star in front for a list of fixed times": (
        lambda e: len(e.split()) == 5 and not star_first(e) and counts_elapsed_time(e),
        as_fixed,
    ),
    "cronsim knows no fixed times in six fields: in the gap they are lost, in the fold doubled": (
        lambda e: len(e.split()) == 6 and not counts_elapsed_time(e),
        as_interval_like,
    ),
    "cronsim hops to a day by its midnight, though it is missing: the rule's 00:00 runs at the "
    "end of the gap, and of a rule without an hour 0 the first hour is lost": (
        lambda e: len(e.split()) == 6 or star_first(e),
        by_way_of_the_missing_midnight,
    ),
}
used: Counter[str] = Counter()


def star_first(expression: str) -> bool:
    minute, hour = expression.split()[:2]
    return minute.startswith("*") or hour.startswith("*")


def counts_elapsed_time(expression: str) -> bool:
    fields = expression.split()
    return any(sign in "".join(fields[: len(fields) - 3]) for sign in "*-/")


def read_as(schedule: Cron, window: Window, *, interval_like: bool) -> Slots:
    rule = schedule._rule
    assert isinstance(rule, Rule)
    other = Rule(rule.days, rule.hours, rule.minutes, rule.seconds, interval_like=interval_like)
    clock = WallClock(other, zone_named(schedule.tz), schedule.gap, schedule.fold)
    return slots_ms(clock.next_after_ms, *window)


def of_cronsim(expression: str, zone: str, window: Window) -> Slots:
    found = []
    for slot in CronSim(expression, window[0].astimezone(ZoneInfo(zone))):
        slot_ms = ms(slot.astimezone(UTC))
        if slot_ms > ms(window[1]):
            break
        found.append(slot_ms)
    return found


def compare(expression: str, zone: str, window: Window) -> None:
    try:
        schedule = cron(expression, tz=zone)
    except ValidationError:
        # A day that no month has.
        assert not of_cronsim_if_it_reads(expression, zone)
        return
    expected = of_cronsim(expression, zone, window)
    found = slots_ms(schedule.next_after_ms, *window)
    for name, (concerned, predicted) in EXPLAINED.items():
        if found != expected and concerned(expression):
            other = predicted(schedule, window, found)
            used[name] += other != found
            found = other
    assert found == expected, f"{expression!r} in {zone}, {window[0]} to {window[1]}"


def of_cronsim_if_it_reads(expression: str, zone: str) -> Slots:
    try:
        return of_cronsim(expression, zone, (START, END))
    except CronSimError:
        return []


def sparse(expression: str) -> bool:
    schedule = cron(expression)
    run = schedule.count_between(ms(START), ms(START) + 14 * 86_400_000, limit=50)
    return run is not None and run.count < 43


OFF_THE_HOUR = [zone for zone in ZONES if any(c.off_the_hour() for c in changes(zone))]
COMPARABLE = [zone for zone in ZONES if zone not in OFF_THE_HOUR]


@pytest.mark.slow
@pytest.mark.parametrize("zone", COMPARABLE)
def test_around_every_change_of_the_clocks(zone: str) -> None:
    chance = Random(f"around {zone}")
    for change in changes(zone):
        for _ in range(40 if FULL else 3):
            compare(expression(chance), zone, around(change, chance))
        seconds = chance.choice(("0", "0,30", "*/20", "10-12"))
        compare(f"{seconds} {expression(chance)}", zone, around(change, chance))


@pytest.mark.slow
@pytest.mark.parametrize("zone", COMPARABLE)
def test_from_2024_to_2030(zone: str) -> None:
    chance, taken = Random(f"years {zone}"), 0
    while taken < (10 if FULL else 1):
        text = expression(chance)
        try:
            if not FULL and not sparse(text):
                continue
        except ValidationError:
            continue
        compare(text, zone, (START, END))
        taken += 1


@pytest.mark.parametrize("zone", OFF_THE_HOUR)
def test_around_changes_off_the_hour(zone: str) -> None:
    """cronsim hops by whole hours and expects to land on one, see the next test.

    So only fixed times are compared with it here, which it looks up without a zone, and the
    others with a walk over every minute.
    """
    from celery.schedules import crontab as celery_crontab

    chance = Random(f"around {zone}")
    for change in changes(zone):
        for _ in range(40 if FULL else 3):
            text, window = expression(chance), around(change, chance)
            if not star_first(text):
                compare(text, zone, window)
                continue
            minute, hour, *_ = text.split()
            schedule = cron(f"{minute} {hour} * * *", tz=zone)
            fields = celery_crontab(minute=minute, hour=hour)
            walked = zoned_minutes(fields, ZoneInfo(zone), *window, interval_like=True)
            assert slots_ms(schedule.next_after_ms, *window) == [ms(slot) for slot in walked]


def test_off_the_hour_is_where_cronsim_loses_slots() -> None:
    """The reason why it is no oracle there; when this fails, it can be one again."""
    assert OFF_THE_HOUR == ["Australia/Lord_Howe", "Pacific/Chatham"]
    window = (datetime(2026, 10, 3, 14, tzinfo=UTC), datetime(2026, 10, 3, 17, tzinfo=UTC))
    lost = of_cronsim("56 * * * *", "Australia/Lord_Howe", window)
    found = slots_ms(cron("56 * * * *", tz="Australia/Lord_Howe").next_after_ms, *window)
    assert set(found) - set(lost) == {ms(datetime(2026, 10, 3, 15, 56, tzinfo=UTC))}


def test_the_day_that_apia_did_not_have() -> None:
    chance = Random("Apia")
    for _ in range(400 if FULL else 40):
        compare(expression(chance), "Pacific/Apia", APIA)
    compare("0 9 * * *", "Pacific/Apia", APIA)
    compare("30 9 30 * *", "Pacific/Apia", APIA)


def test_every_difference_above_has_a_name_and_every_name_a_difference() -> None:
    for text, zone in (
        ("0-30/10 2 * * *", "Europe/Berlin"),
        ("0 30 2 * * *", "Europe/Berlin"),
        ("*/30 1 * * sun", "Asia/Beirut"),
        ("*/30 0 * * sun", "Asia/Beirut"),
    ):
        for change in changes(zone):
            compare(text, zone, (change.at - timedelta(hours=5), change.at + timedelta(hours=5)))
    assert {name for name, count in used.items() if count} == set(EXPLAINED)
