"""pyright accepts the same code as mypy, and finds the same mistakes in the same lines."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.typing.test_types import ACCEPTED, HERE, REFUSED, expected


@cache
def lines() -> dict[str, set[int]]:
    """The lines in which pyright finds an error, by file. One run of pyright.

    At its first run, pyright fetches its own newest release; without a network, it cannot run.
    """
    python = ["--pythonpath", sys.executable, "--project", str(HERE / "pyrightconfig.json")]
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", *python],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright cannot run: {(done.stderr or done.stdout).strip()[-200:]}")
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 2
    found: dict[str, set[int]] = {ACCEPTED.name: set(), REFUSED.name: set()}
    for each in report["generalDiagnostics"]:
        name = each["file"].replace("\\", "/").rpartition("/")[2]
        found[name].add(each["range"]["start"]["line"] + 1)
    return found


@pytest.mark.timeout(300)
def test_pyright_accepts_what_users_may_write() -> None:
    assert lines()[ACCEPTED.name] == set()


@pytest.mark.timeout(300)
def test_pyright_finds_each_mistake_in_its_line() -> None:
    assert lines()[REFUSED.name] == {line for line, _, _ in expected()}
