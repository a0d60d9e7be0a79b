"""Which outcomes of a slot break its entry's `start_by`."""

from __future__ import annotations

import pytest

from habeat.core.firing import Outcome
from habeat.core.promises import BrokenPromise, is_broken

START_BY_MS = 5_000


@pytest.mark.parametrize(
    ("outcome", "reason", "late_ms", "broken"),
    [
        (Outcome.SENT, "", 900, False),
        (Outcome.LATE, "", 5_000, False),
        (Outcome.LATE, "", 5_001, True),
        (Outcome.LATE, "misfire: latest", 60_000, True),
        (Outcome.MISSED, "misfire: skip", 0, True),
        (Outcome.MISSED, "history lost", 0, True),
        (Outcome.FAILED, "it cannot be built", 0, True),
        (Outcome.SKIPPED, "expired", 0, True),
        (Outcome.SKIPPED, "paused", 0, False),
        (Outcome.SKIPPED, "edited", 0, False),
        (Outcome.SUPPRESSED, "", 0, False),
        (Outcome.AMBIGUOUS, "", 0, False),
        (Outcome.NOTE, "left again", 9_000, False),
        (Outcome.SHADOW, "", 9_000, False),
    ],
)
def test_a_promise_is_broken_by_a_slot_that_was_late_or_never_fires(
    outcome: Outcome, reason: str, late_ms: int, broken: bool
) -> None:
    assert is_broken(outcome, reason, late_ms, START_BY_MS) is broken


@pytest.mark.parametrize(
    ("outcome", "reason", "late_ms", "sentence"),
    [
        (None, "", 61_234, "has not been sent for 61.2 s"),
        (Outcome.LATE, "", 7_000, "was sent 7.0 s late"),
        (Outcome.MISSED, "history lost", 0, "does not fire: missed (history lost)"),
        (Outcome.FAILED, "", 0, "does not fire: failed"),
    ],
)
def test_the_sentence_says_what_happened(
    outcome: Outcome | None, reason: str, late_ms: int, sentence: str
) -> None:
    broken = BrokenPromise("a", 1, 1, 1, START_BY_MS, outcome, reason, late_ms)
    assert broken.sentence == sentence
