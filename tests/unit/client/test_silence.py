"""`health` says within seconds that nothing is sent though something is due."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.client.silence import RECORDS_READ, SILENT_AFTER_MS, silence
from habeat.core.firing import Outcome
from habeat.store.inspection import Record

NOW_MS = 1_800_000_000_000
QUIET_MS = SILENT_AFTER_MS + 1_000


class Seen:
    """In place of Insight."""

    def __init__(self, *records: Record, overdue: int = 0, stuck: bool = False) -> None:
        self.records = list(records)
        self._overdue = overdue
        self.stuck = stuck
        self.asked = 0

    def newest(self, count: int) -> list[Record]:
        return self.records[:count]

    def overdue(self, before_ms: int) -> int:
        assert before_ms == NOW_MS - SILENT_AFTER_MS
        self.asked += 1
        return self._overdue

    def has_waited_in_flight(self, since_ms: int) -> bool:
        return self.stuck


def record(outcome: Outcome, ago_ms: int, reason: str = "") -> Record:
    at_ms = NOW_MS - ago_ms
    return Record("e", at_ms, outcome, reason, 1, at_ms, 1, 0, 1, at_ms)


def warning(seen: Any, in_flight: int = 0) -> str:
    return silence(seen, NOW_MS, in_flight)


SENT = record(Outcome.SENT, QUIET_MS)


def test_while_messages_leave_nothing_is_wrong() -> None:
    seen = Seen(record(Outcome.FAILED, 10), record(Outcome.SENT, 500), overdue=3, stuck=True)
    assert warning(seen, in_flight=5) == ""
    assert seen.asked == 0


@pytest.mark.parametrize("records", [(), (SENT,), (record(Outcome.LATE, QUIET_MS),)])
def test_quiet_is_no_silence_while_nothing_is_due(records: tuple[Record, ...]) -> None:
    assert warning(Seen(*records)) == ""


def test_what_is_due_and_not_sent() -> None:
    assert warning(Seen(SENT, overdue=2)) == (
        "nothing has been sent for 7 s, and 2 entries have been due for more than 6 s"
    )
    assert warning(Seen(overdue=1)).startswith("nothing has been sent, and 1")


def test_what_fails_again_and_again_is_due_in_the_future_each_time() -> None:
    seen = Seen(record(Outcome.FAILED, 100, "no list"), SENT)
    assert warning(seen).endswith("failed: entry 'e': no list")


def test_a_failure_before_the_last_message_or_long_ago_is_history() -> None:
    assert warning(Seen(SENT, record(Outcome.FAILED, QUIET_MS + 1))) == ""
    assert warning(Seen(record(Outcome.FAILED, 60_000), record(Outcome.SENT, 61_000))) == ""


def test_messages_that_the_broker_does_not_take() -> None:
    assert "2 messages in flight" in warning(Seen(SENT, stuck=True), in_flight=2)
    assert warning(Seen(SENT, stuck=False), in_flight=2) == ""


def test_a_flood_of_other_records_hides_nothing_and_tells_nothing() -> None:
    """When a message left last is then not known; only that none did since the oldest one read."""
    fresh = [record(Outcome.SKIPPED, 10)] * RECORDS_READ
    assert warning(Seen(*fresh, overdue=1)) == ""
    old = [record(Outcome.FAILED, 10)] * (RECORDS_READ - 1) + [record(Outcome.FAILED, QUIET_MS)]
    assert warning(Seen(*old, overdue=1)).startswith("nothing has been sent for 7 s")
