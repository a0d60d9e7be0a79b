"""Which slot an instant means, by the present definition."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

import habeat
from habeat.client.explanation.which_slot import last_slot_ms, next_slot_ms
from habeat.core.entry import Entry
from habeat.schedules import Schedule
from habeat.schedules.custom import Code

DAY_MS = 86_400_000
FROM_MS = 1_790_000_000_000

SCHEDULES: list[Schedule] = [
    habeat.every(7, offset=3),
    habeat.every(3_600, align="epoch"),
    habeat.cron("*/7 8-17 * * mon-fri", tz="Europe/Berlin"),
    habeat.cron("30 2 * * *", tz="Europe/Berlin"),
    habeat.cron("0 3 1 * *", tz="UTC"),
]


@given(st.sampled_from(SCHEDULES), st.integers(0, 400 * DAY_MS))
def test_the_last_slot_is_the_one_that_the_next_one_follows(schedule: Schedule, at: int) -> None:
    entry = Entry("e", "t", schedule)
    last_ms = last_slot_ms(entry, FROM_MS + at)
    assert last_ms is not None
    assert last_ms <= FROM_MS + at
    assert entry.next_slot_ms(last_ms - 1) == last_ms
    following_ms = next_slot_ms(entry, last_ms)
    assert following_ms is not None
    assert following_ms > FROM_MS + at


def test_a_slot_is_its_own_last_one() -> None:
    entry = Entry("e", "t", SCHEDULES[0])
    slots = [FROM_MS]
    while len(slots) < 20:
        slots.append(entry.next_slot_ms(slots[-1]) or 0)
    for earlier_ms, slot_ms in pairwise(slots[1:]):
        assert last_slot_ms(entry, slot_ms) == slot_ms
        assert last_slot_ms(entry, slot_ms - 1) == earlier_ms


def test_before_the_first_and_for_schedules_of_code_there_is_none() -> None:
    begins = Entry("e", "t", SCHEDULES[1], start_ms=FROM_MS)
    assert last_slot_ms(begins, FROM_MS - 1) is None
    assert last_slot_ms(Entry("e", "t", Code("proj.Tides()")), FROM_MS) is None
