"""A schedule that no leader can afford is refused at the call, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from habeat.core.entry import Entry
from habeat.entries.affordable import LONGEST_MS, SLOTS, check_affordable
from habeat.errors import HabeatError, ScheduleTooExpensive, ValidationError
from habeat.schedules import Interval, RRule, Schedule, cron
from tests.unit.engine.world import FakeClock

NOW_MS = 1_795_900_000_000


def entry(schedule: Schedule) -> Entry:
    return Entry(name="a", task="t", schedule=schedule)


@dataclass(frozen=True, repr=False)
class Own(Interval):
    """A registered kind; each answer is preceded by something."""

    before: Callable[[], Any] = lambda: None

    def next_after_ms(self, after_ms: int) -> int | None:
        self.before()
        return super().next_after_ms(after_ms)


def test_an_ordinary_schedule_is_affordable() -> None:
    assert check_affordable(entry(Interval(1_000, 0)), NOW_MS) == NOW_MS + 1_000
    assert check_affordable(entry(cron("0 0 29 2 1", tz="Europe/Berlin")), NOW_MS) is not None


def test_slots_far_apart_that_are_each_just_affordable_are_not_together() -> None:
    """One slot in some two generations: found within the budget, five of them are not."""
    rare = "FREQ=YEARLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"
    schedule = RRule(rare, "UTC", "2026-01-05T09:00:00")
    assert schedule.next_after_ms(NOW_MS) is not None
    with pytest.raises(ScheduleTooExpensive, match=r"entry 'a'.*steps"):
        check_affordable(entry(schedule), NOW_MS)


@pytest.mark.parametrize("slow_times", [1, 2])
def test_a_kind_of_ones_own_is_refused_if_it_is_slow_twice(slow_times: int) -> None:
    clock = FakeClock()
    asked: list[int] = []

    def before() -> None:
        asked.append(1)
        if len(asked) <= slow_times * SLOTS:
            clock.advance(LONGEST_MS / SLOTS + 1)

    schedule = Own(1_000, 0, before=before)
    if slow_times == 1:
        assert check_affordable(entry(schedule), NOW_MS, clock.monotonic_us) == NOW_MS + 1_000
    else:
        with pytest.raises(ScheduleTooExpensive, match="entry 'a'"):
            check_affordable(entry(schedule), NOW_MS, clock.monotonic_us)


def test_a_kind_that_raises_is_refused_by_name() -> None:
    def before() -> None:
        raise ZeroDivisionError

    with pytest.raises(ValidationError, match=r"entry 'a'.*ZeroDivisionError") as caught:
        check_affordable(entry(Own(1_000, 0, before=before)), NOW_MS)
    assert isinstance(caught.value, HabeatError)
