"""Each pause of the whole schedule, each change of a hold or a calendar has its record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from habeat import cron
from habeat.client import ChangeRecord, Client, FieldChange, Guard
from habeat.core.controls import CALENDAR_DAYS_MAX
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell

HOUR = timedelta(hours=1)


@pytest.fixture
def client(shell: Shell) -> Iterator[Client]:
    with Client(shell.app, by="ann") as client:
        yield client


def changes(client: Client) -> list[ChangeRecord]:
    """The records, oldest first."""
    return client.changes()[::-1]


def acts(client: Client) -> list[tuple[str, str]]:
    return [(each.control, each.act) for each in changes(client)]


def test_a_pause_of_the_schedule_has_its_records(client: Client) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + HOUR
    client.pause_all("migration")
    client.pause_all(until=until)
    assert client.resume_all()
    assert client.resume_all() is None
    client.pause_all("again")
    assert acts(client) == [("pause", act) for act in ("paused", "changed", "resumed", "paused")]
    paused, changed, resumed, _ = changes(client)
    assert (paused.by, paused.way, paused.entry) == ("ann", "api", "")
    assert paused.fields == {"reason": FieldChange(None, "migration")}
    ends = until.isoformat(timespec="milliseconds")
    assert changed.fields == {"until": FieldChange(None, ends)}
    assert resumed.fields["reason"] == FieldChange("migration", None)


def test_a_pause_of_the_schedule_is_in_the_history(client: Client) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + HOUR
    client.pause_all("migration", until)
    client.resume_all()
    resumed, paused = client.events()
    assert (paused.code, resumed.code) == ("schedule_paused", "schedule_resumed")
    assert (paused.until, paused.cause) == (until, "api")
    ends = until.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")
    assert paused.sentence == f"the whole schedule was paused until {ends} by ann (api): migration"
    assert resumed.sentence == "the whole schedule was resumed by ann (api)"
    assert resumed.since == paused.since


def test_holds_and_calendars_have_their_records(client: Client) -> None:
    client.add_hold(
        "nightly", schedule=cron("0 2 * * *"), duration=1_800, prefix="t1:", reason="copy"
    )
    client.add_hold(
        "nightly", schedule=cron("0 2 * * *"), duration=3_600, prefix="t1:", replace=True
    )
    client.remove_hold("nightly")
    client.set_calendar("feasts", ["12-25", "2026-12-31"])
    client.set_calendar("feasts", ["12-25"])
    client.remove_calendar("feasts")
    assert not client.remove_hold("nightly")
    assert not client.remove_calendar("feasts")
    assert acts(client) == [
        *(("hold:nightly", act) for act in ("added", "changed", "removed")),
        *(("calendar:feasts", act) for act in ("added", "changed", "removed")),
    ]
    added, changed = changes(client)[:2]
    assert added.fields["prefix"] == FieldChange(None, "t1:")
    assert changed.fields["duration"] == FieldChange(1_800.0, 3_600.0)
    assert changed.fields["reason"] == FieldChange("copy", "")
    assert changes(client)[4].fields == {"dates": FieldChange(["2026-12-31"], [])}


def test_the_records_of_large_calendars_are_small(client: Client, bench: Bench) -> None:
    first = datetime(2027, 1, 1, tzinfo=UTC)
    days = [(first + n * 24 * HOUR).date() for n in range(CALENDAR_DAYS_MAX)]
    client.set_calendar("all", days)
    (record,) = changes(client)
    assert not record.fields["dates"].kept
    log: Any = bench.admin.xrange(bench.keys.changes)
    ((_, stored),) = log
    assert sum(map(len, stored.values())) < 500


def test_the_command_line_shows_them(client: Client, shell: Shell) -> None:
    shell.ok("pause", "--all", "--reason", "migration")
    client.set_calendar("feasts", ["12-25"])
    client.add("e", "proj.tick", 60)
    lines = [line.split() for line in shell.ok("history", "--changes").splitlines()]
    assert [line[0] for line in lines[1:]] == ["e", "feasts", "-"]
    assert "schedule paused" in " ".join(lines[-1])
    assert "calendar added" in " ".join(lines[-2])
    assert "was paused by" in shell.ok("history")
    (last, *_) = json.loads(shell.ok("history", "--changes", "--json"))[::-1]
    assert (last["control"], last["act"], last["way"]) == ("pause", "paused", "cli")
    assert "was paused by" in shell.ok("history", "--wide")


def test_clients_with_a_guard_do_not_see_them(client: Client, shell: Shell) -> None:
    client.pause_all("a secret of others")
    client.add("e", "proj.tick", 60)
    with Client(shell.app, guard=Guard(max_entries=5)) as tenant:
        assert [each.entry for each in tenant.changes()] == ["e"]


def test_what_another_program_stored_is_replaced_and_logged(client: Client, bench: Bench) -> None:
    values: Any = {"pause": "7", "hold:h": "[]", "calendar:c": "{"}
    bench.admin.hset(bench.keys.controls, mapping=values)
    client.pause_all("mine")
    client.remove_hold("h")
    client.remove_calendar("c")
    assert acts(client) == [("pause", "paused"), ("hold:h", "removed"), ("calendar:c", "removed")]


def test_a_foreign_key_in_the_place_of_the_log_does_not_refuse_a_pause(
    client: Client, bench: Bench
) -> None:
    for key in (bench.keys.changes, bench.keys.events):
        bench.admin.set(key, "mine")
    client.pause_all()
    assert acts(client) == [("pause", "paused")]
    assert len(client.events()) == 1
    assert len(bench.admin.keys(bench.keys.base + "foreign:*")) == 2
