"""``celery -A proj habeat …`` against a real server: what it prints, and how it exits."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import click
import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.shell_completion import BashComplete, FishComplete, ZshComplete
from click.testing import CliRunner

import habeat
from habeat.cli import habeat as group
from habeat.cli.completion import entry_names
from habeat.client import Client, LedgerRecord
from habeat.client.calls import Session
from habeat.client.history import Follower
from habeat.clock import SystemClock
from habeat.config.redis_target import redis_target
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.core.known_tasks import KnownTasks
from habeat.entries.codec import encode
from habeat.errors import RedisUnavailable
from habeat.ports import Known, Won
from habeat.ports.entries import Position, Write
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from tests.support.servers.needs import need
from tests.support.servers.redis_server import Server

BASE = "{habeat:proj}:"
MAIN = "from celery.__main__ import main; main()"


class Shell:
    """Runs the group as Celery does, in this process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = Celery("proj", broker=url)

    def __call__(self, *argv: str, stdin: str | None = None) -> Any:
        context = CLIContext(self.app, no_color=True, workdir=None)
        done = CliRunner(env={"COLUMNS": "80"}).invoke(group, argv, obj=context, input=stdin)
        assert "Traceback" not in done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def ok(self, *argv: str, stdin: str | None = None) -> str:
        done = self(*argv, stdin=stdin)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    def json(self, *argv: str, stdin: str | None = None) -> Any:
        return json.loads(self.ok(*argv, "--json", stdin=stdin))

    def fails(self, code: int, *argv: str, stdin: str | None = None) -> str:
        done = self(*argv, stdin=stdin)
        assert done.exit_code == code, done.output
        return str(done.stderr)

    def error(self, code: int, *argv: str) -> Any:
        """The error that a command prints with --json; nothing is on stderr."""
        done = self(*argv, "--json")
        assert (done.exit_code, done.stderr) == (code, ""), done.output
        error = json.loads(done.stdout)["error"]
        assert error["exit_status"] == code
        return error


@pytest.fixture
def caller(valkey: Server) -> Iterator[Caller]:
    connections = Connections(redis_target(valkey.url()))
    yield Caller(connections, Keys("habeat:proj"))
    connections.close()


def lead(caller: Caller, **fields: Any) -> None:
    leases = RedisElectionStore(caller, SystemClock(), "proj")
    assert isinstance(leases.acquire("leader", 60_000, Known()), Won)
    info = {"host": "alpha", "pid": 11, "dispatch": "atomic", "tzdata": "2026.1", **fields}
    leases.register("leader", json.dumps(info), "f1", 3)
    leases.register("second", json.dumps({"host": "beta", "pid": 12}), "f1", 3)


def test_from_a_shell(valkey: Server, tmp_path: Path) -> None:
    """The whole command line, as a person types it."""
    (tmp_path / "proj.py").write_text(
        f"from celery import Celery\napp = Celery('proj', broker={valkey.url()!r})\n"
    )

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "celery", "-A", "proj", "habeat", *argv],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))},
            capture_output=True,
            text=True,
            timeout=60,
        )

    added = run("add", "digest", "proj.digest", "--cron", "0 8 * * *", "--tz", "Europe/Berlin")
    assert (added.returncode, added.stderr) == (0, "")
    assert "digest is active: at 08:00, Europe/Berlin" in added.stdout
    health = run("health")
    assert (health.returncode, health.stdout) == (
        1,
        "unhealthy: no leader; no beat is running\n"
        "  next step: Start a beat, or see in `status` why those that run are inert.\n",
    )
    unknown = run("show", "nobody")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == "habeat: there is no entry named 'nobody'\n"
    assert run("add", "x", "proj.x", "--every", "soon").returncode == 2


def test_empty_states_say_what_to_do_next(shell: Shell) -> None:
    assert "habeat add NAME TASK" in shell.ok("list")
    assert "beat -S habeat.Scheduler" in shell.ok("status")
    assert "habeat add NAME TASK" in shell.ok("status")
    assert "no slot has fired yet (triggers" in shell.ok("drift")
    assert "no records" in shell.ok("history")
    assert "leave the options out" in shell.ok("list", "--prefix", "x")
    assert shell.json("list") == shell.json("history") == []
    assert [(row["entry"], row["count"]) for row in shell.json("drift")] == [(None, 0)]


def test_add_says_everything_that_the_api_knows(shell: Shell) -> None:
    entry = shell.json(
        *("add", "a", "proj.a", "--crontab", "minute=0 hour=8", "--tz", "Asia/Tokyo"),
        *("--args", "[1, {}]", "--kwargs", '{"k": 2}', "--queue", "q", "--option", "expires=60"),
        *("--option", "routing_key=r", "--tag", "x", "--tag", "y", "--description", "what"),
        *("--misfire", "all", "--misfire-grace", "5m", "--misfire-limit", "9"),
        *("--delivery", "at_most_once", "--disabled"),
    )
    assert entry["args"] == [1, {}]
    assert entry["kwargs"] == {"k": 2}
    assert entry["options"] == {"expires": 60, "routing_key": "r", "queue": "q"}
    assert (entry["tags"], entry["description"]) == (["x", "y"], "what")
    assert entry["misfire"] == "all"
    assert (entry["misfire_grace_ms"], entry["misfire_limit"]) == (300_000, 9)
    assert (entry["delivery"], entry["enabled"]) == ("at_most_once", False)
    assert entry["state"] == "disabled"
    assert entry["schedule"]["tz"] == "Asia/Tokyo"
    assert entry == shell.json("list")[0]
    shown = shell.json("show", "a")
    assert {key: shown[key] for key in entry} == entry
    assert (len(shown["next_slots"]), shown["last_records"]) == (5, [])


def test_a_group_reports_wrong_usage_as_json(shell: Shell) -> None:
    assert shell.error(2, "dead")["kind"] == "UsageError"


def test_wrong_usage_is_distinguished_from_bad_things(shell: Shell) -> None:
    assert "missing schedule" in shell.fails(2, "add", "a", "proj.a")
    assert "give only one schedule" in shell.fails(
        2, "add", "a", "t", "--every", "5", "--cron", "* * * * *"
    )
    assert "invalid minute '99': expected 0–59" in shell.fails(
        2, "add", "a", "t", "--cron", "99 * * * *"
    )
    assert "task_id" in shell.fails(2, "add", "a", "t", "--every", "5", "--option", "task_id=1")
    assert "not JSON" in shell.fails(2, "add", "a", "t", "--every", "5", "--args", "[1")
    shell.ok("add", "a", "t", "--every", "5")
    assert "already exists" in shell.fails(1, "add", "a", "t", "--every", "5")
    shell.ok("add", "a", "t", "--every", "5", "--replace")
    assert "nothing to change" in shell.fails(2, "update", "a")
    told = shell.fails(1, "update", "a", "--rev", "9", "--queue", "x")
    assert "at revision 1, not 9; see: celery -A proj habeat show a" in told
    assert "no entry named" in shell.fails(1, "pause", "nobody")
    assert "no entry named" in shell.fails(1, "drift", "nobody")
    assert "either" in shell.fails(2, "preview")
    assert "either" in shell.fails(2, "preview", "a", "--every", "5")
    assert shell.fails(2, "list", "--state", "asleep")


