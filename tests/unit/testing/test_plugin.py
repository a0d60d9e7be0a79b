"""The pytest plugin, in a project of its own and a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import ROOT

PROJECT = """
from celery import Celery
from celery.schedules import crontab

app = Celery("proj", broker="amqp://nowhere")
app.conf.beat_schedule = {"nightly": {"task": "proj.clean", "schedule": crontab("30", "2")}}
"""
TESTS = """
def test_it_runs_once_in_the_night(habeat_clock, habeat_scheduler):
    habeat_clock.set("2026-03-29 00:00")
    assert habeat_scheduler.clock is habeat_clock
    assert [each.name for each in habeat_scheduler.advance(days=2)] == ["nightly"] * 2

def test_each_test_has_a_clock_of_its_own(habeat_clock):
    assert habeat_clock.now.isoformat() == "2026-01-01T00:00:00+00:00"
"""
INI = "[pytest]\npythonpath = .\nhabeat_app = {}\n"


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python there; the plugin is loaded by its module, installed or not."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=60
    )


def pytest_in(folder: Path, app: str = "proj") -> subprocess.CompletedProcess[str]:
    (folder / "proj.py").write_text(PROJECT)
    (folder / "test_proj.py").write_text(TESTS)
    (folder / "pytest.ini").write_text(INI.format(app))
    plugin = ("-p", "no:habeat", "-p", "habeat.testing.plugin", "-p", "no:xdist")
    return run("-m", "pytest", "-q", *plugin, cwd=folder)


def test_a_project_tests_its_schedule_with_the_fixtures(tmp_path: Path) -> None:
    done = pytest_in(tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow  # it starts processes
def test_without_an_app_the_fixture_says_how_to_name_one(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, app="")
    assert "1 passed, 1 error" in done.stdout
    assert "set habeat_app = proj.celery:app" in done.stdout


@pytest.mark.slow  # it starts processes
def test_an_app_that_python_does_not_find_is_named_with_what_to_do(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, app="elsewhere.celery:app")
    assert "1 passed, 1 error" in done.stdout
    assert "habeat_app = elsewhere.celery:app: Python finds no module 'elsewhere'" in done.stdout


def test_the_plugin_costs_nothing_until_it_is_used(tmp_path: Path) -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import habeat.testing.plugin\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(new & {'celery', 'kombu', 'redis', 'habeat.client', 'habeat.schedules'}))\n"
    )
    assert run("-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_the_package_declares_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"habeat": "habeat.testing.plugin"}


@pytest.mark.parametrize("name", ["Clock", "Firing", "ManualScheduler", "Skipped", "slots"])
def test_the_public_names_are_loaded_on_first_use(name: str, tmp_path: Path) -> None:
    code = f"import sys, habeat.testing as t\nprint(t.{name}.__name__, '{name}' in dir(t))"
    assert run("-c", code, cwd=tmp_path).stdout.split() == [name, "True"]
