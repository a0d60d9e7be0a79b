"""mypy accepts what users may write, and finds each mistake of `refused.py` where it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.slow  # `make types` runs it

HERE = Path(__file__).parent
ACCEPTED, REFUSED = HERE / "accepted.py", HERE / "refused.py"
_EXPECTED = re.compile(r"# E: (?P<code>[a-z-]+) (?P<part>[^#]+)")
_FOUND = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): error: (?P<text>.+)  \[(?P<code>[a-z-]+)\]")


@cache
def errors() -> dict[str, list[tuple[int, str, str]]]:
    """The errors of both files by name: (line, code, message). One run of mypy."""
    names = [str(path.relative_to(ROOT)) for path in (ACCEPTED, REFUSED)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", *names],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    found: dict[str, list[tuple[int, str, str]]] = {ACCEPTED.name: [], REFUSED.name: []}
    for line in done.stdout.splitlines():
        match = _FOUND.fullmatch(line)
        assert match or ": note: " in line, line
        if match:
            name = Path(match["file"]).name
            assert name in found, line
            found[name].append((int(match["line"]), match["code"], match["text"]))
    return found


def expected() -> list[tuple[int, str, str]]:
    return [
        (number, match["code"], match["part"].strip())
        for number, line in enumerate(REFUSED.read_text().splitlines(), 1)
        for match in _EXPECTED.finditer(line)
    ]


@pytest.mark.timeout(300)
def test_what_users_may_write_has_no_error() -> None:
    assert errors()[ACCEPTED.name] == []


@pytest.mark.timeout(300)
def test_each_mistake_is_found_in_its_line() -> None:
    found = errors()[REFUSED.name]
    wanted = expected()
    assert [(line, code) for line, code, _ in found] == [(line, code) for line, code, _ in wanted]
    for (line, _, text), (_, _, part) in zip(found, wanted, strict=True):
        assert part in text, f"{REFUSED.name}:{line}: {text}"


def test_every_statement_that_is_wrong_says_so() -> None:
    assert len(expected()) > 20
    assert "type: ignore" not in REFUSED.read_text() + ACCEPTED.read_text()
