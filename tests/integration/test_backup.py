"""Backup and restore: what comes back, what does not fire twice, and how a restore is undone."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import habeat
from habeat import errors
from habeat.client import Client, Guard
from habeat.core.controls import HOLDS_MAX
from habeat.core.entry import EntryState
from habeat.store.keys import Keys
from habeat.store.pages import WRITTEN
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.integration.test_reconcile import GOOD, Deploy, StandingLead
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

PREFIX = "habeat:proj"
BASE = "{habeat:proj}:"
HOUR_MS = 3_600_000


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


@pytest.fixture
def admin(valkey: Server) -> Any:
    return valkey.client()


class Kept:
    """Keeps the undo document, as a file would."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {}

    def __call__(self, document: dict[str, Any]) -> None:
        self.document = json.loads(json.dumps(document))


def made(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(client.backup()))
    return document


def back(client: Client, document: dict[str, Any], **options: Any) -> Any:
    kept = Kept()
    report = client.restore(document, keep_undo=kept, **options)
    return report, kept.document


def place(admin: Any, name: str, **state: int) -> None:
    """Give an entry a cursor, a count and a last firing."""
    words = (
        state["cursor"],
        state["slot"],
        "1:x",
        state.get("fired_at", ""),
        state.get("count", 0),
    )
    admin.hset(f"{BASE}state", name, "|".join(map(str, words)))


def now_ms(client: Client) -> int:
    return int(client.server_time().timestamp() * 1_000)


def state(client: Client, name: str) -> EntryState:
    return client.get(name).state


def test_everything_of_an_entry_comes_back(client: Client, admin: Any) -> None:
    until = datetime(2100, 1, 1, tzinfo=UTC)
    client.add(
        "e", "t", habeat.cron("0 8 * * *", tz="Asia/Tokyo"), args=[1], tags=["x"], max_runs=5
    )
    client.add("p", "t", 60, description="d", options={"queue": "q"})
    client.pause("p", "why", until)
    at = now_ms(client)
    place(admin, "e", cursor=at - HOUR_MS, slot=at + HOUR_MS, fired_at=at - 2 * HOUR_MS, count=3)
    before = {each.name: each for each in client.list()}
    document = made(client)
    admin.flushall()
    report, _ = back(client, document)
    assert set(report.added) == {"e", "p"}
    after = {each.name: each for each in client.list()}
    assert {n: e.definition() for n, e in after.items()} == {
        n: e.definition() for n, e in before.items()
    }
    assert (after["e"].state.fired, after["e"].runs_left(3)) == (3, 2)
    assert after["e"].state.last_fired_ms == before["e"].state.last_fired_ms
    paused = after["p"].state
    assert (paused.paused, paused.paused_until, paused.paused_at) == (
        *("why", until),
        before["p"].state.paused_at,
    )
    assert admin.zscore(f"{BASE}resume", "p") == until.timestamp() * 1_000
    assert admin.zscore(f"{BASE}due", "p") is None


def test_a_restored_entry_fires_nothing_from_before(client: Client, admin: Any) -> None:
    client.add("e", "t", 60)
    at = now_ms(client)
    place(admin, "e", cursor=at - HOUR_MS, slot=at - HOUR_MS + 60_000)
    document = made(client)
    admin.flushall()
    back(client, document)
    found = state(client, "e")
    assert found.cursor_ms >= at
    assert found.due_ms is not None
    assert found.due_ms > at


def test_with_positions_it_continues_where_the_backup_left_it(client: Client, admin: Any) -> None:
    client.add("e", "t", habeat.every(60, offset=0))
    at = now_ms(client)
    place(admin, "e", cursor=at - HOUR_MS, slot=at - HOUR_MS + 60_000)
    document = made(client)
    admin.flushall()
    report, _ = back(client, document, resume_positions=True)
    assert report.continued == ("e",)
    found = state(client, "e")
    assert found.cursor_ms == at - HOUR_MS
    assert found.due_ms is not None
    assert found.due_ms <= at - HOUR_MS + 60_000


def test_a_position_of_the_future_is_not_taken(client: Client, admin: Any) -> None:
    """Redis' clock was ahead when the backup was made."""
    client.add("e", "t", 60)
    at = now_ms(client)
    place(admin, "e", cursor=at + 24 * HOUR_MS, slot=at + 25 * HOUR_MS)
    document = made(client)
    admin.flushall()
    back(client, document, resume_positions=True)
    assert state(client, "e").cursor_ms < at + HOUR_MS


