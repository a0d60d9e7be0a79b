"""rrule beside python-dateutil, which walks from dtstart on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from random import Random
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from habeat.errors import ValidationError
from habeat.schedules import RRule
from habeat.schedules.recurrence.enumerate import SEARCH_YEARS
from tests.verification.oracles.world import APIA, FULL, ZONES, around, changes, ms, slots_ms

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
A_SECOND = timedelta(seconds=1)
LONG_AGO, FAR_OFF = datetime(1990, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)


def numbers(chance: Random, low: int, high: int, *, back: bool = False) -> str:
    found = chance.sample(range(low, high + 1), chance.randint(1, 3))
    return ",".join(str(-n if back and chance.random() < 0.3 else n) for n in found)


def by_day(chance: Random, *, numbered: int) -> str:
    """Weekdays, all with a number up to `numbered` or all without."""
    days = chance.sample(WEEKDAYS, chance.randint(1, 4))
    if not numbered or chance.random() < 0.5:
        return ",".join(days)
    return ",".join(f"{chance.choice((-1, 1)) * chance.randint(1, numbered)}{day}" for day in days)


def rule(chance: Random) -> str:
    """A random rule that says what RFC 5545 allows, daily or rarer."""
    freq = chance.choice(("YEARLY", "MONTHLY", "WEEKLY", "DAILY"))
    parts = {"FREQ": freq}
    if chance.random() < 0.5:
        parts["INTERVAL"] = str(chance.choice((1, 2, 3, 5, 7, 10, 40)))
    if chance.random() < 0.2:
        parts["WKST"] = chance.choice(WEEKDAYS)
    if chance.random() < 0.3:
        parts["BYMONTH"] = numbers(chance, 1, 12)
    if freq == "YEARLY" and chance.random() < 0.2:
        parts["BYWEEKNO"] = numbers(chance, 1, 53)
        if chance.random() < 0.7:
            parts["BYDAY"] = by_day(chance, numbered=0)
    elif freq in ("YEARLY", "DAILY") and chance.random() < 0.2:
        parts["BYYEARDAY"] = numbers(chance, 1, 366, back=True)
    elif freq != "WEEKLY" and chance.random() < 0.3:
        parts["BYMONTHDAY"] = numbers(chance, 1, 31, back=True)
    elif chance.random() < 0.6:
        numbered = {"MONTHLY": 5, "YEARLY": 5 if "BYMONTH" in parts else 53}.get(freq, 0)
        parts["BYDAY"] = by_day(chance, numbered=numbered)
    for name, high in (("BYHOUR", 23), ("BYMINUTE", 59), ("BYSECOND", 59)):
        if chance.random() < 0.2:
            parts[name] = numbers(chance, 0, high)
    # dateutil's error in numbering weeks (see EXPLAINED) would move the positions of a whole year.
    positions = any(name.startswith("BY") for name in parts) and "BYWEEKNO" not in parts
    if positions and chance.random() < 0.2:
        parts["BYSETPOS"] = numbers(chance, 1, 4, back=True)
    return ";".join(f"{name}={value}" for name, value in parts.items())


def rule_by_units(chance: Random) -> str:
    """A random rule by hours, minutes or seconds that dateutil can walk in reasonable time."""
    freq = chance.choice(("HOURLY", "MINUTELY", "SECONDLY"))
    parts = {"FREQ": freq, "INTERVAL": str(chance.choice((1, 1, 2, 3, 5, 7, 40, 90)))}
    if chance.random() < 0.3:
        parts["BYDAY"] = by_day(chance, numbered=0)
    for name, high in (("BYHOUR", 23), ("BYMINUTE", 59), ("BYSECOND", 59)):
        if chance.random() < 0.3:
            parts[name] = numbers(chance, 0, high)
    if freq == "HOURLY" and "BYMINUTE" in parts and chance.random() < 0.5:
        parts["BYSETPOS"] = chance.choice(("1", "-1"))
    return ";".join(f"{name}={value}" for name, value in parts.items())


def in_the_week_of_dtstart(slot: datetime, dtstart: datetime) -> bool:
    return slot < dtstart + timedelta(days=7)


def in_the_first_days_of_a_year(slot: datetime, dtstart: datetime) -> bool:
    return slot.month == 1 and slot.day < 7


#: What dateutil does otherwise: a name, whom it concerns, and which slots then may differ.
EXPLAINED: dict[str, tuple[Callable[[str], bool], Callable[[datetime, datetime], bool]]] = {
    "dateutil counts the positions in dtstart's own week from dtstart on, not from its Monday": (
        lambda text: "WEEKLY" in text and "BYSETPOS" in text,
        in_the_week_of_dtstart,
    ),
    "dateutil numbers the last week of a year by the length of the year that follows": (
        lambda text: "BYWEEKNO" in text,
        in_the_first_days_of_a_year,
    ),
}


def of_dateutil(text: str, dtstart: datetime, after: datetime) -> Iterator[datetime]:
    """Local times strictly after one, walking from dtstart."""
    try:
        yield from (slot for slot in rrulestr(text, dtstart=dtstart) if slot > after)
    except ValueError as error:
        if "empty" not in str(error):  # an hour, say, that the interval never hits
            raise


def compare(text: str, dtstart: datetime, after: datetime, count: int) -> Counter[str]:
    """Both lists of slots, in a zone that is always UTC; returns the names that were needed."""
    needed: Counter[str] = Counter()
    try:
        schedule = RRule(text, "UTC", dtstart.isoformat())
    except ValidationError as error:
        if f"{SEARCH_YEARS} years" not in error.allowed:
            raise
        # dateutil goes to the end of the calendar to find nothing, and that takes seconds.
        assert not FULL or list(islice(of_dateutil(text, dtstart, after), 1)) == []
        return needed
    slots = schedule.between(after.replace(tzinfo=UTC), FAR_OFF)
    found = [slot.replace(tzinfo=None) for slot in islice(slots, count)]
    # As far as habeat's go, so that dateutil need not go on to the end of the calendar.
    end = found[-1] if len(found) == count else FAR_OFF.replace(tzinfo=None)
    expected = list(takewhile(lambda slot: slot <= end, of_dateutil(text, dtstart, after)))
    for name, (concerned, may_differ) in EXPLAINED.items():
        if found != expected and concerned(text):
            needed[name] += 1
            found, expected = (
                [slot for slot in slots if not may_differ(slot, dtstart)]
                for slots in (found, expected)
            )
    assert found == expected, f"{text} from {dtstart}, after {after}"
    return needed


@pytest.mark.parametrize("n", range(400 if FULL else 40))
def test_rules_by_days(n: int) -> None:
    for m in range(5):
        chance = Random(f"days {n} {m}")
        text, dtstart = rule(chance), beginning(chance)
        # From the beginning, and from later, where habeat does not walk.
        later = dtstart + timedelta(days=chance.choice((0, 40, 400, 3000)))
        compare(text, dtstart, later - timedelta(seconds=1), 40)


@pytest.mark.parametrize("n", range(400 if FULL else 15))
def test_rules_by_hours_minutes_or_seconds(n: int) -> None:
    for m in range(4):
        chance = Random(f"units {n} {m}")
        text, dtstart = rule_by_units(chance), beginning(chance)
        later = dtstart + timedelta(minutes=chance.choice((0, 90, 2000)))
        compare(text, dtstart, later - timedelta(seconds=1), 40)


def beginning(chance: Random) -> datetime:
    return datetime(2012, 1, 1) + timedelta(seconds=chance.randrange(12 * 365 * 86_400))


@pytest.mark.parametrize("ending", ["COUNT=1", "COUNT=17", "UNTIL=20270301T101500"])
@pytest.mark.parametrize("n", range(100 if FULL else 15))
def test_rules_that_end(n: int, ending: str) -> None:
    chance = Random(f"ending {n}")
    text, dtstart = f"{rule(chance)};{ending}", beginning(chance)
    try:
        schedule = RRule(text, "UTC", dtstart.isoformat())
    except ValidationError:
        assert list(islice(of_dateutil(text, dtstart, dtstart - A_SECOND), 1)) == []
        return
    found = [slot.replace(tzinfo=None) for slot in schedule.between(LONG_AGO, FAR_OFF)]
    expected = list(of_dateutil(text, dtstart, dtstart - A_SECOND))
    if not any(concerned(text) for concerned, _ in EXPLAINED.values()):
        assert found == expected
    assert schedule.next_after(FAR_OFF) is None


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_become_instants_by_the_rules_of_the_design(zone: str) -> None:
    """dateutil's local times around every change, each looked up in the zone by itself."""
    chance = Random(f"zone {zone}")
    every = [*changes(zone), *changes(zone, *APIA)]
    for change in every if FULL else chance.sample(every, min(len(every), 4)):
        start, end = around(change, chance)
        begin = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - timedelta(days=1)
        for freq in ("DAILY", "HOURLY", "MINUTELY"):
            interval = chance.choice((4, 7, 90) if freq == "MINUTELY" else (1, 2, 5))
            hours = f";BYHOUR={numbers(chance, 0, 4)}" if freq == "DAILY" else ""
            text, until = f"FREQ={freq};INTERVAL={interval}{hours}", begin + timedelta(days=8)
            local = rrulestr(f"{text};UNTIL={until:%Y%m%dT%H%M%S}", dtstart=begin)
            expected = {
                instant
                for slot in local
                for instant in instants(slot, zone, both=freq != "DAILY")
                if start < instant <= end
            }
            schedule = RRule(text, zone, begin.isoformat())
            assert slots_ms(schedule.next_after_ms, start, end) == sorted(map(ms, expected))


