"""The wheel in an environment that has nothing else, and what is in the two archives.

Started by the `release` session of the noxfile, which builds the archives and says where they are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.servers.children import end, spawn, until
from tests.support.servers.redis_server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("HABEAT_DIST" not in os.environ, reason="run by `make release`"),
]

APP = """
from celery import Celery
app = Celery("clean")
app.conf.beat_schedule = {"often": {"task": "clean.often", "schedule": 0.1}}
@app.task(name="clean.often")
def often(): pass
"""
#: Modules that an extra brings the packages for.
OF_EXTRAS = ("habeat.demo", "habeat.contrib", "habeat.testing")
IMPORT_ALL = """
import importlib, pkgutil, habeat
for found in pkgutil.walk_packages(habeat.__path__, "habeat."):
    if not found.name.startswith({skipped!r}) and not found.name.endswith("__main__"):
        importlib.import_module(found.name)
        print(found.name)
"""


@pytest.fixture(scope="module")
def dist() -> Path:
    return Path(os.environ["HABEAT_DIST"])


@pytest.fixture(scope="module")
def clean_python() -> str:
    return os.environ["HABEAT_CLEAN_PYTHON"]


def run(command: list[str], **options: object) -> str:
    """Its output; a failure is a failure of the test."""
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, env=environment, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sources() -> set[str]:
    files = (ROOT / "src").rglob("*")
    return {
        str(each.relative_to(ROOT / "src"))
        for each in files
        if each.is_file() and "__pycache__" not in each.parts
    }


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    inside = {each for each in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in each}
    assert inside == sources()
    assert {"habeat/py.typed", "habeat/store/scripts/claim.lua"} <= inside


def test_the_source_archive_has_what_its_own_make_test_needs(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        inside = {name.partition("/")[2] for name in tar.getnames()}
    assert {f"src/{each}" for each in sources()} <= inside
    assert {"Makefile", "noxfile.py", "README.md", "LICENSE", "tests/conftest.py"} <= inside
    assert not {each for each in inside if each.startswith((".git/", ".venv"))}


def test_every_module_imports_without_any_extra(clean_python: str, tmp_path: Path) -> None:
    script = IMPORT_ALL.format(skipped=OF_EXTRAS)
    imported = run([clean_python, "-c", script], cwd=tmp_path).split()
    assert "habeat.beat.scheduler" in imported
    assert len(imported) > 100


def test_the_installed_beat_sends(clean_python: str, tmp_path: Path, valkey: Server) -> None:
    (tmp_path / "clean.py").write_text(APP)
    celery = [str(Path(clean_python).with_name("celery")), "-A", "clean", "-b", valkey.url()]
    environment = {"PATH": os.environ["PATH"]}
    command = [*celery, "beat", "-S", "habeat", "--pidfile="]
    beat = spawn(command, log=tmp_path / "log", env=environment, cwd=tmp_path)
    try:
        said = lambda: (tmp_path / "log").read_text()  # noqa: E731
        until(lambda: valkey.client().llen("celery") > 5, 30, said)
        listed = json.loads(run([*celery, "habeat", "list", "--json"], cwd=tmp_path))
    finally:
        end(beat, 15)
    assert "often" in str(listed)


def test_the_sbom_names_what_is_installed(dist: Path) -> None:
    sbom = json.loads((dist / "sbom.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    names = {each["name"].lower() for each in sbom["components"]}
    assert {"habeat", "celery", "kombu", "redis", "croniter", "tenacity", "tzdata"} <= names
    assert "pytest" not in names


def test_this_is_not_the_clean_environment(clean_python: str) -> None:
    assert clean_python != sys.executable
    assert "src/habeat" not in run([clean_python, "-c", "import habeat; print(habeat.__file__)"])