def test_errors_are_json_for_those_who_read_json(shell: Shell) -> None:
    shell.ok("add", "a", "t", "--every", "5")
    shell.ok("add", "b", "t", "--every", "5")
    error = shell.error(1, "show", "nobody")
    assert (error["kind"], error["entry"]) == ("EntryNotFound", "nobody")
    error = shell.error(2, "add", "c", "t", "--cron", "99 * * * *")
    assert (error["kind"], error["entry"], error["field"]) == ("ValidationError", "c", "minute")
    error = shell.error(1, "update", "a", "--rev", "9", "--queue", "q")
    assert (error["expected_rev"], error["found_rev"]) == (9, 1)
    for argv in (["lst"], ["dead", "lst"], ["list", "--tga", "x"], ["list", "--state", "asleep"]):
        assert shell.error(2, *argv)["kind"] == "UsageError"
    assert shell.error(2, "add", "c", "t")["message"].startswith("missing schedule")
    assert shell.error(2, "show")["kind"] == "UsageError"


def test_advice_can_be_followed_on_the_command_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["celery", "-A", "shop.celery:app", "habeat", "list"])
    assert "celery -A shop.celery:app habeat add NAME TASK --every 300" in shell.ok("list")
    assert "start one: celery -A shop.celery:app beat -S" in shell.ok("status")
    for name in ("a", "b"):
        shell.ok("add", name, "t", "--every", "5")
    told = shell.fails(1, "add", "a", "t", "--every", "5")
    assert "give --replace, or change it with: celery -A shop.celery:app habeat update a" in told
    shell.ok("add", "a b", "t", "--every", "5")
    assert "habeat update 'a b'\n" in shell.fails(1, "add", "a b", "t", "--every", "5")
    assert "choose another name" in shell.fails(1, "rename", "a", "b")
    assert "`celery -A shop.celery:app habeat dead list`" in shell.fails(1, "dead", "show", "x")


def test_an_error_names_the_option_that_is_wrong(shell: Shell) -> None:
    shell.ok("add", "a", "t", "--every", "5")
    for option, argv in (
        ("--every", ("add", "b", "t", "--every", "0")),
        ("--from", ("backfill", "a", "--from", "2090-01-01")),
        ("--to", ("simulate", "--to", "2020-01-01")),
        ("--until", ("preview", "a", "--until", "2020-01-01")),
        ("--until", ("pause", "a", "--until", "2020-01-01")),
        ("--end", ("update", "a", "--start", "2030-01-01", "--end", "2029-01-01")),
        ("--misfire-pace", ("update", "a", "--misfire-pace", "0")),
        ("--gap", ("preview", "--cron", "* * * * *", "--gap", "jump")),
    ):
        assert f"invalid {option} " in shell.fails(2, *argv)


def test_options_that_contradict_each_other_are_refused(shell: Shell) -> None:
    shell.ok("add", "a", "t", "--every", "5", "--tag", "x")
    for argv in (
        ("update", "a", "--tag", "y", "--no-tags"),
        ("update", "a", "--queue", "q", "--option", "queue=r"),
        ("update", "a", "--option", "priority=1", "--option", "priority=2"),
        ("update", "a", "--queue", "q", "--queue", "r"),
        ("update", "a", "--enable", "--disable"),
        ("update", "a", "--tz", "UTC"),
        ("add", "b", "t", "--every", "5", "--every", "6"),
        ("add", "b", "t", "--every", "5", "--option", "expires="),
        ("add", "b", "t", "--every", "5", "--at", "2030-01-01"),
        ("add", "b", "t", "--at", "2030-01-01T00:00+01:00", "--tz", "Asia/Tokyo"),
        ("add", "b", "t", "--cron", ""),
        ("remove", "a", "--tag", "x", "--yes"),
        ("list", "--state", "active", "--state", "paused"),
        ("dead", "purge", "id", "--entry", "a", "--yes"),
        ("dead", "purge", "", "--yes"),
    ):
        shell.fails(2, *argv)
    assert [(entry["name"], entry["rev"]) for entry in shell.json("list")] == [("a", 1)]
    shell.ok("list", "--tag", "x", "--tag", "y", "--json", "--json")


def test_a_local_time_that_the_clocks_skip_is_refused(shell: Shell) -> None:
    told = shell.fails(2, "add", "a", "t", "--at", "2030-03-31T02:30", "--tz", "Europe/Berlin")
    assert "does not exist in Europe/Berlin" in told
    assert "give 2030-03-31T01:30 or 2030-03-31T03:30" in told
    every = ("add", "b", "t", "--cron", "0 8 * * *", "--tz", "Europe/Berlin")
    assert "does not exist" in shell.fails(2, *every, "--start", "2030-03-31T02:30")
    done = shell("add", "c", "t", "--at", "2030-10-27T02:30", "--tz", "Europe/Berlin")
    assert done.exit_code == 0
    assert "occurs twice in Europe/Berlin; this is the first, 2030-10-27T02:30+02:00" in done.stderr


def test_a_name_of_no_entry_is_an_error_in_every_command(shell: Shell, valkey: Server) -> None:
    for argv in (
        *(["show"], ["history"], ["history", "--since", "1h"], ["drift"], ["preview"]),
        *(["drift", "--since", "1h"], ["pause"], ["resume"], ["remove"], ["trigger"]),
        *(["backfill", "--from", "1h"], ["dead", "list", "--entry"]),
        ["dead", "purge", "--yes", "--entry"],
    ):
        assert "no entry named 'nobody'" in shell.fails(1, *argv, "nobody"), argv
    shell.ok("add", "a", "t", "--every", "5")
    assert "no records" in shell.ok("history", "a")
    shell.ok("dead", "list", "--entry", "a")
    record: dict[Any, Any] = {"entry": "gone", "slot": 1, "outcome": "sent", "until": 1}
    valkey.admin.xadd(BASE + "ledger", record, id="1-1")
    for argv in (["history"], ["drift"]):
        shell.ok(*argv, "gone", "--since", "1h")


def test_update_changes_what_is_said_and_nothing_else(shell: Shell) -> None:
    shell.ok(
        "add", "a", "proj.a", "--every", "1h", "--queue", "q", "--tag", "t", "--misfire", "all"
    )
    changed = shell.json(
        *("update", "a", "--task", "proj.b", "--description", "new", "--misfire", "default"),
        "--disable",
    )
    assert (changed["task"], changed["description"], changed["rev"]) == ("proj.b", "new", 2)
    assert (changed["misfire"], changed["enabled"]) == (None, False)
    assert (changed["options"], changed["tags"]) == ({"queue": "q"}, ["t"])
    again = shell.json("update", "a", "--no-tags", "--enable", "--every", "2h", "--rev", "2")
    assert (again["tags"], again["enabled"], again["state"]) == ([], True, "active")
    assert again["schedule"]["every_ms"] == 7_200_000


def test_update_changes_only_the_options_that_are_named(shell: Shell) -> None:
    shell.ok("add", "a", "proj.a", "--every", "1h", "--queue", "q", "--option", "priority=3")

    def options(*argv: str) -> Any:
        return shell.json("update", "a", *argv)["options"]

    assert options("--queue", "r") == {"queue": "r", "priority": 3}
    assert options("--option", "expires=60") == {"queue": "r", "priority": 3, "expires": 60}
    assert options("--option", "priority=", "--option", "expires=5") == {"queue": "r", "expires": 5}
    assert options("--option", "queue=", "--option", "expires=", "--queue", "s") == {"queue": "s"}
    assert options("--option", "queue=") == {}
    assert options("--option", "priority=1") == {"priority": 1}


