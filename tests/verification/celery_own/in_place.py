"""The pytest plugin that Celery's tests are run with: it puts habeat in place of Celery's classes.

It changes Celery for good, so it runs in a process of its own. For each test it writes a line of
JSON to the file $HABEAT_VERDICTS: its name, how it ended, and whether it has asked habeat.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.verification.celery_own import answers, beats
from tests.verification.celery_own.asked import asked

answers.put_in_place()
beats.put_in_place()


@pytest.fixture
def isolated_cli_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """As in pytest-click, which Celery's tests use."""
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def pytest_collection_finish(session: Any) -> None:
    """Celery's tests must end their threads. habeat's wait for the next schedule, as daemons."""
    theirs = sys.modules["t.unit.conftest"]
    alive = theirs.alive_threads
    theirs.alive_threads = lambda: [each for each in alive() if not each.name.startswith("habeat")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any) -> Iterator[None]:
    """Start the count again for each test, its fixtures included."""
    asked.clear()
    return (yield)


def pytest_runtest_logreport(report: Any) -> None:
    """Write down how a test ended: once, or twice if its teardown fails."""
    if report.when == "call" or report.outcome != "passed":
        line = {
            "name": report.nodeid.rpartition("/")[2],
            "outcome": report.outcome,
            "asked": dict(asked),
            "why": str(report.longrepr)[-400:] if report.failed else "",
        }
        with Path(os.environ["HABEAT_VERDICTS"]).open("a") as verdicts:
            verdicts.write(json.dumps(line) + "\n")
