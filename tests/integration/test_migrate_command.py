"""`migrate` from celery's own file and another key prefix, as a person and a program see it."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import PersistentScheduler
from celery.schedules import crontab

from habeat.beat.declared.beat_schedule import declare
from habeat.client import Client
from habeat.entries.codec import encode
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.servers.redis_server import Server

OLD = "habeat:old"
NIGHTLY = {"task": "proj.work", "schedule": crontab(minute=0)}


def beats_file(app: Celery, path: Path, last: datetime) -> None:
    """The file that celery's beat leaves behind."""
    beat = PersistentScheduler(app, schedule_filename=str(path))
    for entry in beat.schedule.values():
        entry.last_run_at = last
        entry.total_run_count = 12
    beat.close()


def test_the_last_runs_of_celerys_beat_are_carried(shell: Shell, tmp_path: Path) -> None:
    shell.app.conf.beat_schedule = {"nightly": NIGHTLY, "period": {"task": "t", "schedule": 90}}
    last = datetime.now(UTC).replace(minute=0, second=1, microsecond=0) - timedelta(hours=2)
    path = tmp_path / "celerybeat-schedule"
    beats_file(shell.app, path, last)
    shell.app.conf.beat_schedule_filename = str(path)
    tried = shell.ok("migrate", "--from", "shelve")
    assert "3 entries of beat_schedule would continue from the last run" in tried
    assert "--sent-until" in tried
    done = shell.json("migrate", "--from", "shelve", "--schedule", str(path), "--apply")
    assert {row["action"] for row in done["rows"]} == {"declare"}
    with Client(shell.app) as client:
        entry = client.get("nightly")
        assert (entry.owner, entry.state.fired, entry.state.last_fired) == ("config", 12, last)
        assert entry.state.next_slot == last + timedelta(hours=1) - timedelta(seconds=1)


def test_the_reason_of_an_entry_that_is_not_carried_is_complete_on_a_narrow_terminal(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.app.conf.beat_schedule = {"nightly": NIGHTLY, "lost": {"task": "", "schedule": 90}}
    path = tmp_path / "celerybeat-schedule"
    beats_file(shell.app, path, datetime.now(UTC))
    monkeypatch.setattr("habeat.cli.tables.terminal_columns", lambda: 80)
    printed = shell("migrate", "--from", "shelve", "--schedule", str(path))
    [row] = [line for line in printed.stdout.splitlines() if line.startswith("lost  ")]
    assert row.endswith("…")
    [reason] = [line for line in printed.stdout.splitlines() if line.startswith("lost: ")]
    assert len(reason) > 80
    assert printed.exit_code == 1


def test_a_file_that_is_missing_is_an_error(shell: Shell, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    assert missing in shell.fails(1, "migrate", "--from", "shelve", "--schedule", missing)


def old_app(valkey: Server) -> tuple[Bench, int]:
    """Another prefix with an entry of the API, and two of code that stopped an hour ago."""
    bench = Bench(valkey, prefix=OLD, app="old")
    bench.leases.release(bench.lead("alpha"), "alpha")
    cursor_ms = bench.now_ms - 3_600_000
    with Client(valkey.url(), prefix=OLD) as client:
        client.add("report", "proj.work", 60)
    entries = declare(Celery("old", set_as_current=False), {"nightly": NIGHTLY, "gone": NIGHTLY})
    for name, entry in entries.entries.items():
        bench.admin.hset(bench.keys.entries, name, encode(replace(entry, created_ms=1)))
        bench.admin.hset(bench.keys.state, name, f"{cursor_ms}||7:aa|{cursor_ms}|5")
        bench.admin.sadd(bench.keys.owned, name)
    return bench, cursor_ms


def test_another_prefix_with_the_positions_of_its_code(valkey: Server, shell: Shell) -> None:
    _, cursor_ms = old_app(valkey)
    shell.app.conf.beat_schedule = {"nightly": NIGHTLY}
    given = ("migrate", "--from", "prefix", "--old-prefix", OLD)
    tried = shell.json(*given)
    assert {row["name"]: row["action"] for row in tried["rows"]} == {
        "gone": "drop",
        "nightly": "declare",
        "report": "carry",
    }
    with Client(valkey.url(), prefix=OLD) as old, Client(shell.app) as new:
        assert len(list(old.list())) == 3
        assert list(new.list()) == []
        shell.ok(*given, "--apply")
        assert [entry.name for entry in old.list()] == ["gone", "nightly"]
        assert [entry.name for entry in new.list()] == ["nightly", "report"]
        nightly = new.get("nightly")
        assert (nightly.owner, nightly.state.cursor_ms) == ("config", cursor_ms)
        assert nightly.state.fired == 5
    assert "2 entries here already" not in shell.ok(*given, "--apply")


def test_entries_of_another_prefixs_code_continue_exactly_there(
    valkey: Server, shell: Shell
) -> None:
    """Also before the first slot of one, whose position is no slot; and a pause stays a pause."""
    bench = Bench(valkey, prefix=OLD, app="old")
    bench.leases.release(bench.lead("alpha"), "alpha")
    code = {name: {"task": "proj.work", "schedule": 3_600} for name in ("new", "paused")}
    slots_ms = {}
    for name, entry in declare(Celery("old", set_as_current=False), code).entries.items():
        slots_ms[name] = entry.next_slot_ms(bench.now_ms - 5_000_000)
        bench.admin.hset(bench.keys.entries, name, encode(replace(entry, created_ms=1)))
        bench.admin.hset(bench.keys.state, name, f"{slots_ms[name] - 1}||||0")
        bench.admin.sadd(bench.keys.owned, name)
    bench.admin.hset(bench.keys.paused, "paused", '{"reason": "repairs", "at_ms": 1}')
    shell.app.conf.beat_schedule = code
    done = shell.json("migrate", "--from", "prefix", "--old-prefix", OLD, "--apply")
    assert done["rows"][1]["notes"] == ["it is paused there: repairs"]
    with Client(shell.app) as client:
        for name, slot_ms in slots_ms.items():
            state = client.get(name).state
            assert (state.next_slot_ms, state.last_fired_ms) == (slot_ms, None)
        assert client.get("paused").condition == "paused"


def test_an_entry_whose_firing_is_in_flight_under_the_other_prefix_waits_for_it(
    valkey: Server, shell: Shell
) -> None:
    old_app(valkey)
    shell.app.conf.beat_schedule = {"nightly": NIGHTLY}
    with Client(valkey.url(), prefix=OLD) as client:
        client.trigger("nightly")
    done = shell("migrate", "--from", "prefix", "--old-prefix", OLD, "--apply")
    assert done.exit_code == 1
    assert "a trigger or backfill is pending; start a beat under habeat:old" in " ".join(
        done.stdout.split()
    )


def test_beats_of_the_other_prefix_are_an_error(valkey: Server, shell: Shell) -> None:
    bench, _ = old_app(valkey)
    bench.leases.register("alpha", json.dumps({"host": "alpha", "pid": 7}), "f", 0)
    given = ("migrate", "--from", "prefix", "--old-prefix", OLD)
    assert "alpha pid 7" in shell.ok(*given)
    assert "alpha pid 7" in shell.fails(1, *given, "--apply")
    assert "carried" in shell.ok(*given, "--apply", "--even-if-alive")


def test_a_prefix_under_which_there_is_nothing_is_an_error(shell: Shell) -> None:
    given = ("migrate", "--from", "prefix", "--old-prefix")
    assert "habeat:typo" in shell.fails(1, *given, "habeat:typo")
    assert "another prefix" in shell.fails(2, *given, "habeat:proj")
