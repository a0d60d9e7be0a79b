"""Requests: which firings of one go now, and what is left of it after each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.entry import Entry
from habeat.core.request import Request
from habeat.schedules import Interval

NOW_MS = 1_750_000_000_000
ENTRY = Entry("a", "task", Interval(1_000, 0), args=(1,), kwargs={"k": 1})


def backfill(slots: int, **other: object) -> Request:
    """The `slots` seconds up to a moment long past."""
    end_ms = NOW_MS - 3_600_000
    request = Request("backfill", "a", NOW_MS, cursor_ms=end_ms - slots * 1_000, end_ms=end_ms)
    return replace(request, **other)  # type: ignore[arg-type]


def slots_of(request: Request | None, now_ms: int = NOW_MS) -> list[int]:
    """The slots that go at this moment, counted back from the last."""
    if request is None:
        return []
    return [(f.slot_ms - request.end_ms) // 1_000 for f, _ in request.firings(ENTRY, "r", now_ms)]


def test_a_trigger_is_one_firing_now_and_nothing_is_left() -> None:
    ((firing, left),) = Request("trigger", "a", NOW_MS - 9).firings(ENTRY, "r", NOW_MS)
    assert (firing.slot_ms, firing.effective_ms) == (NOW_MS - 9, NOW_MS)
    assert (firing.request, firing.asked) == ("r", "trigger")
    assert left is None


@pytest.mark.parametrize(("pace", "burst"), [(0.5, 1), (1.0, 1), (10.0, 1), (50.0, 5), (100, 10)])
def test_a_backfill_goes_in_bursts_at_its_pace(pace: float, burst: int) -> None:
    request = backfill(100, pace=pace)
    found = list(request.firings(ENTRY, "r", NOW_MS))
    assert len(found) == burst
    left = found[-1][1]
    assert left is not None
    assert left.not_before_ms - NOW_MS == round(burst * 1_000 / pace)
    assert slots_of(left, left.not_before_ms - 1) == []
    assert len(slots_of(left, left.not_before_ms)) == burst


def test_a_whole_backfill_is_each_slot_once_in_order_the_last_one_included() -> None:
    left: Request | None = backfill(23, pace=50.0)
    now_ms, slots = NOW_MS, []
    while left is not None:
        steps = list(left.firings(ENTRY, "r", now_ms))
        slots += [(firing.slot_ms - left.end_ms) // 1_000 for firing, _ in steps]
        left = steps[-1][1]
        now_ms = left.not_before_ms if left else now_ms
    assert slots == list(range(-22, 1))


def test_what_is_left_continues_behind_the_slot_that_fired() -> None:
    ((firing, left),) = backfill(3).firings(ENTRY, "r", NOW_MS)
    assert left is not None
    assert left.cursor_ms == firing.slot_ms
    assert (left.end_ms, left.entry, left.kind) == (backfill(3).end_ms, "a", "backfill")


def test_a_request_for_no_slots_fires_none() -> None:
    assert slots_of(backfill(0)) == []
    assert backfill(0).next_slot_ms(ENTRY) is None
    ended = replace(ENTRY, end_ms=NOW_MS - 10_000_000)
    assert backfill(5).next_slot_ms(ended) is None


def test_arguments_of_a_request_take_the_place_of_the_entrys() -> None:
    coded = replace(ENTRY, from_code=("args", "schedule"))
    assert Request("trigger", "a", 0).applied(coded) is coded
    changed = Request("trigger", "a", 0, args=(), kwargs={"other": 2}).applied(coded)
    assert (changed.args, changed.kwargs) == ((), {"other": 2})
    assert changed.from_code == ("schedule",)
    assert Request("trigger", "a", 0, kwargs={}).applied(ENTRY).args == (1,)
