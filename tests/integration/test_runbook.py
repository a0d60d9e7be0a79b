"""docs/guides/disaster.md, rehearsed: the accidents, and then the commands of the page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from habeat.client import Client
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.integration.test_reconcile import GOOD, Deploy, StandingLead
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "disaster.md"
PREFIX = "habeat:proj"
BASE = "{habeat:proj}:"
COMMAND = "$ celery -A proj habeat "


def commands(heading: str) -> list[list[str]]:
    """The commands under a heading of the page, in order."""
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (found,) = [each for each in section if each.startswith(f"{heading}\n")]
    lines = [line.strip() for line in found.splitlines()]
    return [shlex.split(line.removeprefix(COMMAND)) for line in lines if line.startswith(COMMAND)]


@pytest.fixture
def shell(valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(valkey.url())


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


class Cluster:
    """The entries of the code, stored by a leader, and one of the API; backed up."""

    def __init__(self, server: Server, shell: Shell, client: Client) -> None:
        self.bench = Bench(server, prefix=PREFIX, app="proj")
        self.lead()
        client.pause("cleanup", "migration")
        client.add("nightly-report", "proj.tasks.report", 86_400, max_runs=5)
        run(shell, commands("Prepare"))

    def lead(self) -> None:
        """A leader stores the entries of beat_schedule."""
        lead = StandingLead(self.bench, self.bench.lead())
        Deploy(self.bench, make_app(), 1, {"cleanup": GOOD, "hourly": GOOD}).lead(lead)


@pytest.fixture
def cluster(valkey: Server, shell: Shell, client: Client) -> Cluster:
    return Cluster(valkey, shell, client)


def run(shell: Shell, words: list[list[str]]) -> str:
    """Run these commands; returns what they printed."""
    assert words
    printed = []
    for each in words:
        # `status` fails where no beat runs, and none does in this test.
        printed.append(shell(*each).output if each[0] == "status" else shell.ok(*each))
    return "\n".join(printed)


def test_a_lost_redis(cluster: Cluster, shell: Shell, client: Client) -> None:
    cluster.bench.admin.flushall()
    cluster.lead()
    assert client.get("cleanup").state.paused is None
    out = run(shell, commands("Redis is empty"))
    assert "1 would be added: nightly-report" in out
    assert "1 paused: cleanup" in out
    assert client.get("nightly-report").max_runs == 5
    assert client.get("cleanup").state.paused == "migration"
    assert client.history(outcome=["sent", "late", "missed"]) == []


def test_a_wrong_restore(cluster: Cluster, shell: Shell, client: Client) -> None:
    cluster.bench.admin.flushall()
    cluster.lead()
    client.add("mine", "proj.tasks.mine", 3_600)
    before = {each.name: each.definition() for each in client.list()}
    shell.ok("restore", "backup.json", "--replace", "--apply")
    assert client.get("nightly-report")
    out = run(shell, commands("The wrong backup was restored"))
    assert "1 removed: nightly-report" in out
    assert {each.name: each.definition() for each in client.list()} == before
    assert client.get("cleanup").state.paused is None


def test_a_poisoned_key(cluster: Cluster, shell: Shell, client: Client) -> None:
    cluster.bench.admin.hset(f"{BASE}entries", "nightly-report", b"\x80\x04 a pickle")
    steps = commands("A key is poisoned")
    out = run(shell, steps[:-1])
    assert "nightly-report" in out
    assert "1 changed: nightly-report" in out
    assert client.get("nightly-report").condition == "active"
    cluster.bench.admin.hset(f"{BASE}entries", "nightly-report", b"\x80\x04 a pickle")
    run(shell, steps[-1:])
    assert client.get("nightly-report").condition == "active"


def test_deleted_definitions(cluster: Cluster, shell: Shell, client: Client) -> None:
    position = client.get("nightly-report").state.cursor_ms
    cluster.bench.admin.delete(f"{BASE}entries")
    assert "3 entries of these continue" in shell.ok("restore", "backup.json", "--apply")
    assert client.get("nightly-report").state.cursor_ms == position


def test_a_fresh_start(cluster: Cluster, shell: Shell, client: Client) -> None:
    for words in commands("Someone deleted keys"):
        shell.ok(*words, *(["--yes", "--force"] if words[0] == "purge" else []))
    names: Any = {each.name for each in client.list()}
    assert names == {"cleanup", "hourly", "nightly-report"}
