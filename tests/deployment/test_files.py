"""deploy/docker, compose and systemd, each checked by the tool that reads it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tests import ROOT
from tests.deployment import DEPLOY
from tests.support.servers.needs import need

pytestmark = pytest.mark.slow

UNITS = sorted((DEPLOY / "systemd").iterdir())


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)


def hadolint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("hadolint")
    need("hadolint", program.exists(), "make manifests installs it")
    # Versions of Debian's packages and of pip's are the project's choice.
    return run(program, "--ignore", "DL3013", dockerfile)


def test_the_dockerfile_has_no_finding() -> None:
    done = hadolint(DEPLOY / "docker" / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_dockerfile_that_starts_a_shell_in_front_of_beat_would_be_found(tmp_path: Path) -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    worse = tmp_path / "Dockerfile"
    worse.write_text(
        text.replace('CMD ["celery", "-A", "proj", "beat", "--pidfile="]', "CMD celery")
    )
    assert hadolint(worse).returncode != 0


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    kept = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().split()
    lines = [line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY ")]
    copied = [each for parts in lines if not parts[0].startswith("--") for each in parts]
    assert copied
    for each in copied:
        assert (ROOT / each).exists(), each
        assert f"!{each}" in kept, each


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    need("docker-compose", which("docker-compose") is not None, "apt-get install docker-compose")
    done = run("docker-compose", "-f", DEPLOY / "compose" / "compose.yaml", "config")
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout)["services"])


def test_compose_starts_three_beats_a_worker_and_a_redis(composed: dict[str, Any]) -> None:
    assert sorted(composed) == ["beat", "redis", "worker"]
    assert composed["beat"]["deploy"]["replicas"] == 3


def test_the_redis_of_compose_keeps_what_it_has(composed: dict[str, Any]) -> None:
    command = composed["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


def test_the_image_of_compose_is_the_dockerfile(composed: dict[str, Any]) -> None:
    for each in ("beat", "worker"):
        build = composed[each]["build"]
        assert (Path(build["context"]) / build["dockerfile"]).resolve() == (
            DEPLOY / "docker" / "Dockerfile"
        )


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    need("systemd-analyze", which("systemd-analyze") is not None, "apt-get install systemd")
    for unit in UNITS:  # the program that a unit starts has to exist where it is verified
        text = unit.read_text().replace("/srv/proj/.venv/bin/celery", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = run("systemd-analyze", "verify", *sorted(tmp_path.iterdir()))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_misspelt_key_of_a_unit_would_be_found(tmp_path: Path) -> None:
    need("systemd-analyze", which("systemd-analyze") is not None, "apt-get install systemd")
    text = (DEPLOY / "systemd" / "habeat-beat.service").read_text()
    worse = tmp_path / "worse.service"
    worse.write_text(text.replace("Restart=always", "Restarts=always"))
    assert "Restarts" in run("systemd-analyze", "verify", worse).stderr


def test_every_file_starts_beat_by_the_same_command(
    composed: dict[str, Any], container: dict[str, Any]
) -> None:
    service = (DEPLOY / "systemd" / "habeat-beat.service").read_text()
    (start,) = (line for line in service.splitlines() if line.startswith("ExecStart="))
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    (image,) = (line for line in dockerfile.splitlines() if line.startswith("CMD "))
    commands = [
        container["args"][1:],
        composed["beat"]["command"][1:],
        shlex.split(start.partition("=")[2])[1:],
        [*json.loads(image.removeprefix("CMD "))[1:], "--loglevel=INFO"],
    ]
    assert commands == [["-A", "proj", "beat", "--pidfile=", "--loglevel=INFO"]] * 4
