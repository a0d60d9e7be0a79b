"""Windows of lateness from a real ledger: `client.drift_report`, the command and the picture."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

import habeat
from habeat.cli.drift_chart import drift_svg
from habeat.client import Client
from habeat.client.drift import DAY_MS, HOUR_MS, DayOfLateness
from habeat.core.lateness import Lateness, bucket_of
from habeat.errors import EntryNotFound
from tests.integration.test_cli import Shell
from tests.integration.test_client import BASE, PREFIX
from tests.support.servers.redis_server import Server

#: entry, age in ms, lateness in ms
Firing = tuple[str, int, int]


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def sent(server: Server, now_ms: int, firings: Sequence[Firing], **more: object) -> None:
    """Write the records of these firings, as the leader does."""
    pipe = server.admin.pipeline(transaction=False)
    for number, (entry, age_ms, late_ms) in enumerate(sorted(firings, key=lambda each: -each[1])):
        at_ms = now_ms - age_ms
        fields = {"entry": entry, "slot": at_ms - late_ms, "outcome": "sent", "reason": ""}
        fields |= {"count": 1, "until": at_ms, "epoch": 1, "late": late_ms, "attempt": 1, **more}
        pipe.xadd(f"{BASE}ledger", {**fields, "prev": ""}, id=f"{at_ms}-{number}")  # type: ignore[dict-item]
    pipe.execute()


def now_ms(client: Client) -> int:
    return round(client.server_time().timestamp() * 1_000)


def test_the_hour_and_the_day_are_counted_from_the_ledger(client: Client, valkey: Server) -> None:
    draw = random.Random(1)
    now = now_ms(client)
    ages = [draw.randrange(1_000, DAY_MS + 2 * HOUR_MS) for _ in range(2_500)]
    firings = [(f"e{age % 3}", age, draw.randrange(2_000)) for age in ages]
    sent(valkey, now, firings)
    report = client.drift_report()
    for row in (report.overall, *report.rows):
        own = [each for each in firings if row.entry in (None, each[0])]
        for window, most_ms in ((row.hour, HOUR_MS), (row.day, DAY_MS)):
            late = sorted(late_ms for _, age_ms, late_ms in own if age_ms < most_ms - 60_000)
            edge = sum(most_ms - 60_000 <= age_ms < most_ms for _, age_ms, _ in own)
            assert 0 <= window.count - len(late) <= edge
            if not edge:
                assert window.max_ms == late[-1]
                assert window.p90_ms == bucket_of(late[-(-90 * len(late) // 100) - 1])
    assert {row.entry for row in report.rows} == {"e0", "e1", "e2"}
    assert report.rows[0].hour.p99_ms == max(row.hour.p99_ms for row in report.rows)
    assert len(report.overall.hourly_max_ms) == 24
    assert sum(point.figures.count for point in report.points) == report.overall.day.count


def test_of_one_entry_the_same_is_read_from_its_own_records(client: Client, valkey: Server) -> None:
    client.add("a", "proj.a", 3_600)
    now = now_ms(client)
    sent(valkey, now, [("a", 2 * HOUR_MS, 700), ("b", HOUR_MS // 2, 9), ("a", 60_000, 20)])
    valkey.admin.hset(f"{BASE}meta", mapping={"leader": "1:n", "chains": "0:n"})
    report, of_all = client.drift_report("a"), client.drift_report()
    [row] = report.rows
    assert (row.hour.max_ms, row.day.max_ms, row.trend) == (20, 700, "better")
    assert next(each for each in of_all.rows if each.entry == "a") == row
    with pytest.raises(EntryNotFound):
        client.drift_report("nobody")


def test_an_hour_that_is_worse_than_the_day_is_said_to_be(client: Client, valkey: Server) -> None:
    calm = [("a", hour * HOUR_MS, 5) for hour in range(2, 23)]
    sent(valkey, now_ms(client), [*calm, ("a", 60_000, 900)])
    assert client.drift_report().rows[0].trend == "worse"


def test_triggers_do_not_count_and_damaged_records_are_passed_over(
    client: Client, valkey: Server
) -> None:
    now = now_ms(client)
    sent(valkey, now, [("a", 60_000, 5)])
    sent(valkey, now, [("a", 50_000, 9_000)], request="r", reason="trigger")
    sent(valkey, now, [("a", 40_000, 9_000)], reason="backfill")
    valkey.admin.xadd(f"{BASE}ledger", {"outcome": "sent", "late": "a while"})
    valkey.admin.xadd(f"{BASE}ledger", {"outcome": "late"})
    assert client.drift_report().overall.day.max_ms == 5
    assert [row.max_ms for row in client.drift(since=timedelta(hours=1)) if row.entry == "a"] == [5]


def test_a_ledger_that_is_younger_than_a_day_says_since_when(
    client: Client, valkey: Server
) -> None:
    assert client.drift_report().since is None
    sent(valkey, now_ms(client), [("a", HOUR_MS, 5)])
    since = client.drift_report().since
    assert since is not None
    assert client.server_time() - since >= timedelta(hours=1)


def test_the_command_draws_each_entry_and_keeps_the_fields_of_earlier_releases(
    valkey: Server, client: Client
) -> None:
    shell = Shell(valkey.url())
    assert "no slot has fired yet" in shell.ok("drift")
    sent(valkey, now_ms(client), [("a", 60_000, 5), ("a", 3 * HOUR_MS, 80_000), ("b", 90_000, 7)])
    shown = shell.ok("drift")
    assert "all entries" in shown
    assert "▆  ▁" in shown
    rows = shell.json("drift")
    assert [row["entry"] for row in rows] == [None, "b", "a"]
    assert {"count", "p50_ms", "p90_ms", "p99_ms", "max_ms", "hour", "day", "trend"} <= set(rows[1])
    assert [row["entry"] for row in shell.json("drift", "--since", "1h")] == ["b", "a"]


def test_the_picture_is_well_formed_and_escapes_names(
    valkey: Server, client: Client, tmp_path: Path
) -> None:
    now = now_ms(client)
    evil = "<script>alert(1)</script>&\x1b[31m"
    sent(valkey, now, [(evil, 60_000, 50), ("b", 4 * HOUR_MS, 9_000), ("b", 30_000, 3)])
    picture = tmp_path / "drift.svg"
    Shell(valkey.url()).ok("drift", "--plot", str(picture))
    text = picture.read_text()
    root = ET.fromstring(text)
    titles = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("<script>") and "\\x1b" in title for title in titles)
    assert "<script>" not in text
    assert "prefers-color-scheme: dark" in text
    usage = Shell(valkey.url()).fails(2, "drift", "--plot", "x.svg", "--since", "1h")
    assert "leave out --since" in usage
    missing = Shell(valkey.url()).fails(2, "drift", "--plot", str(tmp_path / "no" / "x.svg"))
    assert "a file that can be written" in missing


def test_a_picture_of_nothing_is_a_picture() -> None:
    nothing = DayOfLateness(DAY_MS).finished({}, Lateness({}, 0))
    ET.fromstring(drift_svg(nothing, "nothing"))


def test_a_client_with_a_scope_must_name_the_entry(valkey: Server) -> None:
    with Client(valkey.url(), prefix=PREFIX, guard=habeat.Guard(prefix="t7:")) as tenant:
        with pytest.raises(habeat.errors.NotAllowed):
            tenant.drift_report()
        with pytest.raises(EntryNotFound):
            tenant.drift_report("t8:a")
