"""The shape of the package: layers, purity, sizes and names."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.cases import for_every

SRC = ROOT / "src" / "habeat"
MODULES = sorted(SRC.rglob("*.py"))
PURE = sorted(path for name in ("core", "schedules") for path in (SRC / name).rglob("*.py"))

#: A longer file has to say in its opening that it is one subject, and why.
LONG = 500
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "misc"}

# What a pure module may import; `zoneinfo` reads the tz data, which is taken as constant.
PURE_STDLIB = {
    "__future__", "abc", "base64", "bisect", "calendar", "collections", "contextvars", "copy",
    "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib",
    "heapq", "importlib", "itertools", "json", "math", "numbers", "operator", "re", "shlex",
    "string", "struct", "types", "typing", "unicodedata", "uuid", "warnings", "zlib", "zoneinfo",
}  # fmt: skip
PURE_OTHERS = {"croniter", "dateutil", "ephem"}
PURE_OWN = {"habeat.core", "habeat.schedules", "habeat.errors", "habeat.printable"}

CLOCK_READERS = {"now", "utcnow", "today", "uuid1", "uuid4"}
# Where people are shown times of their own host.
MAY_READ_CLOCKS = {SRC / "clock.py", *(SRC / "cli").rglob("*.py"), *(SRC / "demo").rglob("*.py")}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno} imports relatively"
            assert node.module is not None
            yield node.module


def calls(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    return done.stdout.strip()


def test_the_layers_hold() -> None:
    """import-linter's contracts, the same as `make imports` runs."""
    command = "import sys; from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@for_every(MODULES, name_of)
def test_a_long_file_says_why_it_is_one_subject(path: Path) -> None:
    opening = ast.get_docstring(parsed(path)) or ""
    lines = len(path.read_text().splitlines())
    assert lines <= LONG or "one subject" in opening, f"{lines} lines"


def test_no_file_is_named_for_nothing() -> None:
    folders = [path for path in SRC.rglob("*") if path.is_dir() or path.suffix in (".py", ".lua")]
    assert [name_of(path) for path in folders if path.stem in FORBIDDEN_NAMES] == []


@for_every(PURE, name_of)
def test_the_pure_part_imports_nothing_impure(path: Path) -> None:
    for module in imported(path):
        top = module.split(".")[0]
        own = any(module == name or module.startswith(name + ".") for name in PURE_OWN)
        assert own or top in PURE_STDLIB | PURE_OTHERS, f"{name_of(path)} imports {module}"


@for_every(PURE, name_of)
def test_the_pure_part_does_no_io(path: Path) -> None:
    found = [(call, line) for call, line in calls(path) if call in {"open", "print", "input"}]
    assert found == []


@for_every(sorted(set(MODULES) - MAY_READ_CLOCKS), name_of)
def test_clocks_and_chance_are_not_called_on_the_side(path: Path) -> None:
    """`time` is held by import-linter; `datetime.now()` and its like need a look at the calls."""
    banned = CLOCK_READERS if path in PURE else CLOCK_READERS - {"uuid4"}
    assert [(call, line) for call, line in calls(path) if call in banned] == []


@for_every(MODULES, name_of)
def test_a_call_with_more_than_five_arguments_names_them(path: Path) -> None:
    """Except for log calls, whose arguments the text names, and `*words` of a script's call."""
    found = [
        f"{name_of(path)}:{node.lineno} {ast.unparse(node.func)}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and sum(not isinstance(each, ast.Starred) for each in node.args) > 5
        and not re.search(r"^log\.|^log_event$|\.error$", ast.unparse(node.func))
    ]
    assert found == []


@for_every(sorted(set(MODULES) - {SRC / "log.py"}), name_of)
def test_every_log_line_of_warning_and_above_has_an_event_code(path: Path) -> None:
    """Use `log_event` of habeat.log, with a code of core/events.py."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and re.search(
            r"^_?(log|logger|logging)\.(warn|warning|error|exception|critical|fatal|log)$",
            ast.unparse(node.func),
        )
    ]
    assert found == []


@for_every(MODULES, name_of)
def test_nothing_is_left_for_later(path: Path) -> None:
    assert re.findall(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b", path.read_text()) == []


def test_importing_habeat_has_no_side_effects() -> None:
    before_and_after = run_python(
        "import sys, threading, signal, os\n"
        "modules = set(sys.modules)\n"
        "handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]\n"
        "import habeat\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - modules}\n"
        "assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == handlers\n"
        "assert threading.active_count() == 1\n"
        "print(sorted(new & {'celery', 'kombu', 'redis', 'billiard', 'croniter', 'tenacity'}))\n"
    )
    assert before_and_after == "[]"


@pytest.mark.parametrize("module", ["habeat.config", "habeat.schedules", "habeat.errors"])
def test_what_needs_no_celery_loads_no_celery(module: str) -> None:
    loaded = run_python(f"import sys, {module}\nprint('celery' in sys.modules)")
    assert loaded == "False"


def test_every_public_name_has_a_home() -> None:
    habeat = importlib.import_module("habeat")
    assert set(habeat._HOMES) | {"errors", "__version__"} == set(habeat.__all__)
    for name in habeat.__all__:
        assert getattr(habeat, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Schedular'"):
        habeat.Schedular  # noqa: B018


def test_what_takes_long_is_marked_slow() -> None:
    """One marker decides between `make test` and `make acceptance`."""
    suites = sorted((ROOT / "tests" / "system" / "acceptance").glob("test_*.py"))
    unmarked = [
        name_of(path)
        for path in suites
        if not re.search(r"^pytestmark\b.*\bslow\b", path.read_text(), re.MULTILINE)
    ]
    assert unmarked == []
