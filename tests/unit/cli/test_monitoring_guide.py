"""What the monitoring guide shows of `status` and `history` is what the commands print."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from habeat.cli import tables
from habeat.cli.printing import pairs
from habeat.cli.records import Wanted
from habeat.cli.watching import _rows
from habeat.client import Event, EventReplica, LedgerRecord
from habeat.core.lease import Token
from tests import DOCS
from tests.unit.client.test_status import NOW_MS, NOW_US, status

COLUMNS = 96
SHOWN = {
    name: text.partition("```")[0]
    for name, text in (
        block.split("\n", 1)
        for block in (DOCS / "guides" / "monitoring.md")
        .read_text()
        .split("```console\n$ celery -A proj habeat ")[1:]
    )
}


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_status_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    leader = {
        "host": "web-1",
        "pid": 812,
        "dispatch": "atomic",
        "dispatch_why": "schedule and broker are one Redis (broker database 0)",
        "skew_ms": 1,
    }
    found = status(
        meta={
            "leader_since": str(NOW_US - 11_000_000_000),
            "leader_cause": "crash",
            "claimed": "4210",
            "settled": "4210",
        },
        holder=Token(1_799_989_000_123, "n1"),
        pttl_ms=5_400,
        replicas={"n1": leader, "n2": {"host": "web-2", "pid": 797}},
        seen_ms={"n1": NOW_MS, "n2": NOW_MS},
        next_due=("refresh-cache", NOW_MS + 219_000),
        scheduled=4,
    )
    pairs([*_rows(found), ("Redis", "redis://redis.internal:6379/0, keys habeat:proj")])
    assert SHOWN["status"] == capsys.readouterr().out


def record(entry: str, slot: str, outcome: Any, reason: str = "", **more: Any) -> LedgerRecord:
    at = datetime.fromisoformat(f"2027-01-15T{slot}").replace(tzinfo=UTC)
    given: dict[str, Any] = {"count": 1, "lateness_ms": None, "attempt": 1, "until": at, **more}
    return LedgerRecord(
        entry=entry, slot=at, outcome=outcome, reason=reason, at=at, lease_epoch=1, **given
    )


def test_the_history_that_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "terminal_columns", lambda: COLUMNS)
    one, other = "a1d2a5e3-5d01-5717-96c0-35c124268cdc", "89d56254-39fa-5d6a-a0b8-7ae8a13c8683"
    until = datetime(2027, 1, 15, 7, 48, 39, tzinfo=UTC)
    caught_up = {"lateness_ms": 92_000, "task_id": other}
    records = [
        record("refresh-cache", "07:58:39", "sent", lateness_ms=2, task_id=one),
        record("weekly-report", "07:55:00", "skipped", "paused"),
        record("refresh-cache", "07:53:39", "late", "misfire: latest", **caught_up),
        record("refresh-cache", "07:38:39", "missed", "misfire: latest", count=3, until=until),
    ]
    gone = EventReplica("aa", "web-2", 797, 5)
    led = Event(
        id="2-0",
        at=datetime(2027, 1, 15, 7, 53, 37, tzinfo=UTC),
        code="leader_acquired",
        entry=None,
        by=EventReplica("bb", "web-1", 812, 6),
        since=datetime(2027, 1, 15, 7, 53, 36, 100_000, tzinfo=UTC),
        until=datetime(2027, 1, 15, 7, 53, 37, tzinfo=UTC),
        cause="crash",
        detail="",
        previous=gone,
    )
    items = [*records[:3], led, *records[3:]]
    wanted = Wanted(None)
    wanted.table().print(wanted.rows(items, datetime(2027, 1, 15, 8, tzinfo=UTC)))
    assert SHOWN["history --since 30m"] == capsys.readouterr().out