def test_a_state_that_was_left_behind_is_not_moved_back(client: Client, admin: Any) -> None:
    client.add("e", "t", habeat.every(60, offset=0))
    document = made(client)
    at = now_ms(client) + 5 * 60_000
    place(admin, "e", cursor=at, slot=at + 60_000, count=7)
    admin.hdel(f"{BASE}entries", "e")
    for options in ({}, {"resume_positions": True}):
        admin.hdel(f"{BASE}entries", "e")
        report, _ = back(client, document, **options)
        assert (report.added, report.continued) == (("e",), ("e",))
        found = state(client, "e")
        assert (found.cursor_ms, found.fired) == (at, 7)


def test_an_entry_that_is_here_is_left_unless_it_is_replaced(client: Client, admin: Any) -> None:
    client.add("e", "t", 60, description="old")
    document = made(client)
    client.update("e", description="new", schedule=90)
    before = state(client, "e").cursor_ms
    report, _ = back(client, document)
    assert report.left == {"e": "it is here already"}
    assert client.get("e").description == "new"
    report, _ = back(client, document, replace=True)
    assert report.changed == ("e",)
    assert client.get("e").description == "old"
    assert state(client, "e").cursor_ms >= before
    report, _ = back(client, document, replace=True)
    assert report.left == {"e": "it is as in the backup"}


def test_a_replaced_entry_has_the_pause_of_the_backup(client: Client) -> None:
    client.add("paused", "t", 60)
    client.add("running", "t", 60)
    client.pause("paused", "why")
    document = made(client)
    client.update("paused", description="x")
    client.resume("paused")
    client.pause("running")
    back(client, document, replace=True)
    assert state(client, "paused").paused == "why"
    assert state(client, "running").paused is None


def test_a_dry_run_writes_nothing_and_says_the_same(client: Client, admin: Any) -> None:
    client.add("e", "t", 60)
    document = made(client)
    admin.flushall()
    report = client.restore(document)
    assert (report.added, report.written) == (("e",), False)
    assert admin.keys() == []


def test_a_wrong_restore_is_undone(client: Client, admin: Any) -> None:
    client.add("kept", "t", 60, description="wrong")
    client.add("added", "t", 60)
    client.pause("kept", "wrong")
    wrong = made(client)
    admin.flushall()
    client.add("kept", "t", 60, description="right")
    before = client.get("kept")
    report, undo = back(client, wrong, replace=True)
    assert (report.added, report.changed) == (("added",), ("kept",))
    assert client.get("kept").description == "wrong"
    report, again = back(client, undo)
    assert (report.removed, report.changed) == (("added",), ("kept",))
    after = client.get("kept")
    assert after.definition() == before.definition()
    assert after.state.paused is None
    assert after.state.cursor_ms >= before.state.cursor_ms
    with pytest.raises(errors.EntryNotFound):
        client.get("added")
    back(client, again)
    assert client.get("added").condition == "active"
    assert client.get("kept").description == "wrong"


def test_undoing_leaves_what_someone_has_changed_since(client: Client, admin: Any) -> None:
    client.add("e", "t", 60)
    document = made(client)
    admin.flushall()
    _, undo = back(client, document)
    client.update("e", description="mine")
    report, _ = back(client, undo)
    assert report.left == {"e": "it was changed since it was restored"}
    assert client.get("e").description == "mine"


def test_restoring_twice_changes_nothing_more(client: Client, admin: Any) -> None:
    client.add_many([{"name": f"e{n}", "task": "t", "schedule": 60} for n in range(WRITTEN + 5)])
    document = made(client)
    admin.flushall()
    report, _ = back(client, document)
    assert len(report.added) == WRITTEN + 5
    again, _ = back(client, document)
    assert (again.added, len(again.left)) == ((), WRITTEN + 5)


# -- holds ---------------------------------------------------------------------------------------


def test_holds_come_back_and_go_when_the_restore_is_undone(client: Client, admin: Any) -> None:
    client.add_hold("release", prefix="x", reason="why")
    document = made(client)
    admin.flushall()
    report, undo = back(client, document)
    assert len(report.controls) == 1
    assert [(each.name, each.reason) for each in client.holds()] == [("release", "why")]
    assert not back(client, document)[0].controls
    assert len(back(client, undo)[0].controls) == 1
    assert client.holds() == ()


def test_a_hold_that_is_here_stays_as_it_is(client: Client) -> None:
    client.add_hold("release", reason="old")
    document = made(client)
    client.add_hold("release", reason="new", replace=True)
    back(client, document, replace=True)
    assert [each.reason for each in client.holds()] == ["new"]


# -- entries of beat_schedule -------------------------------------------------------------------


