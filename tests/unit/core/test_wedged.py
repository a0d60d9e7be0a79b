"""A standby takes the lease from a leader that ticks and sends nothing, and from no other."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.core.firing import Outcome
from habeat.core.health import STALLED_AFTER_MS, HealthFacts, Recorded
from habeat.core.wedged import LOOKS_APART_MS, OVERDUE_AT_LEAST, WEDGED_AFTER_MS, Suspicion

START_MS = 1_800_000_000_000
STEP_MS = 2_000


def facts(at_ms: int, **given: Any) -> HealthFacts:
    due = [("a", START_MS - 9_000), ("b", START_MS - 9_000)]
    found: dict[str, Any] = {
        "leader": "alpha pid 1",
        "last_tick_ms": at_ms - 300,
        "overdue": due,
        "overdue_count": OVERDUE_AT_LEAST,
        **given,
    }
    return HealthFacts(now_ms=at_ms, **found)


def watched(step_ms: int = STEP_MS, looks: int = 9, **given: Any) -> Suspicion:
    suspicion = Suspicion()
    for look in range(looks):
        suspicion = suspicion.after("7:a", facts(START_MS + look * step_ms, **given))
    return suspicion


def test_it_takes_some_time() -> None:
    looks = WEDGED_AFTER_MS // STEP_MS + 1
    assert watched(looks=looks).is_wedged(reaches_broker=True)
    assert not watched(looks=looks - 1).is_wedged(reaches_broker=True)


def test_a_standby_that_does_not_reach_the_broker_takes_nothing() -> None:
    assert not watched().is_wedged(reaches_broker=False)


@pytest.mark.parametrize(
    "given",
    [
        {"overdue_count": OVERDUE_AT_LEAST - 1},
        {"last_tick_ms": START_MS - 300},  # it hangs: its lease ends on its own
        {"newest": [Recorded("c", Outcome.FAILED, "", START_MS + 20_000 - STALLED_AFTER_MS)]},
        {"leader_since_ms": START_MS + 15_000},
    ],
)
def test_what_is_no_proof(given: dict[str, Any]) -> None:
    assert watched().is_wedged(reaches_broker=True)
    assert not watched(**given).is_wedged(reaches_broker=True)


def test_looks_that_are_far_apart_prove_nothing() -> None:
    assert not watched(step_ms=LOOKS_APART_MS + 1).is_wedged(reaches_broker=True)
    assert watched(step_ms=LOOKS_APART_MS).is_wedged(reaches_broker=True)


def test_another_holder_is_watched_from_the_start() -> None:
    suspicion = watched().after("9:b", facts(START_MS + 20_000))
    assert not suspicion.is_wedged(reaches_broker=True)
    free = watched().after("", facts(START_MS + 20_000))
    assert not free.is_wedged(reaches_broker=True)
