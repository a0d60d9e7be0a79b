"""The checker of a switch finds the errors that it is meant to find."""

from __future__ import annotations

import pytest

from tests.system.migrate.runs import Left, Runs, problems

#: Every 3 s; the other beat ran it twice, the last time at 9 s.
LEFT = Left(9_000, 2, lambda at_ms: at_ms + 3_000)
THEIRS = [6_000, 9_000]
GOOD = [12_000, 15_000, 18_000]


def found(theirs: list[int], slots: list[int], left: Left = LEFT) -> list[str]:
    return list(problems({"e": Runs(theirs, slots)}, {"e": left}, 19_000))


def test_a_good_cut_has_no_problems() -> None:
    assert found(THEIRS, GOOD) == []
    assert found(THEIRS, [*GOOD, 21_000]) == [], "a slot after the end of the test"


@pytest.mark.parametrize(
    ("slots", "what"),
    [
        (GOOD[1:], "missed [12000]"),
        (GOOD[:-1], "missed [18000]"),
        ([], "missed [12000, 15000, 18000]"),
        ([*GOOD, 15_000], "sent twice"),
        ([9_000, *GOOD], "no slots after"),
        ([*GOOD, 16_000], "no slots after"),
    ],
)
def test_a_slot_that_is_missed_doubled_or_foreign_is_found(slots: list[int], what: str) -> None:
    [problem] = found(THEIRS, slots)
    assert what in problem


def test_a_run_that_the_other_beat_did_not_count_is_found() -> None:
    assert "counts 2 runs, and 3 were noted" in found([*THEIRS, 9_001], GOOD)[0]


def test_an_entry_that_must_not_run_is_found() -> None:
    off = Left(None, 0, LEFT.following)
    assert found([], [], off) == []
    assert "no slots after" in found([], [12_000], off)[0]


def test_only_the_one_run_that_a_stop_may_lose_is_let_pass() -> None:
    assert found(THEIRS[:1], GOOD) == []
    two = {"a": Runs(THEIRS[:1], GOOD), "b": Runs(THEIRS[:1], GOOD)}
    assert len(list(problems(two, {"a": LEFT, "b": LEFT}, 19_000))) == 2
