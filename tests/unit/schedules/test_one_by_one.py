"""Single slots at edge cases, written out: a property test may miss them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from habeat.schedules import Cron, Crontab, Interval, Run, Schedule
from habeat.schedules.wallclock import WallClock
from habeat.schedules.zone import zone_named

BERLIN = "Europe/Berlin"


def ms(*instant: int) -> int:
    return int(datetime(*instant, tzinfo=UTC).timestamp()) * 1_000  # type: ignore[misc, arg-type]


def slots(schedule: Schedule, first: int, last: int) -> list[str]:
    """The slots in (first, last] in UTC, as day and time."""
    found, at = [], schedule.next_after_ms(first)
    while at is not None and at <= last:
        found.append(f"{datetime.fromtimestamp(at / 1_000, UTC):%d %H:%M}")
        following = schedule.next_after_ms(at)
        assert following is None or following > at
        at = following
    return found


@pytest.mark.parametrize("kind", ["cron", "crontab"])
def test_a_time_that_exists_is_not_touched_by_the_gap_of_its_day(kind: str) -> None:
    """Spring 2026 in Berlin: from 02:00 to 03:00 on 29 March."""

    def at(hour: int, minute: int) -> Schedule:
        if kind == "cron":
            return Cron(f"{minute} {hour} * * *", tz=BERLIN)
        return Crontab(minute=minute, hour=hour, tz=BERLIN)

    begin, end = ms(2026, 3, 28, 0, 0), ms(2026, 3, 31, 0, 0)
    assert slots(at(12, 0), begin, end) == ["28 11:00", "29 10:00", "30 10:00"]
    assert slots(at(1, 59), begin, end) == ["28 00:59", "29 00:59", "29 23:59", "30 23:59"]
    assert slots(at(3, 0), begin, end) == ["28 02:00", "29 01:00", "30 01:00"]
    assert slots(at(3, 1), begin, end) == ["28 02:01", "29 01:01", "30 01:01"]


def test_each_missing_time_and_only_that_moves_to_the_end_of_the_gap() -> None:
    begin, end = ms(2026, 3, 28, 12, 0), ms(2026, 3, 29, 12, 0)
    for minute in (0, 30, 59):
        assert slots(Cron(f"{minute} 2 * * *", tz=BERLIN), begin, end) == ["29 01:00"]
    assert slots(Cron("30 2 * * 1", tz=BERLIN), begin, end) == []  # a Monday; that is a Sunday


def test_what_counts_elapsed_time_just_continues_over_the_gap() -> None:
    begin, end = ms(2026, 3, 28, 23, 0), ms(2026, 3, 29, 3, 0)
    expected = ["28 23:15", "29 00:15", "29 01:15", "29 02:15"]
    assert slots(Cron("15 * * * *", tz=BERLIN), begin, end) == expected
    assert slots(Crontab(minute="15", tz=BERLIN), begin, end) == expected


def test_counting_makes_up_no_slot_at_the_end_of_a_gap() -> None:
    begin, end = ms(2026, 3, 28, 0, 0), ms(2026, 3, 31, 0, 0)
    for expression, count in (("0 12 * * *", 3), ("30 2 * * *", 3), ("0 3 * * *", 3)):
        run = Cron(expression, tz=BERLIN).count_between(begin, end)
        assert run is not None
        assert run.count == count


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        ("auto", ["25 00:30", "26 01:30"]),
        ("first", ["25 00:30", "26 01:30"]),
        ("last", ["25 01:30", "26 01:30"]),
        ("both", ["25 00:30", "25 01:30", "26 01:30"]),
    ],
)
def test_a_fixed_time_in_the_repeated_hour(fold: str, expected: list[str]) -> None:
    """Autumn 2026 in Berlin: 02:00 to 03:00 comes twice on 25 October."""
    schedule = Cron("30 2 * * *", tz=BERLIN, fold=fold)  # type: ignore[arg-type]
    begin, end = ms(2026, 10, 24, 12, 0), ms(2026, 10, 26, 12, 0)
    assert slots(schedule, begin, end) == expected
    run = schedule.count_between(begin, end)
    assert run is not None
    assert run.count == len(expected)


@dataclass
class OneTime:
    """A rule of a single local second."""

    at_s: int
    interval_like: bool = False

    def after(self, local_s: int, /) -> int | None:
        return self.at_s if self.at_s > local_s else None


def test_a_rule_that_ends_in_the_first_pass_matches_in_the_second_again() -> None:
    local_s = ms(2026, 10, 25, 2, 30) // 1_000
    clock = WallClock(OneTime(local_s), zone_named(BERLIN), "shift", "both")
    first = clock.next_after_ms(ms(2026, 10, 24, 0, 0))
    assert first == ms(2026, 10, 25, 0, 30)
    assert clock.next_after_ms(first) == ms(2026, 10, 25, 1, 30)
    assert clock.next_after_ms(ms(2026, 10, 25, 1, 30)) is None


@pytest.mark.parametrize("offset_ms", [0, 300])
def test_a_run_of_an_interval_includes_its_last_instant_and_not_its_first(offset_ms: int) -> None:
    schedule, slot_ms = Interval(1_000, offset_ms), 50_000 + offset_ms
    assert schedule.count_between(slot_ms - 1_000, slot_ms) == Run(1, slot_ms, slot_ms)
    assert schedule.count_between(slot_ms, slot_ms + 999) is None
    assert schedule.count_between(slot_ms - 1_000, slot_ms - 1) is None
    assert schedule.count_between(slot_ms - 1, slot_ms) == Run(1, slot_ms, slot_ms)
    assert schedule.next_after_ms(slot_ms) == slot_ms + 1_000
    assert schedule.next_after_ms(slot_ms - 1) == slot_ms


@pytest.mark.parametrize(
    "schedule",
    [Interval(60_000, 0), Cron("* * * * *", tz=BERLIN), Crontab(tz=BERLIN)],
    ids=["interval", "cron", "crontab"],
)
def test_no_slot_follows_itself_and_no_minute_is_left_out(schedule: Schedule) -> None:
    """Over both changes of 2026, where an hour of local time is missing and one comes twice."""
    for begin in (ms(2026, 3, 28, 23, 0), ms(2026, 10, 24, 22, 0)):
        found, at = [begin], begin
        while at < begin + 8 * 3_600_000:
            following = schedule.next_after_ms(at)
            assert following is not None
            found.append(at := following)
        assert {other - one for one, other in pairwise(found)} == {60_000}