def test_a_pause_of_an_entry_of_the_code_comes_back(valkey: Server, client: Client) -> None:
    bench, app = Bench(valkey, prefix=PREFIX, app="proj"), make_app()
    lead = StandingLead(bench, bench.lead())
    Deploy(bench, app, 1, {"a": GOOD, "b": GOOD}).lead(lead)
    client.pause("a", "why")
    document = made(client)
    bench.admin.flushall()
    lead = StandingLead(bench, bench.lead())
    Deploy(bench, app, 1, {"a": GOOD, "b": GOOD}).lead(lead)
    report, undo = back(client, document)
    assert (report.paused, report.left) == (("a",), {"b": "it is here already"})
    assert state(client, "a").paused == "why"
    back(client, undo)
    assert state(client, "a").paused is None


def test_the_code_wins_over_a_restored_definition_of_its_own(
    valkey: Server, client: Client
) -> None:
    bench, app = Bench(valkey, prefix=PREFIX, app="proj"), make_app()
    Deploy(bench, app, 57, {"a": GOOD, "gone": GOOD}).lead(StandingLead(bench, bench.lead()))
    document = made(client)
    bench.admin.flushall()
    report, _ = back(client, document)
    assert set(report.added) == {"a", "gone"}
    lead = StandingLead(bench, bench.lead())
    Deploy(bench, app, 1, {"a": {**GOOD, "args": (5, 6)}}).lead(lead)
    assert client.get("a").args == (5, 6)
    assert bench.admin.hget(f"{BASE}meta", "prune") == b"1"


# -- what is damaged, hostile, or not ours --------------------------------------------------------


def test_a_poisoned_entry_is_replaced_from_the_backup(client: Client, admin: Any) -> None:
    client.add("e", "t", 60)
    document = made(client)
    admin.hset(f"{BASE}entries", "e", b"\xff poison")
    assert client.get("e").condition == "quarantined"
    report, _ = back(client, document, replace=True)
    assert report.changed == ("e",)
    assert client.get("e").condition == "active"


def test_a_definition_that_cannot_be_read_is_kept_in_the_backup_and_refused(
    client: Client, admin: Any
) -> None:
    client.add("e", "t", 60)
    for name, raw in (("bytes", b"\xff"), ("json", b'{"v": 9}')):
        admin.hset(f"{BASE}entries", name, raw)
    document = made(client)
    admin.flushall()
    report, _ = back(client, document)
    assert report.added == ("e",)
    assert set(report.refused) == {"bytes", "json"}


def test_a_name_that_beat_schedule_has_here_is_refused(valkey: Server, client: Client) -> None:
    client.add("a", "t", 60)
    document = made(client)
    client.remove("a")
    bench = Bench(valkey, prefix=PREFIX, app="proj")
    Deploy(bench, make_app(), 1, {"a": GOOD}).lead(StandingLead(bench, bench.lead()))
    report, _ = back(client, document, replace=True)
    assert report.refused == {"a": "beat_schedule declares an entry of this name here"}


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(habeat_backup=2),
        lambda document: document.pop("habeat_backup"),
        lambda document: document.update(entries=5),
        lambda document: document.update(entries=[5]),
        lambda document: document["entries"].append(document["entries"][0]),
        lambda document: document["entries"][0].pop("definition"),
        lambda document: document["entries"][0].update(definition=5),
        lambda document: document["entries"][0].update(definition_base64="?"),
        lambda document: document["entries"][0].update(cursor_ms="x"),
        lambda document: document["entries"][0].update(cursor_ms=10**30),
        lambda document: document["entries"][0].update(fired=-1),
        lambda document: document["entries"][0].update(pause=5),
        lambda document: document.update(controls=5),
    ],
)
def test_a_document_that_is_no_backup_is_refused_as_a_whole(
    client: Client, change: Callable[[Any], Any]
) -> None:
    client.add("e", "t", 60)
    document = made(client)
    change(document)
    with pytest.raises(errors.ValidationError):
        client.restore(document)


@pytest.mark.parametrize("pause", ["nonsense", "[1]", '{"reason": 5}', '{"until_ms": "x"}'])
def test_an_unreadable_pause_is_still_a_pause(client: Client, admin: Any, pause: str) -> None:
    client.add("e", "t", 60)
    document = made(client)
    document["entries"][0]["pause"] = pause
    admin.flushall()
    back(client, document)
    assert state(client, "e").paused == ""


def test_a_pause_that_is_over_does_not_come_back(client: Client, admin: Any) -> None:
    client.add("e", "t", 60)
    document = made(client)
    document["entries"][0]["pause"] = '{"reason": "x", "at_ms": 1, "until_ms": 1000}'
    admin.flushall()
    back(client, document)
    assert state(client, "e").paused is None


def test_a_guarded_client_may_neither_back_up_nor_restore(valkey: Server, client: Client) -> None:
    document = made(client)
    with Client(valkey.url(), prefix=PREFIX, guard=Guard(prefix="a:")) as tenant:
        with pytest.raises(errors.NotAllowed):
            tenant.backup()
        with pytest.raises(errors.NotAllowed):
            tenant.restore(document)


