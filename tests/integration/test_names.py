"""Entries have whatever names Celery takes: they fire, and every call and command finds them."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click
import pytest
from celery.bin.base import CLIContext
from click.testing import CliRunner

from habeat.cli import habeat as group
from habeat.cli.completion import entry_names
from habeat.client import Client
from habeat.entries.names import DECLARED_MAX_BYTES
from habeat.errors import EntryNotFound, OwnedByConfig, ValidationError
from tests.integration.hostile.world import CONTROL, World
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

FORGED = "x\n[2026-11-29 00:00:00,000: CRITICAL/MainProcess] habeat: FORGED"
NAMES = {
    "no-break space": "Rapport\u00a0: mensuel",
    "ZWNJ": "\u06af\u0632\u0627\u0631\u0634\u200c\u0647\u0627",
    "emoji": "family \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f680",
    "soft hyphen": "Auf\u00adtrag",
    "combining": "e\u0301te\u0301",
    "bidi controls": "\u202b\u05ea\u05e7\u05e6\u05d9\u05e8\u202c \u2066left\u2069 ab\u202ecba",
    "tab": "a\tb",
    "line breaks": FORGED,
    "only a line break": "\n",
    "line separator": "one\u2028two\u2029\u0085",
    "only a space": " ",
    "control characters": "\x00nul \x1b[2J \x7f",
    "what separates fields": "a|b@1#c/d\te,f{g}h:i",
    "quotes": '"it\'s" \\n %s %(x)s {0}',
    "like an intent": "x@1700000000000",
    "the repr of a signature": f"proj.long({list(range(400))})",
    "as long as may be": "ü" * (DECLARED_MAX_BYTES // 2),
}
HOURLY = timedelta(hours=1)


@pytest.fixture(params=["atomic", "outbox"])
def world(valkey: Server, request: pytest.FixtureRequest) -> Iterator[World]:
    app = make_app(habeat_dispatch=request.param, habeat_template=request.param == "atomic")
    schedule = {
        name: {"task": "proj.tick", "schedule": 0.2, "args": [at], "options": {"queue": "odd"}}
        for at, name in enumerate(NAMES.values())
    }
    made = World(valkey, schedule, app)
    yield made
    made.close()


def sent(world: World) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in world.admin.lrange("odd", 0, -1)]


def names_sent(world: World) -> set[str]:
    return {message["headers"]["habeat_entry"] for message in sent(world)}


def test_each_is_stored_fires_and_is_found_by_its_name(world: World) -> None:
    world.turn_until(lambda: names_sent(world) == set(NAMES.values()))
    assert world.errors.lines == []
    for message in sent(world):
        headers = message["headers"]
        assert headers["periodic_task_name"] == headers["habeat_entry"]
        assert (
            list(NAMES.values())[json.loads(headers["argsrepr"].replace("(", "["))[0]]
            == (headers["habeat_entry"])
        )
    world.turn_until(lambda: not world.client.status().in_flight)
    for name in NAMES.values():
        entry = world.client.get(name)
        assert entry.name == name
        assert entry.state.fired > 0
        assert {record.entry for record in world.client.history(name)} == {name}
        assert name in [each.name for each in world.client.list(prefix=name[:10])]


def test_each_can_be_paused_triggered_and_resumed(world: World) -> None:
    client = world.client
    for name in NAMES.values():
        client.pause(name, reason="odd")
        identity = str(list(NAMES.values()).index(name))
        first, again = (client.trigger(name, request_id=identity) for _ in range(2))
        assert again.known
        assert not first.known
    world.admin.delete("odd")
    world.turn_until(lambda: names_sent(world) == set(NAMES.values()))
    for name in NAMES.values():
        client.resume(name)
        assert client.get(name).condition == "active"


def test_changing_one_through_the_api_says_that_the_code_declares_it(world: World) -> None:
    for name in NAMES.values():
        with pytest.raises(OwnedByConfig):
            world.client.update(name, description="other")
        with pytest.raises(OwnedByConfig):
            world.client.remove(name)
        with pytest.raises((OwnedByConfig, ValidationError)):
            world.client.rename(name, "other")


def test_they_are_escaped_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "celery.beat")
    world.admin.delete("odd")
    world.turn_until(lambda: names_sent(world) == set(NAMES.values()))
    lines = [record.getMessage() for record in caplog.records]
    firings = [line for line in lines if line.startswith("Scheduler: Sending due task")]
    assert any("a\\tb (proj.tick)" in line for line in firings)
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 2_100


def test_each_is_shown_by_the_command_line_and_found_again_in_its_json(world: World) -> None:
    context = CLIContext(world.app, no_color=True, workdir=None)

    def run(*argv: str) -> str:
        done = CliRunner(env={"COLUMNS": "80"}).invoke(group, argv, obj=context)
        # The loop does not tick meanwhile, so the lease may end.
        assert done.exit_code == 0 or argv == ("health",), done.output
        return str(done.stdout)

    assert run("list").replace("\n", "").isprintable()
    listed = {entry["name"] for entry in json.loads(run("list", "--json"))}
    assert listed >= set(NAMES.values())
    for name in NAMES.values():
        assert run("show", "--", name).replace("\n", "").isprintable()
        assert json.loads(run("show", "--json", "--", name))["name"] == name
        assert run("history", "--", name).replace("\n", "").isprintable()
    for command in ("export", "status", "health", "drift", "dead list", "simulate"):
        assert run(*command.split()).replace("\n", "").isprintable()
    refused = world.client.load(json.loads(run("export")), dry_run=True).refused
    assert not refused


def test_those_that_a_shell_takes_for_themselves_are_completed(world: World) -> None:
    context = click.Context(group)
    context.obj = CLIContext(world.app, no_color=True, workdir=None)
    command = group.get_command(context, "show")
    assert command is not None
    completed = entry_names(click.Context(command, parent=context), command.params[0], "")
    expected = {name for name in (*NAMES.values(), CONTROL) if shlex.quote(name) == name}
    assert {each.value for each in completed} == expected
    assert CONTROL in expected
    assert FORGED not in expected


def test_a_name_of_another_type_counts_as_its_text(valkey: Server) -> None:
    tick = {"task": "proj.tick", "schedule": 0.2, "options": {"queue": "odd"}}
    world = World(valkey, {7: tick, None: tick})  # type: ignore[dict-item]
    try:
        world.turn_until(lambda: names_sent(world) == {"7", "None"})
    finally:
        world.close()


def test_a_name_beyond_the_bound_is_named_and_stops_no_other(
    valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    tick = {"task": "proj.tick", "schedule": 0.2, "options": {"queue": "odd"}}
    schedule = {"x" * 100_000: tick, "lone \ud800": tick, "": tick, "good": tick}
    world = World(valkey, schedule)
    try:
        world.turn_until(lambda: names_sent(world) == {"good", "(empty)"})
    finally:
        world.close()
    said = [line for line in caplog.messages if "is not scheduled" in line]
    assert len(said) == 2
    assert any(f"at most {DECLARED_MAX_BYTES} bytes" in each for each in said)
    assert any("lone surrogates" in each for each in said)


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    """A client without a beat."""
    with Client(valkey.url(), prefix="habeat:names") as client:
        yield client


@pytest.mark.parametrize("kind", ["no-break space", "ZWNJ", "emoji", "combining", "soft hyphen"])
def test_the_api_takes_text_of_any_language(client: Client, kind: str) -> None:
    name = "api " + NAMES[kind]
    assert client.add(name, "proj.tick", HOURLY).name == name
    assert client.rename(name, name + "!").name == name + "!"


@pytest.mark.parametrize(
    "kind",
    ["bidi controls", "tab", "line breaks", "line separator", "control characters",
     "as long as may be"],
)  # fmt: skip
def test_the_api_refuses_names_that_could_deceive(client: Client, kind: str) -> None:
    with pytest.raises(ValidationError, match="invalid name"):
        client.add("api " + NAMES[kind], "proj.tick", HOURLY)
    client.add("api", "proj.tick", HOURLY)
    with pytest.raises(ValidationError, match="invalid name"):
        client.rename("api", "api " + NAMES[kind])
    with pytest.raises(EntryNotFound):
        client.get("api " + NAMES[kind])
