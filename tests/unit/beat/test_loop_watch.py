"""A loop that hangs is distinguished from one that waits, and from a process that was stopped."""

from __future__ import annotations

from habeat.beat.loop_watch import HANGS_AFTER_MS, SUSPENDED_MS, LoopWatch


def watched(marks: list[int], step_ms: int = 1_000) -> LoopWatch:
    watch = LoopWatch()
    for at, mark in enumerate(marks):
        watch = watch.after(1_000_000 + at * step_ms, (mark, 0))
    return watch


def test_a_loop_that_goes_on_does_not_hang() -> None:
    assert not watched(list(range(20))).hangs
    assert not watched([1] * (HANGS_AFTER_MS // 1_000)).hangs


def test_one_that_stands_still_hangs_until_it_goes_on() -> None:
    still = [1] * (HANGS_AFTER_MS // 1_000 + 1)
    assert watched(still).hangs
    assert not watched([*still, 2]).hangs


def test_a_process_that_was_stopped_as_a_whole_did_not_hang() -> None:
    assert not watched([1] * 4, step_ms=SUSPENDED_MS + 1).hangs
