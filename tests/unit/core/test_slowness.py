"""Which message took too long, judged by the messages of other entries."""

from __future__ import annotations

import pytest

from habeat.core.slowness import KEPT, LATELY_US, SLOW_US, TIMES, Durations, Speed

NOW_US = 10**12
QUICK_US = 1_000


def among(*others_us: int) -> Durations:
    durations = Durations()
    for number, took_us in enumerate(others_us):
        durations.note(f"other{number}", took_us, NOW_US)
    return durations


@pytest.mark.parametrize(
    ("took_us", "speed"),
    [
        (QUICK_US, Speed.FINE),
        (SLOW_US, Speed.FINE),
        (SLOW_US + 1, Speed.SLOW),
        (60_000_000, Speed.SLOW),
    ],
)
def test_it_is_slow_above_the_limit_among_quick_ones(took_us: int, speed: Speed) -> None:
    assert among(QUICK_US, QUICK_US).judge("a", took_us, NOW_US) is speed


def test_where_all_are_slow_no_entry_is() -> None:
    durations = among(*[SLOW_US] * 5)
    assert durations.judge("a", 2 * SLOW_US, NOW_US) is Speed.ALL_SLOW


def test_it_has_to_be_many_times_slower_than_the_others() -> None:
    durations = among(SLOW_US // 10, SLOW_US // 10)
    limit_us = TIMES * SLOW_US // 10
    assert durations.judge("a", limit_us, NOW_US) is Speed.ALL_SLOW
    assert durations.judge("a", limit_us + 1, NOW_US) is Speed.SLOW


@pytest.mark.parametrize(
    ("quick", "slow", "speed"),
    [(1, 1, Speed.SLOW), (1, 3, Speed.SLOW), (1, 4, Speed.ALL_SLOW), (5, 15, Speed.SLOW)],
)
def test_a_quarter_of_the_others_that_are_quick_is_enough(
    quick: int, slow: int, speed: Speed
) -> None:
    durations = among(*[QUICK_US] * quick, *[2 * SLOW_US] * slow)
    assert durations.judge("a", 2 * SLOW_US, NOW_US) is speed


def test_each_other_entry_counts_once_however_often_it_fires() -> None:
    durations = among(QUICK_US)
    for _ in range(50):
        durations.note("often", 2 * SLOW_US, NOW_US)
    assert durations.judge("a", 2 * SLOW_US, NOW_US) is Speed.SLOW


def test_without_waiting_no_entry_is_slow() -> None:
    durations = Durations()
    durations.note("a", QUICK_US, NOW_US)
    assert durations.judge("a", 2 * SLOW_US, NOW_US) is Speed.FINE, "its own do not count"
    durations.note("b", QUICK_US, NOW_US)
    assert durations.judge("a", 2 * SLOW_US, NOW_US) is Speed.SLOW
    later_us = NOW_US + LATELY_US + 1
    assert durations.judge("a", 2 * SLOW_US, later_us) is Speed.FINE, "what is long ago does not"


def test_what_is_remembered_is_bounded() -> None:
    durations = Durations()
    for number in range(3 * KEPT):
        durations.note(f"e{number}", QUICK_US, NOW_US)
    assert len(durations._last) == KEPT