def test_each_restored_entry_is_in_the_change_log(client: Client, admin: Any) -> None:
    client.add("e", "t", 60)
    document = made(client)
    admin.flushall()
    back(client.acting_as("ann"), document)
    (record,) = client.changes("e")
    assert (record.act, record.way, record.by) == ("added", "restore", "ann")


def test_restored_holds_leave_room_for_other_controls(client: Client, admin: Any) -> None:
    client.add_hold("one", prefix="x")
    document = made(client)
    one = document["controls"]["hold:one"]
    document["controls"] |= {f"hold:{number}": one for number in range(HOLDS_MAX)}
    with pytest.raises(errors.ValidationError, match="restore again to continue"):
        back(client, document)
    assert len(client.holds()) == HOLDS_MAX
    client.remove_hold("one")
    client.set_calendar("c", ["12-25"])


def test_a_document_cannot_depose_a_leader(client: Client, admin: Any) -> None:
    document = made(client)
    document["controls"]["step_down"] = "1:x||99999999999999|x"
    report, _ = back(client, document)
    assert report.controls == ()
    assert not admin.hexists(Keys(PREFIX).controls, "step_down")


# -- the command line ------------------------------------------------------------------------------


def test_a_backup_is_a_file_that_only_its_owner_can_read(shell: Shell, tmp_path: Path) -> None:
    shell.ok("add", "e", "t", "--every", "60", "--kwargs", '{"token": "s3cret"}')
    file = tmp_path / "backup.json"
    file.write_text("older")
    os.chmod(file, 0o644)
    assert "wrote 1 entry" in shell.ok("backup", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["entries"][0]["name"] == "e"
    assert [each.name for each in tmp_path.iterdir()] == ["backup.json"]
    shell.fails(2, "backup", str(tmp_path / "no" / "file"))


def test_a_restore_with_nothing_to_do_leaves_no_undo_file(shell: Shell, tmp_path: Path) -> None:
    file = str(tmp_path / "backup.json")
    shell.ok("add", "e", "t", "--every", "60")
    shell.ok("backup", file)
    assert "nothing to restore" in shell.ok("restore", file, "--apply")
    assert shell.json("restore", file, "--apply")["undo"] is None
    assert not Path(file + ".undo").exists()


def test_a_restore_says_what_it_would_do_then_does_it_and_can_be_undone(
    shell: Shell, admin: Any, tmp_path: Path
) -> None:
    file = str(tmp_path / "backup.json")
    shell.ok("add", "e", "t", "--every", "60")
    shell.ok("backup", file)
    admin.flushall()
    assert "1 would be added: e" in shell.ok("restore", file)
    assert not Path(file + ".undo").exists()
    out = shell.ok("restore", file, "--apply")
    assert "1 added: e" in out
    assert out.splitlines()[-1].endswith(f"habeat restore {file}.undo --apply")
    assert stat.S_IMODE(Path(file + ".undo").stat().st_mode) == 0o600
    assert "nothing to restore" in shell.ok("restore", file, "--apply")
    shell.ok("remove", "e", "--yes")
    assert "exists" in shell.fails(2, "restore", file, "--apply")
    assert "no entries" in shell.ok("list")
    shell.ok("restore", file, "--apply", "--undo-file", f"{file}.again")
    undone = shell.json("restore", file + ".undo", "--apply")
    assert undone["report"]["removed"] == ["e"]
    assert "no entries" in shell.ok("list")
    (tmp_path / "text").write_text("nonsense")
    assert "not a backup" in shell.fails(2, "restore", str(tmp_path / "text"))


def test_entries_are_exported_and_loaded_as_yaml(shell: Shell, admin: Any, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    values = '{"a": "yes", "b": "08:00", "c": "2026-01-01", "d": 1, "e": null, "f": "1e3"}'
    shell.ok("add", "e", "t", "--at", "2100-01-01T08:00:00+01:00", "--kwargs", values)
    shell.ok("add", "no", "t", "--cron", "0 8 * * *", "--description", "on: off # x")
    before = shell.json("export")
    file = str(tmp_path / "schedule.yaml")
    shell.ok("export", "--format", "yaml", "-o", file)
    assert shell.ok("export", "--format", "yaml").startswith("habeat_export: 1\n")
    admin.flushall()
    assert "2 entries added" in shell.ok("load", file)
    after = shell.json("export")
    assert after["entries"] == before["entries"]
    assert "2 entries unchanged" in shell.ok(
        "load", "-", "--format", "yaml", stdin=Path(file).read_text()
    )
    assert "not YAML" in shell.fails(2, "load", "-", "--format", "yaml", stdin="a: [")
    assert "not JSON" in shell.fails(2, "load", "-", stdin=Path(file).read_text())
