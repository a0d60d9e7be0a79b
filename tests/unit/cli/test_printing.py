"""Tables that fit, times that are read at a glance, and JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

import habeat
from habeat.cli import printing
from habeat.client import Drift
from habeat.core.entry import Entry, EntryState, Misfire
from habeat.entries import spans

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


def test_distances() -> None:
    assert spans.relative(NOW + timedelta(minutes=4), NOW) == "in 4m"
    assert spans.relative(NOW - timedelta(seconds=12), NOW) == "12s ago"
    assert spans.relative(NOW + timedelta(milliseconds=900), NOW) == "now"
    assert printing.when(None, NOW) == "-"
    assert printing.full(None, NOW) == "never"


def test_a_near_time_has_no_date() -> None:
    near, far = NOW + timedelta(hours=1), NOW + timedelta(days=30)
    assert printing.short(near, NOW) == f"{near.astimezone():%H:%M:%S}"
    assert printing.short(far, NOW) == f"{far.astimezone():%Y-%m-%d %H:%M}"
    tomorrow, yesterday = NOW + timedelta(days=1), NOW - timedelta(days=1)
    assert printing.short(tomorrow, NOW) == f"{tomorrow.astimezone():%a %H:%M}"
    assert printing.short(yesterday, NOW) == f"{yesterday.astimezone():%Y-%m-%d %H:%M}"


def test_milliseconds_are_shown_where_there_are_any() -> None:
    assert printing.exact(NOW) == "2026-03-29 12:00:00"
    assert printing.exact(NOW + timedelta(milliseconds=50)) == "2026-03-29 12:00:00.050"


def test_a_text_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    printing.pairs([("a", "one\ntwo"), ("b", ["x\ny\x1b[2J"])])
    printing.say("one\rtwo")
    lines = ["a  one\\ntwo", "b  x\\ny\\x1b[2J", "one\\rtwo"]
    assert capsys.readouterr().out.splitlines() == lines


def test_pairs_of_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    printing.pairs([("a", ["one", "two"]), ("long", "")])
    assert capsys.readouterr().out == "a     one\n      two\nlong\n"


def test_json_of_what_a_client_returns(capsys: pytest.CaptureFixture[str]) -> None:
    state = EntryState(due_ms=1_000, paused="why")
    entry = Entry("ä", "t", habeat.every(60), (Decimal("1.5"),), misfire=Misfire.ALL, state=state)
    printing.say_json({"entry": entry, "rows": [Drift("a", 1, 2, 3, 4)], "day": date(2026, 1, 2)})
    said = json.loads(capsys.readouterr().out)
    assert said["entry"]["name"] == "ä"
    assert said["entry"]["args"] == ["1.5"]
    assert (said["entry"]["state"], said["entry"]["misfire"]) == ("paused", "all")
    assert said["entry"]["next_due"] == "1970-01-01T00:00:01.000Z"
    assert said["entry"]["schedule"]["kind"] == "interval"
    figures = {"count": 1, "p50_ms": 2, "p90_ms": 0, "p99_ms": 3, "max_ms": 4}
    assert said["rows"] == [{"entry": "a", **figures}]
    assert said["day"] == "2026-01-02"
