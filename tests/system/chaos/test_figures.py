"""The figures of a scenario, from a history of a few events."""

from __future__ import annotations

from tests.system.chaos.figures import figures
from tests.verification.history.checker import Verdict
from tests.verification.history.events import Fault, Kind


def test_a_loss_of_everything_has_no_length() -> None:
    events = [Fault(Kind.REDIS_EMPTIED, 0, 9_000_000), Fault(Kind.REDIS_DOWN, 7_000_000, 9_000_000)]
    found = figures(events, Verdict(), 1.0, {})["faults"]
    assert [fault["lasted_ms"] for fault in found] == [None, 2_000]
