"""Celery's own tests of its schedules and its beat, with habeat in place of its classes.

Each one passes and has asked habeat, or stands in exclusions.py with the reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.servers.needs import need
from tests.support.servers.redis_server import start_server, valkey_binary
from tests.verification.celery_own.exclusions import CELERYS, EXCLUDED, INTERNAL, exclusion_of
from tests.verification.celery_own.sdist import own_tests

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "celery.md"
FILES = ("t/unit/app/test_schedules.py", "t/unit/app/test_beat.py", "t/unit/bin/test_beat.py")
RUN_TIMEOUT_S = 240


@dataclass(frozen=True)
class Verdict:
    """How one of Celery's tests ended; it agrees if it passed and has asked habeat."""

    outcome: str
    asked: bool
    why: str

    @property
    def agrees(self) -> bool:
        return self.outcome == "passed" and self.asked


Runner = Callable[..., dict[str, Verdict]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Run Celery's tests in a process of its own: the name and the verdict of each."""
    folder = own_tests()
    need(
        "Celery's source distribution", folder is not None, "pip download celery --no-binary :all:"
    )
    assert folder is not None
    written = tmp_path_factory.mktemp("own")

    def run_them(*files: str, **environment: str) -> dict[str, Verdict]:
        verdicts = written / f"{len(list(written.iterdir()))}.jsonl"
        server = start_server(valkey_binary())
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "pytest", *options(folder), *files],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
                    "HABEAT_VERDICTS": str(verdicts),
                    "HABEAT_REDIS_URL": f"redis://{server.host}:{server.port}/0",
                    **environment,
                },
                capture_output=True,
                text=True,
                timeout=RUN_TIMEOUT_S,
            )
        finally:
            server.dispose()
        assert ended.returncode in (0, 1), ended.stdout[-3_000:] + ended.stderr[-3_000:]
        return read(verdicts)

    return run_them


def options(folder: Path) -> list[str]:
    plugins = ("tests.verification.celery_own.in_place", "no:cacheprovider", "no:xdist")
    return [
        "--quiet",
        *("-c", os.devnull, "--rootdir", str(folder), "-o", "python_classes=test_*"),
        *(each for plugin in plugins for each in ("-p", plugin)),
    ]


def read(verdicts: Path) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for line in verdicts.read_text().splitlines():
        told = json.loads(line)
        found[told["name"]] = Verdict(told["outcome"], bool(told["asked"]), told["why"])
    return found


@pytest.fixture(scope="module")
def verdicts(run: Runner) -> dict[str, Verdict]:
    return run(*FILES)


@pytest.mark.slow
@pytest.mark.timeout(RUN_TIMEOUT_S + 60)
def test_habeat_passes_all_but_the_excluded(verdicts: dict[str, Verdict]) -> None:
    wrong = {
        name: verdict.why or f"{verdict.outcome}, and has not asked habeat"
        for name, verdict in verdicts.items()
        if not verdict.agrees and exclusion_of(name) is None
    }
    assert not wrong
    assert len([verdict for verdict in verdicts.values() if verdict.agrees]) > 150


@pytest.mark.slow
@pytest.mark.timeout(RUN_TIMEOUT_S + 60)
def test_no_exclusion_is_stale(verdicts: dict[str, Verdict]) -> None:
    agreed = [name for name, verdict in verdicts.items() if verdict.agrees and exclusion_of(name)]
    assert not agreed, "take these out of exclusions.py"


@pytest.mark.slow
@pytest.mark.timeout(RUN_TIMEOUT_S + 60)
def test_answers_that_are_a_minute_wrong_are_noticed(run: Runner) -> None:
    found = run(FILES[0], HABEAT_PLANTED_ERROR_S="60")
    failed = [name for name, verdict in found.items() if verdict.outcome == "failed"]
    assert len([name for name in failed if exclusion_of(name) is None]) > 50


def test_the_documented_differences_are_those_of_the_table() -> None:
    documented = re.findall(r"^\| \*\*(.+?)\*\* \|", PAGE.read_text(), re.MULTILINE)
    named = {each.why for each in EXCLUDED.values()} - {CELERYS, INTERNAL}
    assert sorted(documented) == sorted(named)