def test_a_value_of_an_option_may_end_in_an_equals_sign(shell: Shell) -> None:
    shell.ok("add", "a", "proj.a", "--every", "1h", "--option", "routing_key=c2VjcmV0cw==")
    assert shell.json("show", "a")["options"] == {"routing_key": "c2VjcmV0cw=="}


@pytest.mark.parametrize("written", ["c2VjcmV0cw", "=c2VjcmV0cw", "c2VjcmV0cw="])
def test_an_option_without_a_name_or_value_is_not_quoted(shell: Shell, written: str) -> None:
    """The whole text may be a value, and so a secret."""
    said = shell.fails(2, "add", "a", "proj.a", "--every", "1h", "--option", written)
    assert "expected NAME=VALUE" in said
    assert "c2Vj" not in said


def test_update_of_options_does_not_undo_what_others_do_meanwhile(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.ok("add", "a", "proj.a", "--every", "1h", "--queue", "q")
    found = Client.get

    def get(client: Client, name: str) -> Entry:
        entry = found(client, name)
        client.update(name, options={"queue": "r", "priority": 1})
        return entry

    monkeypatch.setattr(Client, "get", get)
    assert "at revision 2, not 1" in shell.fails(1, "update", "a", "--option", "expires=60")


def test_pause_resume_and_remove(shell: Shell) -> None:
    for name in ("a", "b.1", "b.2"):
        shell.ok("add", name, "proj.a", "--every", "1h", "--tag", "t")
    assert "a is paused" in shell.ok("pause", "a", "--reason", "the move")
    shown = shell.ok("show", "a")
    assert re.search(r"state +paused since .* ago\): the move|now\): the move", shown)
    assert re.search(r"^next due +none while paused$", shown, re.MULTILINE)
    assert "a is active" in shell.ok("resume", "a")
    assert "--yes" in shell.fails(2, "remove", "--prefix", "b.")
    assert "either" in shell.fails(2, "remove")
    assert "either" in shell.fails(2, "remove", "a", "--prefix", "b.")
    assert shell.json("remove", "--prefix", "b.", "--tag", "t", "--yes") == {
        "removed": 2,
        "names": ["b.1", "b.2"],
    }
    assert shell.ok("remove", "a") == "removed 1 entry: a\n"
    assert "no entry named" in shell.fails(1, "remove", "a")


def test_removing_named_entries_is_all_or_nothing(shell: Shell) -> None:
    for name in ("a", "b", "c"):
        shell.ok("add", name, "proj.a", "--every", "1h")
    told = shell.fails(1, "remove", "a", "nobody", "b")
    assert "none was written" in told
    assert "there is no entry named 'nobody'" in told
    assert [entry["name"] for entry in shell.json("list")] == ["a", "b", "c"]
    assert shell.ok("remove", "a", "b", "a") == "removed 2 entries: a, b\n"
    assert [entry["name"] for entry in shell.json("list")] == ["c"]
    assert shell.ok("remove", "--prefix", "x", "--yes") == "removed no entry\n"


def test_many_entries_are_paused_and_resumed(shell: Shell, caller: Caller, valkey: Server) -> None:
    for name in ("a.1", "a.2", "b.1"):
        shell.ok("add", name, "proj.a", "--every", "1h", "--tag", name[:1], "--tag", "all")
    declared = Entry("code", "proj.c", habeat.every(60), owner="config")
    now_ms = EntryStore(caller).read([]).now_ms
    write = Write("code", "", encode(declared), owned=True, position=Position(now_ms, None, None))
    assert EntryStore(caller).write([write]) is None
    valkey.admin.hset(BASE + "entries", "bad", b"{")

    def states() -> dict[str, str]:
        return {entry["name"]: entry["state"] for entry in shell.json("list")}

    assert shell.ok("pause", "--prefix", "a.", "--reason", "move") == (
        "paused 2 entries: a.1, a.2\n"
    )
    assert "paused already: 2 entries" in shell.ok("pause", "--tag", "a", "--tag", "all")
    assert states()["b.1"] == "active"
    told = shell.fails(1, "pause", "a.1", "nobody", "b.1")
    assert "none was written" in told
    assert states()["b.1"] == "active"
    done = shell.json("pause", "--each", "--yes", "--until", "1w")
    assert set(done["names"]) == {"a.1", "a.2", "b.1", "bad", "code"}
    assert states()["code"] == "paused", "beat_schedule's entries can be paused, too"
    done = shell("resume", "--each", "--json")
    told_json = json.loads(done.stdout)
    assert (done.exit_code, told_json["resumed"]) == (1, 4)
    assert "cannot be read" in told_json["refused"]["bad"] or "bad" in told_json["refused"]
    assert set(states().values()) == {"active", "quarantined"}
    assert shell.json("resume", "a.1", "a.2") == {
        "resumed": 0,
        "names": [],
        "unchanged": ["a.1", "a.2"],
        "refused": {},
    }
    past = ("--until", "2020-01-01T00:00:00Z")
    assert "later than now" in shell.fails(2, "pause", "--each", "--yes", *past)
    assert "in the future" in shell.fails(2, "pause", "--all", "--yes", *past)
    for command in ("pause", "resume", "trigger"):
        for argv in ((), ("a.1", "--all"), ("--all", "--prefix", "a"), ("a.1", "--tag", "x")):
            assert "give either names, or --prefix and --tag, or --all" in shell.fails(
                2, command, *argv
            )


@pytest.mark.parametrize("command", ["pause", "trigger"])
def test_all_entries_are_paused_or_triggered_only_after_a_question(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name in ("a", "b"):
        shell.ok("add", name, "proj.a", "--every", "1h")
    monkeypatch.setattr("habeat.cli.choosing.on_a_terminal", lambda: True)
    declined = shell(command, "--all", stdin="n\n")
    assert declined.exit_code == 1
    assert f"{command} all 2 entries?" in declined.stderr
    assert {entry["state"] for entry in shell.json("list")} == {"active"}
    assert not valkey.admin.exists(BASE + "requests")
    shell.ok(command, "--all", stdin="y\n")
    shell.ok(command, "--all", "--yes")
    shell.ok(command, "a")
    monkeypatch.undo()
    shell.ok(command, "--all", stdin="")


def test_many_entries_are_triggered(shell: Shell, valkey: Server) -> None:
    for name in ("a.1", "a.2", "b"):
        shell.ok("add", name, "proj.a", "--every", "1h", "--tag", "t")
    assert shell.ok("trigger", "--prefix", "a.") == "triggered 2 entries: a.1, a.2\n"
    assert valkey.admin.hlen(BASE + "requests") == 2
    done = shell.json("trigger", "--tag", "t", "--request-id", "r", "--args", "[1]")
    assert (done["triggered"], done["refused"]) == (3, {})
    again = shell.ok("trigger", "--all", "--yes", "--request-id", "r")
    assert again == "triggered no entry\ntriggered before, not again: 3 entries\n"
    assert valkey.admin.hlen(BASE + "requests") == 5
    assert "none was written" in shell.fails(1, "trigger", "b", "nobody")
    assert valkey.admin.hlen(BASE + "requests") == 5
    valkey.admin.hset(BASE + "entries", "bad", b"{")
    shown = shell("trigger", "--all", "--yes")
    assert shown.exit_code == 1
    assert "refused: bad: " in shown.stdout


def test_entries_of_beat_schedule(shell: Shell, caller: Caller) -> None:
    entry = Entry("code", "proj.c", habeat.every(60), owner="config")
    now_ms = EntryStore(caller).read([]).now_ms
    write = Write("code", "", encode(entry), owned=True, position=Position(now_ms, None, None))
    assert EntryStore(caller).write([write]) is None
    for argv in (["update", "code", "--queue", "q"], ["remove", "code"]):
        assert "beat_schedule" in shell.fails(1, *argv)
    assert "beat_schedule" in shell.ok("show", "code")
    assert shell.json("list", "--owner", "config")[0]["name"] == "code"


def test_list_is_complete_in_a_pipe_and_fits_a_terminal(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, task = "a-name-of-some-length-that-says-much", "proj.tasks.reports.monthly"
    berlin = ("--cron", "5,15,25,35 8-17 * * mon-fri", "--tz", "Europe/Berlin")
    shell.ok("add", name, task, *berlin, "--queue", "slow")
    shell.ok("add", "b", "proj.b", "--every", "1h")
    valkey.admin.hset(BASE + "entries", "bad", b"{")
    lines = shell.ok("list").splitlines()
    headings = "NAME TASK SCHEDULE QUEUE NEXT DUE LAST RUN STATE"
    assert lines[0].split() == headings.split()
    for part in (name, task, "Monday to Friday, Europe/Berlin", " slow ", " never ", "active"):
        assert part in lines[1]
    assert " celery " in lines[2], "the queue that the app's settings choose"
    assert lines[3].endswith("quarantined")
    assert lines[-1] == "3 entries: 2 active, 1 quarantined"
    for columns, left_out in ((80, "no room for QUEUE: "), (66, "no room for QUEUE, TASK")):
        monkeypatch.setattr("habeat.cli.tables.terminal_columns", lambda at=columns: at)
        lines = shell.ok("list").splitlines()
        assert max(map(len, lines[:-2])) <= columns
        assert "…, Europe/Berlin" in lines[1], "the zone is cut last"
        assert lines[-2].startswith(left_out)
    assert max(map(len, shell.ok("preview", "b").splitlines())) <= 80
    assert "quarantined: " in shell.ok("show", "bad")


def test_the_queue_of_an_entry_is_where_celery_would_send_it(shell: Shell) -> None:
    shell.app.conf.task_routes = {"proj.routed": {"queue": "by-route"}}

    @shell.app.task(name="proj.own", queue="by-task")  # type: ignore[untyped-decorator]
    def own() -> None: ...

    shell.ok("add", "a", "proj.routed", "--every", "1h")
    shell.ok("add", "b", "proj.own", "--every", "1h")
    shell.ok("add", "c", "proj.own", "--every", "1h", "--option", "exchange=x")
    queues = [re.split("  +", line)[3] for line in shell.ok("list").splitlines()[1:4]]
    assert queues == ["by-route", "by-task", "x"]


def test_a_router_that_fails_does_not_hide_the_list(shell: Shell) -> None:
    def route(*given: Any, **more: Any) -> None:
        raise ValueError("a router")

    shell.app.conf.task_routes = (route,)
    shell.ok("add", "a", "proj.a", "--every", "1h")
    assert " ? " in shell.ok("list")


def test_on_a_terminal_there_are_colours_unless_they_are_refused(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "proj.py").write_text(
        f"from celery import Celery\napp = Celery('proj', broker={shell.url!r})\n"
    )
    shell.ok("add", "a", "proj.a", "--cron", "0 8 * * *", "--tz", "Europe/Berlin")
    command = [sys.executable, "-m", "celery", "-A", "proj"]
    path = os.pathsep.join((str(tmp_path), *sys.path))

    def on_terminal(*argv: str, columns: int = 80, **more: str) -> str:
        env = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", **more}
        for name in ("COLUMNS", "NO_COLOR"):
            if name not in more:
                env.pop(name, None)
        return said_on_a_terminal([*command, *argv], tmp_path, env, columns)

    shown = on_terminal("habeat", "list")
    assert "\x1b[32mactive" in shown
    assert "\x1b[1mNAME" in shown
    wide = on_terminal("habeat", "list", columns=120)
    assert "at 08:00, Europe/Berlin" in wide
    assert "\x1b[" not in on_terminal("habeat", "list", NO_COLOR="1")
    assert "\x1b[" not in on_terminal("--no-color", "habeat", "list")
    assert "\x1b[31mPROBLEM: no leader" in on_terminal("habeat", "status")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["show", "t"], ["tick", "tenant-7:report"]),
        (["show", "x"], []),
        (["pause", "tick", "t"], ["tenant-7:report"]),
        (["show", "tenant-7", ":", "r"], ["report"]),
        (["pause", "tick", "tenant-7", ":"], ["report"]),
        (["dead", "list", "--entry", "ti"], ["tick"]),
        (["history", "--outcome", "la"], ["late"]),
        (["pau"], ["pause"]),
    ],
)
def test_names_are_completed_in_bash(
    shell: Shell, tmp_path: Path, words: list[str], completed: list[str]
) -> None:
    for name in ("tenant-7:report", "tick", "other"):
        shell.ok("add", name, "proj.a", "--every", "1h")
    (tmp_path / "proj.py").write_text(
        f"from celery import Celery\napp = Celery('proj', broker={shell.url!r})\n"
    )
    line = ["celery", "-A", "proj", "habeat", *words]
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['celery']; " + MAIN],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path)),
            "_CELERY_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(line),
            "COMP_CWORD": str(len(line) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = [each.partition(",")[2] for each in done.stdout.split()]
    assert (sorted(found), done.stderr) == (sorted(completed), "")


@pytest.mark.slow
def test_bash_runs_nothing_that_is_in_a_name(shell: Shell, tmp_path: Path) -> None:
    """The line is typed on a terminal: part of a name, Tab, Enter."""
    shell.ok("add", "tenant-1:x$(touch${IFS}ran)", "proj.a", "--every", "1h")
    shell.ok("add", "tenant-2:report", "proj.a", "--every", "1h")
    env = environment_of_shells(shell, tmp_path)
    words = BashComplete(group, {}, "celery", "_CELERY_COMPLETE").source()
    (tmp_path / "rc").write_text(f"PS1='ready> '\n{words}")
    typed = [
        f"celery -A proj habeat show {name}\t\necho end-$((40 + {count}))\n"
        for count, name in enumerate(("tenant-1:x", "tenant-2:r"))
    ]
    argv = ["bash", "--noprofile", "--rcfile", "rc", "-i"]
    said = typed_in(argv, typed, ["end-40", "end-41"], tmp_path, env)
    assert "no entry named 'tenant-1:x'" in said
    assert "tenant-2:report" in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_zsh_runs_nothing_that_is_in_a_name(shell: Shell, tmp_path: Path) -> None:
    need("zsh", bool(which("zsh")), "apt-get install zsh")
    shell.ok("add", "tenant-1:x$(touch${IFS}ran)", "proj.a", "--every", "1h")
    shell.ok("add", "tenant-2:a,b", "proj.a", "--every", "1h")
    env = environment_of_shells(shell, tmp_path) | {"ZDOTDIR": str(tmp_path)}
    words = ZshComplete(group, {}, "celery", "_CELERY_COMPLETE").source()
    begin = "autoload -Uz compinit; compinit -u -D"
    (tmp_path / ".zshrc").write_text(
        f"{begin}\n{words}\nPS1='ready> '\nunsetopt zle_bracketed_paste"
    )
    typed = [
        f"celery -A proj habeat show {name}\t\necho end-$((40 + {count}))\n"
        for count, name in enumerate(("tenant-1:x", "tenant-2:"))
    ]
    said = typed_in(["zsh", "-i"], typed, ["end-40", "end-41"], tmp_path, env)
    assert "no entry named 'tenant-1:x'" in said
    assert re.search(r"name +tenant-2:a,b", said)
    assert not (tmp_path / "ran").exists()


def test_fish_is_offered_whole_names(shell: Shell, tmp_path: Path) -> None:
    """Celery's script for fish cuts each line at its commas."""
    need("fish", bool(which("fish")), "apt-get install fish")
    for name in ("tenant-1:x$(touch${IFS}ran)", "tenant-2:report", "tenant-2:a,b", "tenant-2:$x"):
        shell.ok("add", name, "proj.a", "--every", "1h")
    env = environment_of_shells(shell, tmp_path) | {"HOME": str(tmp_path)}
    (tmp_path / "rc").write_text(FishComplete(group, {}, "celery", "_CELERY_COMPLETE").source())
    line = "complete -C 'celery -A proj habeat show tenant-'"
    argv = ["fish", "--no-config", "-c", f"source rc; {line}"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["tenant-2:report"], "")
    assert not (tmp_path / "ran").exists()


def environment_of_shells(shell: Shell, tmp_path: Path) -> dict[str, str]:
    """Where the command `celery` finds the app `proj` of this test."""
    (tmp_path / "proj.py").write_text(
        f"from celery import Celery\napp = Celery('proj', broker={shell.url!r})\n"
    )
    (tmp_path / "celery").write_text(
        f"#!{sys.executable}\nimport sys; sys.argv[0] = 'celery'\n{MAIN}\n"
    )
    (tmp_path / "celery").chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(tmp_path), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path)),
        "TERM": "dumb",
    }


