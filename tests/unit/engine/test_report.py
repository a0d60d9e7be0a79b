"""Waiting entries are reported with the time since when they wait, and only while they do."""

from __future__ import annotations

from habeat.engine.report import ATTEMPT_OVERDUE_MS, FAILED_FOR_MS, KEPT, Waits


def test_an_entry_waits_since_its_first_failure() -> None:
    waits = Waits()
    waits.note("a", "bad", now_ms=1_000, until_ms=2_000)
    waits.note("a", "worse", now_ms=2_010, until_ms=6_000)
    (found,) = waits.current(3_000).values()
    assert (found.why, found.since_ms, found.failed) == ("worse", 1_000, False)
    waits.over("a")
    assert not waits.current(3_000)


def test_an_entry_that_is_tried_no_more_does_not_wait_forever() -> None:
    waits = Waits()
    waits.note("a", "bad", now_ms=1_000, until_ms=2_000)
    assert waits.current(2_000 + ATTEMPT_OVERDUE_MS)
    assert not waits.current(2_001 + ATTEMPT_OVERDUE_MS)
    waits.note("a", "bad", now_ms=90_000, until_ms=91_000)
    assert waits.current(90_500)["a"].since_ms == 90_000


def test_a_failed_slot_is_reported_for_a_while() -> None:
    waits = Waits()
    waits.failed("a", "bad", now_ms=1_000)
    assert waits.current(FAILED_FOR_MS)["a"].failed
    assert not waits.current(2_000 + FAILED_FOR_MS + ATTEMPT_OVERDUE_MS)


def test_no_more_than_so_many_are_remembered() -> None:
    waits = Waits()
    for number in range(KEPT + 5):
        waits.note(f"e{number}", "bad", now_ms=1_000, until_ms=2_000)
    assert len(waits.current(1_000)) == KEPT
    assert "e0" not in waits.current(1_000)
