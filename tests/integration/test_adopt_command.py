"""`adopt` as a person and a program see it."""

from __future__ import annotations

import json

import habeat
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.servers.redis_server import Server

OLD = "habeat:old"


def old_app(valkey: Server) -> Bench:
    """The old prefix, with an entry that can be moved and one whose name is taken."""
    bench = Bench(valkey, prefix=OLD, app="old")
    bench.leases.release(bench.lead("alpha"), "alpha")
    with habeat.Client(valkey.url(), prefix=OLD) as client:
        client.add("report", "proj.work", 60)
        client.add("taken", "proj.work", 60)
    return bench


def test_a_prefix_that_is_no_text_is_refused(shell: Shell) -> None:
    error = shell.error(2, "adopt", "--from", "\udcff")
    assert "expected the key prefix of the app's beats" in error["message"]


def test_what_was_moved_and_what_was_refused(valkey: Server, shell: Shell) -> None:
    old_app(valkey)
    shell.ok("add", "taken", "proj.work", "--every", "90")
    tried = shell("adopt", "--from", OLD, "--dry-run")
    assert (tried.exit_code, tried.stdout.splitlines()[0]) == (
        1,
        "1 entry made through the API would be moved from habeat:old",
    )
    done = shell("adopt", "--from", OLD)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "1 entry made through the API moved from habeat:old",
        "  report",
        "refused: taken: the API has an entry of this name here: rename or remove one of them",
    ]
    again = shell("adopt", "--from", OLD, "--json")
    found = json.loads(again.stdout)
    assert (again.exit_code, found["adopted"], list(found["refused"])) == (1, [], ["taken"])


def test_beats_that_run_are_an_error(valkey: Server, shell: Shell) -> None:
    bench = old_app(valkey)
    bench.leases.register("alpha", json.dumps({"host": "alpha", "pid": 7}), "f", 0)
    assert "alpha pid 7" in shell.fails(1, "adopt", "--from", OLD)
    assert "report" in shell.ok("adopt", "--from", OLD, "--force")


def test_a_prefix_under_which_there_is_nothing(valkey: Server, shell: Shell) -> None:
    assert "habeat:typo" in shell.fails(2, "adopt", "--from", "habeat:typo")
    assert "--from" in shell.fails(2, "adopt")