def typed_in(
    argv: list[str], lines: list[str], ends: list[str], cwd: Path, env: dict[str, str]
) -> str:
    """What a shell shows while these are typed, each after the end of the one before."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    running = subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    said = ""
    try:
        for awaited, line in zip(["ready> ", *ends], [*lines, ""], strict=True):
            deadline = time.monotonic() + 60
            while awaited not in said:
                ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
                assert ready, said
                said += os.read(master, 4096).decode()
            os.write(master, line.encode())
    finally:
        running.kill()
        running.wait()
        os.close(master)
    return said


def test_names_that_a_shell_reads_otherwise_are_not_offered(shell: Shell) -> None:
    names = ["--all", "=ls", "a b", "a;b", "`id`", "$HOME", "~", "it's", "a*", "fine", "a:b@c/d.e"]
    for name in names:
        Client(shell.app).add(name, "proj.a", habeat.every(60))
    context = click.Context(group)
    context.obj = CLIContext(shell.app, no_color=True, workdir=None)
    command = group.get_command(context, "show")
    assert command is not None
    offered = entry_names(click.Context(command, parent=context), command.params[0], "")
    assert [each.value for each in offered] == ["a:b@c/d.e", "fine"]


def test_completion_without_redis_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("habeat.cli.completion.TIMEOUT_S", 0.2)
    context = click.Context(group)
    context.obj = CLIContext(Celery("proj", broker="redis://127.0.0.1:1/0"), True, None)
    command = group.get_command(context, "show")
    assert command is not None
    assert entry_names(click.Context(command, parent=context), command.params[0], "t") == []


def said_on_a_terminal(argv: list[str], cwd: Path, env: dict[str, str], columns: int) -> str:
    """What a command prints on a terminal of this width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    done = subprocess.Popen(argv, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    try:
        while part := os.read(master, 4096):
            said += part
    except OSError:  # the command has closed the terminal
        pass
    os.close(master)
    assert done.wait(timeout=60) == 0, said
    return said.decode()


def test_preview(shell: Shell) -> None:
    slots = shell.json(
        *("preview", "--cron", "30 2 * * *", "--tz", "Europe/Berlin"),
        *("--count", "2", "--start", "2026-03-28T00:00:00+00:00"),
    )
    assert [slot["nominal"] for slot in slots] == [
        "2026-03-28T01:30:00.000Z",
        "2026-03-29T01:00:00.000Z",
    ]
    shown = shell.ok("preview", "--every", "5m", "--count", "3")
    assert len(shown.splitlines()) == 3
    assert "in " in shown


def test_history_and_drift(shell: Shell, caller: Caller, valkey: Server) -> None:
    shell.ok("add", "a", "proj.a", "--every", "1h")
    now_ms = EntryStore(caller).read([]).now_ms
    for late_ms in (5, 700):
        valkey.admin.xadd(
            BASE + "ledger",
            {"entry": "a", "slot": now_ms, "outcome": "sent", "until": now_ms, "late": late_ms},
        )
        valkey.admin.hincrby(BASE + "lateness:a", str(late_ms - late_ms % 4), 1)
    valkey.admin.hset(BASE + "lateness:a", "max", "700")
    valkey.admin.xadd(
        BASE + "ledger",
        {
            "entry": "b",
            "slot": now_ms,
            "outcome": "skipped",
            "until": now_ms + 5,
            "reason": "paused",
            "count": 12,
        },
    )
    lines = shell.ok("history").splitlines()
    assert lines[0].split() == ["ENTRY", "SLOT", "OUTCOME", "LATE", "TASK", "ID", "WHY"]
    assert "12 slots until" in lines[1]
    assert "700 ms" in lines[2]
    named = shell.ok("history", "b").splitlines()
    assert named[0].split() == ["SLOT", "OUTCOME", "LATE", "TASK", "ID", "WHY"]
    assert "skipped" in named[1].split()[2:4]
    assert "with this outcome" in shell.ok("history", "b", "--outcome", "late")
    lines = shell.ok("history", "a", "--limit", "1").splitlines()
    assert (len(lines), lines[2]) == (
        3,
        "older records are not shown; for more, give a --limit above 1",
    )
    assert len(shell.ok("history", "a", "--limit", "2").splitlines()) == 3
    assert [each["lateness_ms"] for each in shell.json("history", "a")] == [700, 5]
    (row,) = shell.json("drift", "--since", "1h")
    percentiles = {"p50_ms": 5, "p90_ms": 700, "p99_ms": 700}
    assert row == {"entry": "a", "count": 2, **percentiles, "max_ms": 700}
    assert shell.ok("drift").splitlines()[2].split()[:3] == ["a", "5", "ms"]


def test_history_says_why_in_every_row_and_names_the_message(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot, identity = 1_790_000_000_000, "1790000000000-0"
    valkey.admin.hset(BASE + "meta", "cluster", "c1")
    sent: dict[Any, Any] = {
        "entry": "a",
        "slot": slot,
        "until": slot,
        "outcome": "sent",
        "attempt": 1,
    }
    for place, more in enumerate(
        (
            {},
            {"reason": "trigger", "request": "r%3A1"},
            {"outcome": "late", "reason": "misfire: all", "late": 90_000, "attempt": 2},
            {"outcome": "late", "late": 4_000},
            {"outcome": "missed", "reason": "misfire: window", "count": 3},
            {"outcome": "sent", "reason": "trigger"},
        )
    ):
        valkey.admin.xadd(BASE + "ledger", {**sent, **more}, id=f"{slot}-{place + 1}")
    rows = shell.json("history")[::-1]
    assert [row["why"] for row in rows] == [
        "on time",
        "triggered by hand",
        "caught up (misfire: all); attempt 2",
        "more than 1 s after it was due",
        "not caught up (misfire: window)",
        "triggered by hand",
    ]
    of_slot = Firing("a", slot, slot).task_id("c1")
    of_request = Firing("a", slot, slot, request="r:1").task_id("c1")
    ids = [row["task_id"] for row in rows]
    assert ids == [of_slot, of_request, of_slot, of_slot, None, None]
    assert [row["request_id"] for row in rows] == [None, "r:1", *[None] * 4]
    assert rows[0]["id"] > identity
    table = shell.ok("history").splitlines()
    assert of_request in table[5]
    assert table[5].endswith("triggered by hand")
    monkeypatch.setattr("habeat.cli.tables.terminal_columns", lambda: 80)
    narrow = shell.ok("history").splitlines()
    assert max(map(len, narrow)) <= 80
    assert of_request[:8] in narrow[5]


def test_history_shows_what_happened_to_the_schedule_among_its_slots(
    shell: Shell, caller: Caller, valkey: Server
) -> None:
    slot: dict[Any, Any] = {"entry": "a", "slot": 1, "until": 1, "outcome": "sent", "epoch": 7}
    valkey.admin.xadd(BASE + "ledger", slot, id="1790000000000-1")
    change = {"code": "leader_acquired", "replica": "bb", "host": "beta", "pid": 22, "epoch": 9}
    before = {"from_replica": "aa", "from_host": "alpha", "from_pid": 11, "from_epoch": 7}
    more = {"cause": "crash", "since": 1_790_000_000_100, "until": 1_790_000_000_900}
    valkey.admin.xadd(BASE + "events", {**change, **before, **more}, id="1790000000900-0")
    lost = {**slot, "outcome": "missed", "reason": "misfire: skip", "queue": "mail", "epoch": 9}
    valkey.admin.xadd(BASE + "ledger", lost, id="1790000001000-0")
    newest, middle, oldest = shell.json("history")
    assert [each["kind"] for each in (newest, middle, oldest)] == ["slot", "event", "slot"]
    assert (newest["host"], newest["pid"], newest["queue"]) == ("beta", 22, "mail")
    assert (oldest["host"], oldest["pid"], oldest["replica"]) == ("alpha", 11, "aa")
    assert middle["span_ms"] == 800
    lines = shell.ok("history").splitlines()
    assert "beta pid 22 leads: alpha pid 11 crashed; gap 800 ms" in lines[2]
    assert "event" in lines[2].split()
    wide = shell.ok("history", "--wide").splitlines()
    assert wide[0].split()[-4:] == ["QUEUE", "LEADER", "EPOCH", "WHY"]
    assert "mail" in wide[1]
    assert "alpha pid 11" in wide[3]
    assert len(shell.json("history", "--no-events")) == 2
    assert len(shell.json("history", "a")) == 2
    assert len(shell.json("history", "a", "--events")) == 3
    assert [each["kind"] for each in shell.json("history", "--outcome", "missed")] == ["slot"]
    assert [each["kind"] for each in shell.json("history", "--limit", "2")] == ["slot", "event"]
    until = shell.json("history", "--until", "2026-09-21T14:13:20.500Z")
    assert [each["id"] for each in until] == ["1790000000000-1"]
    assert shell.json("history", "a", "--until", "2026-09-21T14:13:20.500Z") == until
    assert "--until" in shell.fails(2, "history", "--follow", "--until", "1h")


def test_a_ledger_of_an_older_release_names_no_host(shell: Shell, valkey: Server) -> None:
    slot: dict[Any, Any] = {"entry": "a", "slot": 1, "until": 1, "outcome": "sent", "epoch": 7}
    valkey.admin.xadd(BASE + "ledger", slot)
    valkey.admin.hset(BASE + "meta", mapping={"leader": "7:old", "leader_at": "5:new 22 beta"})
    (record,) = shell.json("history")
    assert (record["host"], record["pid"], record["queue"]) == (None, None, None)


def test_history_of_chosen_outcomes(shell: Shell, valkey: Server) -> None:
    for outcome in ("sent", "late", "missed"):
        record: dict[Any, Any] = {"entry": "a", "slot": 1, "until": 1, "outcome": outcome}
        valkey.admin.xadd(BASE + "ledger", record)
    found = shell.json("history", "--outcome", "late", "--outcome", "missed")
    assert [row["outcome"] for row in found] == ["missed", "late"]
    found = shell.json("history", "a", "--outcome", "sent", "--limit", "1")
    assert [row["outcome"] for row in found] == ["sent"]
    assert shell.fails(2, "history", "--outcome", "lost")
    assert shell.fails(2, "history", "--limit", "0")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_history_follows_what_is_written(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    def write(entry: str, outcome: str = "sent") -> None:
        slot = 1_790_000_000_000
        record: dict[Any, Any] = {"entry": entry, "slot": slot, "until": slot, "outcome": outcome}
        valkey.admin.xadd(BASE + "ledger", record)

    def more_is_written() -> None:
        for entry, outcome in (("c", "sent"), ("a", "late"), ("a", "sent")):
            write(entry, outcome)

    def redis_is_emptied() -> None:
        valkey.admin.delete(BASE + "ledger")
        valkey.admin.xadd(BASE + "ledger", {"entry": "a", "slot": 1, "outcome": "sent"}, id="5-0")

    turns = iter((more_is_written, redis_is_emptied))

    def wait(calls: Any, seconds: float) -> None:
        turn = next(turns, None)
        if turn is None:
            raise KeyboardInterrupt
        turn()

    monkeypatch.setattr("habeat.client.calls.RetryingCalls.wait", wait)
    for entry in ("a", "b", "a", "a"):
        write(entry)
    arguments = ("history", "a", "--follow", "--limit", "2", "--outcome", "sent", *more)
    lines = shell.ok(*arguments).splitlines()
    if more:
        assert [json.loads(line)["entry"] for line in lines] == ["a"] * 4
    else:
        assert lines[0].startswith("SLOT")
        assert len(lines) == 5


def test_following_shows_events_as_they_are_stored(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def happens(code: str) -> None:
        valkey.admin.xadd(BASE + "events", {"code": code, "since": 1_000, "until": 4_000})

    turns = iter((lambda: happens("redis_unavailable"), lambda: happens("broker_available")))

    def wait(calls: Any, seconds: float) -> None:
        turn = next(turns, None)
        if turn is None:
            raise KeyboardInterrupt
        turn()

    monkeypatch.setattr("habeat.client.calls.RetryingCalls.wait", wait)
    happens("broker_unavailable")
    lines = [json.loads(line) for line in shell.ok("history", "--follow", "--json").splitlines()]
    assert [line["code"] for line in lines] == [
        "broker_unavailable",
        "redis_unavailable",
        "broker_available",
    ]
    assert {line["kind"] for line in lines} == {"event"}


def test_following_survives_an_outage_of_redis(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Follower.look
    outages = iter((True, True, False))
    pauses: list[float] = []

    def look(follower: Follower) -> list[LedgerRecord]:
        if next(outages):
            raise RedisUnavailable("Redis is away")
        return found(follower)

    def wait(calls: Any, seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Follower, "look", look)
    monkeypatch.setattr("habeat.cli.records.sleep", pauses.append)
    monkeypatch.setattr("habeat.client.calls.RetryingCalls.wait", wait)
    done = shell("history", "--follow")
    assert (done.exit_code, done.stderr) == (0, "habeat: Redis is away; still trying\n")
    assert pauses == [1.0, 1.0], "there is a pause between two attempts"


def test_status_and_health(shell: Shell, caller: Caller, valkey: Server) -> None:
    lead(caller, dispatch_why="one server", skew_ms=3)
    shell.ok("add", "a", "proj.a", "--every", "1h")
    shown = shell.ok("status")
    assert max(map(len, shown.splitlines())) <= 80
    for word in (
        "alpha pid 11",
        "beta pid 12",
        "atomic: one server",
        "1 entry: 1 act",
        "2026.1",
    ):
        assert word in shown
    assert shell.ok("health") == "healthy: alpha pid 11 leads, 1 standby\n"
    assert shell.ok("health", "--require", "leader") == "healthy: alpha pid 11 leads\n"
    assert "is alive and may lead" in shell("health", "--require", "replica").stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "beta")
        assert shell.ok("health", "--require", "replica") == "healthy: beta pid 12 is alive\n"
        found = shell.json("health", "--require", "replica")
        assert found == {"required": "replica", "met": True, "replica": "beta pid 12"}
    assert "last heard" not in shown
    now_ms = EntryStore(caller).read([]).now_ms
    valkey.admin.zadd(BASE + "seen", {"second": now_ms - 9_000})
    assert re.search(r"^standbys +beta pid 12, last heard 9 s ago$", shell.ok("status"), re.M)
    assert "beta pid 12 has not registered for 9 s" in shell.ok("status")
    assert 9_000 <= shell.json("status")["quiet_ms"]["second"] < 12_000
    status = shell.json("status")
    assert (status["healthy"], status["leader"]["replica"]["host"]) == (True, "alpha")
    assert status["accounting"]["difference"] == 0
    valkey.admin.hincrby(BASE + "meta", "claimed", 1)
    assert "off by 1" in shell.ok("status")
    done = shell("health", "--json")
    assert done.exit_code == 1
    fields = json.loads(done.stdout)
    assert (fields["healthy"], len(fields["problems"])) == (False, 1)


def test_export_and_load(shell: Shell, tmp_path: Path, valkey: Server) -> None:
    shell.ok("add", "a", "proj.a", "--every", "1h", "--tag", "t")
    shell.ok("add", "b", "proj.b", "--cron", "0 8 * * *")
    file = tmp_path / "schedule.json"
    assert shell("export", "--output", str(file)).exit_code == 0
    document = shell.ok("export")
    assert json.loads(document)["entries"] == json.loads(file.read_text())["entries"]
    assert shell.ok("load", str(file)) == "2 entries unchanged\n"
    shell.ok("remove", "a")
    assert shell.ok("load", "--dry-run", str(file)).splitlines()[0] == "1 entry would be added"
    assert [entry["name"] for entry in shell.json("list")] == ["b"]
    report = shell.json("load", "-", stdin=document)
    assert (report["added"], report["unchanged"], report["written"]) == (["a"], ["b"], True)
    bad = document.replace('"interval"', '"tides"')
    done = shell("load", "-", stdin=bad)
    assert done.exit_code == 1
    assert "refused: a: " in done.stdout
    assert "nothing was written" in done.stdout
    assert "not JSON" in shell.fails(2, "load", "-", stdin="{")
    assert "habeat_export" in shell.fails(2, "load", "-", stdin="{}")
    assert shell.fails(2, "load", str(tmp_path / "none"))


def test_load_shows_its_progress_on_a_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_hour = {"kind": "interval", "every_ms": 3_600_000}
    entries = [{"name": f"e{n}", "task": "proj.a", "schedule": every_hour} for n in range(150)]
    document = json.dumps({"habeat_export": 1, "entries": entries})
    monkeypatch.setattr("habeat.cli.printing.is_watched", lambda: True)
    done = shell("load", "-", stdin=document)
    assert done.exit_code == 0
    assert done.stderr.endswith("\rloading: 100 of 150 entries\rloading: 150 of 150 entries\n")
    assert done.stdout == "150 entries added\n"


def test_redis_away_is_one_sentence_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell("redis://:hush@127.0.0.1:1/0")
    monkeypatch.setattr("habeat.client.client.Client", lambda app, **_: Client(app, timeout=0.5))
    started = time.monotonic()
    for argv in (["status"], ["health"], ["list"], ["pause", "a"]):
        done = shell(*argv)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("habeat: Redis at redis://")
        assert done.stderr.count("\n") == 1
        assert "hush" not in done.output
    done = shell("health", "--json")
    assert done.exit_code == 1
    fields = json.loads(done.stdout)
    assert fields["healthy"] is False, "a probe that reads JSON gets some"
    assert "did not answer" in fields["problems"][0]
    assert "hush" not in done.output
    error = shell.error(1, "list")
    assert (error["kind"], "did not answer" in error["message"]) == ("RedisUnavailable", True)
    assert time.monotonic() - started < 20


def test_a_bug_is_not_dressed_up_as_an_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(session: Session, *given: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("habeat.client.client.read_status", broken)
    context = CLIContext(shell.app, no_color=True, workdir=None)
    done = CliRunner().invoke(group, ["status"], obj=context)
    assert isinstance(done.exception, ZeroDivisionError)


def test_bounds_pauses_and_names(shell: Shell) -> None:
    entry = shell.json(
        *("add", "a", "proj.a", "--every", "1m", "--start", "2030-01-01T09:00"),
        *("--end", "2030-02-01T00:00:00+00:00", "--max-runs", "5", "--jitter", "5s"),
        *("--spread", "1m", "--deadline", "10m", "--misfire-window", "1d", "--misfire-pace", "2"),
    )
    assert entry["start"] == "2030-01-01T09:00:00.000Z"
    assert entry["end"] == "2030-02-01T00:00:00.000Z"
    assert (entry["max_runs"], entry["runs_left"]) == (5, 5)
    assert (entry["jitter_ms"], entry["spread_ms"]) == (5_000, 60_000)
    assert (entry["deadline_ms"], entry["misfire_window_ms"]) == (600_000, 86_400_000)
    assert entry["misfire_pace"] == 2
    shown = shell.ok("show", "a")
    assert re.search(r"^start +2030-01-01 ", shown, re.MULTILINE)
    assert re.search(r"^fired +0 times of 5, 5 left$", shown, re.MULTILINE)
    assert "but none older than 1 day" in shown
    assert "spread, jitter (+" in shown
    changed = shell.json(
        *("update", "a", "--start", "none", "--end", "none", "--max-runs", "none"),
        *("--jitter", "none", "--deadline", "none", "--misfire-pace", "default"),
    )
    assert (changed["start"], changed["end"], changed["max_runs"]) == (None, None, None)
    assert (changed["jitter_ms"], changed["deadline_ms"], changed["misfire_pace"]) == (
        0,
        None,
        None,
    )
    for option, written in (
        ("--start", "tomorrow"),
        ("--max-runs", "many"),
        ("--max-runs", "0"),
        ("--jitter", "soon"),
        ("--misfire-pace", "0"),
        ("--misfire-pace", "nan"),
    ):
        shell.fails(2, "update", "a", option, written)

    paused = shell.json("pause", "a", "--reason", "why", "--until", "2h")
    assert (paused["state"], paused["paused"]) == ("paused", "why")
    assert "until" in shell.ok("show", "a")
    assert "later than now" in shell.fails(2, "pause", "a", "--until", "2020-01-01T00:00:00Z")
    assert shell.json("resume", "a", "--from", "paused")["state"] == "active"
    assert shell.fails(2, "resume", "a", "--from", "yesterday")

    assert shell.json("rename", "a", "b")["name"] == "b"
    assert "no entry named" in shell.fails(1, "rename", "a", "c")
    assert "b is active" in shell.ok("rename", "b", "b")


def test_rules_of_rfc_5545(shell: Shell) -> None:
    rule = "DTSTART:20300101T090000\nRRULE:FREQ=DAILY;COUNT=3"
    entry = shell.json("add", "a", "proj.a", "--rrule", rule, "--tz", "Asia/Tokyo")
    assert entry["schedule"]["kind"] == "rrule"
    assert len(shell.json("preview", "a")) == 3


def test_extra_firings(shell: Shell) -> None:
    shell.ok("add", "a", "proj.a", "--cron", "* * * * *")
    assert shell.json("trigger", "a", "--args", "[1]", "--request-id", "r") == {
        "entry": "a",
        "request_id": "r",
        "known": False,
    }
    assert "was already made" in shell.ok("trigger", "a", "--request-id", "r")
    assert "a will fire" in shell.ok("trigger", "a")
    assert "no entry named" in shell.fails(1, "trigger", "nobody")
    assert "invalid --request-id 'a b'" in shell.fails(2, "trigger", "a", "--request-id", "a b")

    span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T01:00:00Z")
    dry = shell.json("backfill", "a", *span, "--dry-run")
    assert (dry["count"], dry["first"], dry["dry_run"]) == (60, "2026-01-01T00:01:00.000Z", True)
    assert "would fire 60 slots of a, 2026-01-01 00:01:00 to" in shell.ok(
        "backfill", "a", *span, "--dry-run"
    )
    assert "12s at this pace" in shell.ok("backfill", "a", *span, "--pace", "5")
    assert shell.json("backfill", "a", "--from", "1h", "--request-id", "b")["count"] in (59, 60)
    assert "was already made" in shell.ok("backfill", "a", "--from", "1h", "--request-id", "b")
    nothing = ("--from", "2026-01-01T00:00:01Z", "--to", "2026-01-01T00:00:02Z")
    assert "no slots in that period" in shell.ok("backfill", "a", *nothing)
    assert "not later than now" in shell.fails(
        2, "backfill", "a", "--from", "1h", "--to", "2090-01-01T00:00:00Z"
    )
    assert shell.fails(2, "backfill", "a")


def test_preview_between_two_dates_in_local_time_and_utc(shell: Shell) -> None:
    schedule = ("--cron", "30 2 * * *", "--tz", "Europe/Berlin")
    span = ("--start", "2026-03-28T00:00:00Z", "--until", "2026-03-30T12:00:00Z")
    slots = shell.json("preview", *schedule, *span)
    assert [(slot["nominal_local"], slot["marks"]) for slot in slots] == [
        ("2026-03-28T02:30:00.000+01:00", []),
        ("2026-03-29T03:00:00.000+02:00", ["gap"]),
        ("2026-03-30T02:30:00.000+02:00", []),
    ]
    assert {slot["zone"] for slot in slots} == {"Europe/Berlin"}
    lines = shell.ok("preview", *schedule, *span).splitlines()
    assert "03:00:00 CEST  01:00:00 UTC" in lines[1]
    assert lines[1].endswith("gap")
    assert len(shell.json("preview", "--every", "1m", "--until", "2h")) == 120
    assert "--until" in shell.fails(2, "preview", "--every", "1s", "--until", "1d")


def test_simulate(shell: Shell) -> None:
    for number in range(12):
        shell.ok("add", f"n{number:02}", "proj.n", "--cron", "0 3 * * *")
    shell.ok("add", "often", "proj.o", "--cron", "*/10 * * * *")
    shell.ok("add", "off", "proj.o", "--every", "5", "--disabled")
    span = ("--from", "2030-01-01T00:00:00Z", "--to", "2030-01-02T00:00:00Z")
    found = shell.json("simulate", *span, "--spread", "1h")
    assert (found["entries"], found["left_out"]) == (13, {"off": "disabled"})
    assert (found["firings"], found["highest"], len(found["per_minute"])) == (156, 13, 1_440)
    assert found["per_minute"][180] == 13
    assert found["peaks"][0]["at"] == "2030-01-01T03:00:00.000Z"
    assert found["with_spread"]["highest"] < 6
    assert found["spread_ms"] == 3_600_000
    shown = shell.ok("simulate", *span, "--spread", "1h")
    assert max(map(len, shown.splitlines())) <= 80
    assert "13 entries, 156 firings in 1440 minutes" in shown
    assert "n00, n01, n02 and 10 more" in shown
    assert "instead of 13" in shown
    assert len([line for line in shown.splitlines() if "#" * 30 in line]) == 1
    assert "0 firings" in shell.ok("simulate", "--from", "2030-01-01T00:01:00Z", "--to", "5m")
    assert shell.fails(2, "simulate", "--spread", "much")
    assert shell.fails(2, "simulate", "--to", "400d")


def test_list_and_show_mark_an_entry_whose_task_is_unknown(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(valkey.url(), prefix="habeat:proj")
    client.add("good", "proj.a", 60)
    client.add("typo", "proj.aa", 60)
    assert "unregistered" not in shell.ok("list"), "no leader has said which tasks there are"
    known = KnownTasks(frozenset(["proj.a"]))
    valkey.admin.set(BASE + "tasks", known.to_text())
    rows = {line.split()[0]: line for line in shell.ok("list").splitlines()}
    assert "active, unregistered" in rows["typo"]
    assert "unregistered" not in rows["good"]
    with monkeypatch.context() as narrow:
        narrow.setattr("habeat.cli.tables.terminal_columns", lambda: 70)
        lines = shell.ok("list").splitlines()
    assert next(line for line in lines if line.startswith("typo")).endswith(" active*")
    assert lines[-1].startswith("* 1 entry with an unregistered task: ")
    marks = {each["name"]: each["unregistered"] for each in shell.json("list")}
    assert marks == {"good": False, "typo": True}
    assert "UNREGISTERED TASK" in shell.ok("show", "typo")
    assert "UNREGISTERED TASK" not in shell.ok("show", "good")
    assert "proj.aa" in shell.ok("pause", "typo").splitlines()[-1]
    valkey.admin.delete(BASE + "tasks")
    valkey.admin.lpush(BASE + "tasks", "of another program")
    assert "unregistered" not in shell.ok("list")
