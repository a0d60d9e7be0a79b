"""One device switched off in a copy of src, and its suite run against that copy.

The child is forked from a process that has everything imported but habeat, so that a trial takes
about as long as its tests. habeat is installed editable: the child puts the copy in front of it,
and makes sure that the copy is what it got.
"""

from __future__ import annotations

import compileall
import contextlib
import importlib
import os
import py_compile
import runpy
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import ROOT

SOURCE = ROOT / "src"
LONGEST_S = 600

#: What takes long to import and knows nothing of habeat.
_HEAVY = ("pytest", "hypothesis", "celery.app.base", "celery.beat", "kombu", "redis", "fakeredis")


@dataclass(frozen=True)
class Result:
    """`by` is the test that failed first, "" if none did; `log` what pytest said."""

    by: str
    seconds: float
    log: Path

    @property
    def caught(self) -> bool:
        return bool(self.by)


def warm_up() -> None:
    """Import what every trial needs, once."""
    assert "habeat" not in sys.modules, "a trial must import its own copy"
    for name in _HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class Workshop:
    """A copy of src in which one thing at a time is changed."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="habeat-mutations-"))
        shutil.copytree(SOURCE, self._folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        # By hash: what is changed and changed back within a second has the same time stamp.
        compileall.compile_dir(
            self._folder / "src",
            quiet=2,
            invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
        )

    def close(self) -> None:
        """Throw the copy away."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def path(self, file: str) -> Path:
        """A file of the copy, named below src/habeat."""
        return self._folder / "src" / "habeat" / file

    def run(self, suite: str) -> Result:
        """Run a suite against the copy as it stands."""
        log = self._folder / "log"
        begun = time.monotonic()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _in_child(self._folder / "src", suite, log, writer)
        os.close(writer)
        by = _answer(reader, child)
        return Result(by, time.monotonic() - begun, log)

    def run_without(self, file: str, old: str, new: str, suite: str) -> Result:
        """The same with a device switched off."""
        path = self.path(file)
        whole = path.read_text("utf-8")
        assert whole.count(old) == 1, f"{old!r} must stand once in {file}"
        path.write_text(whole.replace(old, new), "utf-8")
        try:
            return self.run(suite)
        finally:
            path.write_text(whole, "utf-8")


def _answer(reader: int, child: int) -> str:
    """What the child has written when it ends; it is killed if that takes too long."""
    with os.fdopen(reader, "rb") as pipe:
        signal.signal(signal.SIGALRM, lambda *_: _end(child))
        signal.alarm(LONGEST_S)
        said = pipe.read().decode()
        signal.alarm(0)
    _end(child)
    os.waitpid(child, 0)
    return said.strip()


def _end(child: int) -> None:
    """The child leads a group of its own, with all the servers it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


class _FirstFailure:
    """A plugin of pytest that remembers what failed first."""

    def __init__(self) -> None:
        self.node = ""

    def _note(self, report: Any) -> None:
        if report.failed and not self.node:
            self.node = str(report.nodeid)

    pytest_runtest_logreport = _note
    pytest_collectreport = _note


def _in_child(source: Path, suite: str, log: Path, writer: int) -> None:
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(out, stream)
    by = "it did not get as far as a test"
    try:
        os.chdir(ROOT)
        os.environ.update(PYTHONPATH=str(source), PYTHONDONTWRITEBYTECODE="1")
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(source.parent / "hypothesis")
        sys.dont_write_bytecode = True
        sys.path[:0] = [str(source), str(ROOT)]
        habeat = importlib.import_module("habeat")
        assert str(habeat.__file__).startswith(str(source)), habeat.__file__
        by = _simulated(suite, log) if suite.startswith("simulate ") else _tested(suite)
    finally:
        os.write(writer, by.encode())
        os.close(writer)
        sys.stdout.flush()
        os._exit(0)


def _simulated(suite: str, log: Path) -> str:
    """``simulate 100 --from 7``: the first line that tells of a seed that failed."""
    options = [*suite.split()[1:], "--jobs", "1", "--no-shrinking"]
    sys.argv = ["tests.verification.simulation", "run", *options]
    try:
        runpy.run_module("tests.verification.simulation", run_name="__main__")
    except SystemExit as end:
        if not end.code:
            return ""
    sys.stdout.flush()
    found = log.read_text("utf-8", "replace").splitlines()
    return next((line for line in found if line.startswith("seed ")), "the simulation failed")


def _tested(suite: str) -> str:
    import pytest

    _settle_hypothesis()
    first = _FirstFailure()
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not slow"]
    # What servers of different age have in common is seen on one of them as well.
    options += ["-k", "not redis70 and not redis62", "-o", "timeout=60"]
    code = pytest.main([*options, *suite.split()], plugins=[first])
    if code == pytest.ExitCode.OK:
        return ""
    return first.node or f"pytest ended with {int(code)}"


def _settle_hypothesis() -> None:
    """The same examples every time; and slowness is no catch."""
    import hypothesis

    hypothesis.settings.register_profile("mutations", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("mutations")