def instants(local: datetime, zone: str, *, both: bool) -> list[datetime]:
    """When a local time is: never, once or twice; a fixed one that is missing, after the gap."""
    aware = [local.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    passes = [at.astimezone(UTC) for at in aware]
    if passes[0] < passes[1]:
        return passes if both else passes[:1]
    if passes[0] == passes[1]:
        return passes[:1]
    near = changes(zone, passes[1] - timedelta(days=2), passes[0] + timedelta(days=2))
    naive = [(c.at.replace(tzinfo=None), c) for c in near]
    ends = [c.at for at, c in naive if at + c.before <= local < at + c.after]
    assert len(ends) == 1
    return [] if both else ends


def test_every_name_has_a_difference() -> None:
    needed: Counter[str] = Counter()
    for text in ("FREQ=WEEKLY;BYDAY=MO,SU;BYSETPOS=2", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SA"):
        needed += compare(text, datetime(2020, 1, 29, 9), datetime(2020, 1, 29), 40)
    needed += compare(
        "FREQ=WEEKLY;BYDAY=MO,SU;BYSETPOS=2", datetime(2024, 8, 18, 9), datetime(2024, 8, 1), 40
    )
    assert set(needed) == set(EXPLAINED)


def test_what_dateutil_reads_in_another_way_is_refused_or_read_by_rfc_5545() -> None:
    dtstart = datetime(2026, 1, 1, 9)
    every_monday = list(islice(rrulestr("FREQ=WEEKLY;BYDAY=1MO", dtstart=dtstart), 3))
    assert [slot.day for slot in every_monday] == [5, 12, 19]
    with pytest.raises(ValidationError, match="numbers such as 1MO only"):
        RRule("FREQ=WEEKLY;BYDAY=1MO", "UTC", dtstart.isoformat())
    neither = rrulestr("FREQ=MONTHLY;BYDAY=FR,1MO;UNTIL=20270101", dtstart=dtstart)
    assert list(neither) == []
    both = RRule("FREQ=MONTHLY;BYDAY=FR,1MO", "UTC", dtstart.isoformat())
    found = both.between(LONG_AGO, datetime(2026, 2, 1, tzinfo=UTC))
    assert [slot.day for slot in found] == [2, 5, 9, 16, 23, 30]
