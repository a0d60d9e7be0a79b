"""``habeat health``, which needs no app, answers as ``celery -A proj habeat health`` does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from habeat.cli import habeat as group
from habeat.cli.probe import health
from habeat.clock import SystemClock
from habeat.config.redis_target import redis_target
from habeat.ports import Known, Won
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from tests.support.servers.redis_server import Server

NOWHERE = "redis://user:hidden-word@127.0.0.1:1/0"


def celerys(url: str, *argv: str) -> Result:
    context = CLIContext(Celery("proj", broker=url), no_color=True, workdir=None)
    return CliRunner().invoke(group, ["health", *argv], obj=context)


def probe(*argv: str, **environment: str) -> Result:
    names = ("HABEAT_REDIS_URL", "HABEAT_KEY_PREFIX", "HABEAT_REDIS_OPTIONS", "CELERY_BROKER_URL")
    env = {**dict.fromkeys(names), **environment}
    return CliRunner(env=env).invoke(health, argv)


def shown(done: Result) -> tuple[int, str, str]:
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def caller(valkey: Server) -> Iterator[Caller]:
    connections = Connections(redis_target(valkey.url()))
    yield Caller(connections, Keys("habeat:proj"))
    connections.close()


def lead(caller: Caller, **facts: Any) -> None:
    leases = RedisElectionStore(caller, SystemClock(), "proj")
    assert isinstance(leases.acquire("leader", 60_000, Known()), Won)
    info = {"host": "al\x1b[31mpha", "pid": 11, "dispatch": "atomic", **facts}
    leases.register("leader", json.dumps(info), "f1", 3)


WAYS = [(), ("--json",), *(("--require", what) for what in ("leader", "replica"))]


@pytest.mark.parametrize("argv", [*WAYS, ("--require", "leader", "--json")])
def test_both_commands_give_the_same_answer(argv: Any, caller: Caller, valkey: Server) -> None:
    at = ("--url", valkey.url(), "--prefix", "habeat:proj", *argv)
    before = shown(probe(*at))
    assert before == shown(celerys(valkey.url(), *argv))
    assert before[0] == 1
    # An entry with an unregistered task is looked up, and a warning is not an error.
    lead(caller, unregistered={"a": "gone"}, unregistered_count=1)
    after = shown(probe(*at))
    assert after == shown(celerys(valkey.url(), *argv))
    assert after[0] == (1 if "replica" in argv else 0)
    assert after != before or "replica" in argv
    assert "\x1b" not in after[1]


@pytest.mark.parametrize("argv", [(), ("--json",)])
def test_both_say_the_same_of_a_redis_that_is_away(
    argv: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("habeat.cli.probe.TIMEOUT_S", 0.1)
    done = probe(*argv, HABEAT_REDIS_URL=NOWHERE, HABEAT_KEY_PREFIX="habeat:proj")
    assert done.exit_code == 1
    assert "Redis at redis://user:**@127.0.0.1:1/0 did not answer within 0.1 s" in done.output
    assert "hidden-word" not in done.output


def test_wrong_settings_are_wrong_usage_and_never_shown() -> None:
    at = ("--url", NOWHERE, "--prefix", "habeat:proj")
    for argv, said in [
        ((), "expected --url, or the URL of the Redis in HABEAT_REDIS_URL"),
        (at[:2], "expected --prefix, such as habeat:proj"),
        ((*at, "--redis-options", "hidden-word"), "invalid --redis-options: expected a JSON"),
        ((*at, "--redis-options", '{"hidden": 1}'), "unknown option 'hidden'"),
        ((*at, "--misfire-grace", "-1"), "invalid habeat_misfire_grace"),
        ((*at[:2], "--prefix", "{x}"), "invalid habeat_key_prefix"),
        ((*at, "--prefix", "again"), "--prefix can be given only once"),
        (("--url", "sentinel://hidden-word@h", *at[2:]), "needs the option 'master_name'"),
        (("--prefix", "again", *at[:2], "--require", "x"), "--require"),
    ]:
        done = probe(*argv)
        assert (done.exit_code, said in done.stderr) == (2, True), done.output
        as_json = probe(*argv, "--json")
        assert (as_json.exit_code, as_json.stderr) == (2, "")
        assert said in json.loads(as_json.stdout)["error"]["message"]
        assert "hidden-word" not in done.output + as_json.output


def test_the_broker_is_the_redis_if_none_is_named(caller: Caller, valkey: Server) -> None:
    lead(caller)
    done = probe("--prefix", "habeat:proj", CELERY_BROKER_URL=valkey.url())
    assert (done.exit_code, done.stdout[:8]) == (0, "healthy:")
    done = probe("--prefix", "habeat:proj", CELERY_BROKER_URL="amqp://u:hidden-word@host")
    assert (done.exit_code, "hidden-word" in done.output) == (2, False)
    assert "habeat has no Redis: the broker is amqp://" in done.stderr


def test_the_probe_imports_neither_celery_nor_kombu(caller: Caller, valkey: Server) -> None:
    lead(caller)
    code = (
        "import sys\n"
        "from habeat.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as done:\n"
        "    heavy = {'celery', 'kombu', 'croniter', 'habeat.client.client', 'habeat.ports'}\n"
        "    print(done.code, sorted(heavy & set(sys.modules)))\n"
    )
    argv = ("health", "--url", valkey.url(), "--prefix", "habeat:proj")
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"
    assert done.stderr == ""
