"""Catch-up at the exact slot, millisecond or count where one rule ends and the next begins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.catchup import plan
from habeat.core.data_loss import Loss
from habeat.core.entry import Entry, Misfire, Policies
from habeat.core.firing import Firing
from habeat.schedules import Interval
from tests.unit.core.test_catchup import outline

SECOND_MS = 1_000
NOW_MS = 1_750_000_000_000
GRACE_MS = 5_000


def planned(
    misfire: Misfire = Misfire.LATEST,
    *,
    behind_ms: int = 10_000,
    now_ms: int = NOW_MS,
    lost_ms: int = 0,
    fired: int = 0,
    entry: Entry | None = None,
    **policies: int,
) -> list[tuple[str, int, int]]:
    """What becomes of an entry of one second: (what, first slot from NOW_MS, how many)."""
    of = entry or Entry("e", "t", Interval(SECOND_MS, 0))
    chosen = replace(Policies(misfire=misfire, misfire_grace_ms=GRACE_MS), **policies)  # type: ignore[arg-type]
    return outline(
        plan(
            of,
            chosen,
            cursor_ms=NOW_MS - behind_ms,
            now_ms=now_ms,
            loss=Loss(lost_ms, lost_ms),
            fired=fired,
        )
    )


def fires(*slots_ms: int) -> list[tuple[str, int, int]]:
    return [("fire ", slot_ms, 1) for slot_ms in slots_ms]


def test_the_slot_of_this_very_millisecond_fires_and_the_next_one_does_not() -> None:
    assert planned(behind_ms=SECOND_MS) == fires(0)
    assert planned(behind_ms=SECOND_MS, now_ms=NOW_MS - 1) == []


def test_the_slot_at_the_cursor_has_been_dealt_with() -> None:
    assert planned(behind_ms=0) == []


def test_the_slot_at_the_moment_of_a_loss_belongs_to_the_lost_timeline() -> None:
    found = planned(behind_ms=4_000, lost_ms=NOW_MS - 2_000)
    assert found == [("history lost", -3_000, 2), *fires(-1_000, 0)]
    found = planned(behind_ms=4_000, lost_ms=NOW_MS - 2_001)
    assert found == [("history lost", -3_000, 1), *fires(-2_000, -1_000, 0)]


def test_a_lone_slot_at_the_moment_of_a_loss_belongs_to_the_lost_timeline_too() -> None:
    found = planned(behind_ms=3_000, lost_ms=NOW_MS - 2_000)
    assert found == [("history lost", -2_000, 1), *fires(-1_000, 0)]


def test_one_millisecond_beyond_the_grace_is_a_misfire() -> None:
    found = planned(Misfire.SKIP, behind_ms=6_000, now_ms=NOW_MS + 1)
    assert found == [("misfire: skip", -5_000, 1), *fires(-4_000, -3_000, -2_000, -1_000, 0)]
    found = planned(Misfire.LATEST, behind_ms=6_000, now_ms=NOW_MS + 1)
    assert found[0] == ("fire latest", -5_000, 1)


@pytest.mark.parametrize(
    ("misfire", "older"),
    [
        (Misfire.SKIP, [("misfire: skip", -9_000, 4)]),
        (Misfire.LATEST, [("misfire: latest", -9_000, 3), ("fire latest", -6_000, 1)]),
        (Misfire.ALL, [("fire all", -1_000 * n, 1) for n in (9, 8, 7, 6)]),
    ],
)  # fmt: skip
def test_the_grace_ends_with_its_last_millisecond(
    misfire: Misfire, older: list[tuple[str, int, int]]
) -> None:
    assert planned(misfire) == [*older, *fires(-5_000, -4_000, -3_000, -2_000, -1_000, 0)]


def test_the_newest_misfires_are_kept_exactly_to_the_limit() -> None:
    for keep in range(6):
        found = planned(Misfire.ALL, misfire_limit=keep)
        assert [slot for what, slot, _ in found if what == "fire all"] == [
            -5_000 - SECOND_MS * n for n in range(min(keep, 4), 0, -1)
        ]
        assert sum(count for what, _, count in found if what == "misfire: limit") == 4 - min(
            keep, 4
        )


def test_the_window_begins_with_its_first_millisecond() -> None:
    found = planned(Misfire.ALL, misfire_window_ms=8_000)
    assert found[:2] == [("misfire: window", -9_000, 1), ("fire all", -8_000, 1)]
    found = planned(Misfire.ALL, misfire_window_ms=7_999)
    assert found[:2] == [("misfire: window", -9_000, 2), ("fire all", -7_000, 1)]


@pytest.mark.parametrize("fired", [0, 1, 2, 3, 4])
def test_within_one_plan_it_runs_as_often_as_it_may_and_no_more(fired: int) -> None:
    limited = Entry("e", "t", Interval(SECOND_MS, 0), max_runs=3)
    found = planned(behind_ms=5_000, entry=limited, fired=fired)
    assert len(found) == max(0, 3 - fired)


@pytest.mark.parametrize("misfire", list(Misfire))
def test_a_slot_whose_offset_brings_it_into_the_grace_is_no_misfire(misfire: Misfire) -> None:
    """The slot itself lies beyond the grace, its effective time does not."""
    of = Entry("e", "t", Interval(60_000, 0), jitter_ms=30_000)
    slot_ms = next(
        slot
        for slot in range(NOW_MS // 60_000 * 60_000, NOW_MS + 10**7, 60_000)
        if of.effective_ms(slot) - slot > 10
    )
    steps = plan(
        of,
        Policies(misfire=misfire, misfire_grace_ms=GRACE_MS),
        cursor_ms=slot_ms - 120_000,
        now_ms=of.effective_ms(slot_ms) + GRACE_MS,
    )
    last = steps[-1].what
    assert isinstance(last, Firing)
    assert (last.slot_ms, last.misfire) == (slot_ms, "")
    assert len(steps) == 2
