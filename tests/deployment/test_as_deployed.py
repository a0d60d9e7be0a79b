"""Beats started as the Deployment starts them, on a root that cannot be written.

No container runs here, so the pod is put together from its parts: the container's own arguments and
environment, a mount namespace whose root is read-only, the two volumes, and the probes' commands.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from habeat import Client
from tests import ROOT
from tests.deployment import DEPLOY
from tests.support.servers.children import end, spawn, until
from tests.support.servers.needs import need
from tests.support.servers.redis_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
#: A root that cannot be written, but for one folder, which stands for both volumes.
READ_ONLY = 'mount --bind "$0" "$0" && mount --bind / / && mount -o remount,ro,bind / && exec "$@"'

MakePod = Callable[[str], "Pod"]


class Pod:
    """A container of the Deployment, without the container."""

    def __init__(self, container: dict[str, Any], server: Server, volume: Path) -> None:
        self.volume = volume
        path = os.pathsep.join(map(str, (DEPLOY / "project", ROOT / "src")))
        given = {each["name"]: each["value"] for each in container["env"]}
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "CELERY_BROKER_URL": server.url(),
            **{name: self.local(value) for name, value in given.items()},
        }
        isolated = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(volume)]
        started = [sys.executable, "-m", *container["args"]]
        self.log = volume.with_suffix(".log")
        self.child = spawn(
            [*isolated, *started], log=self.log, env=self.environment, cwd=DEPLOY / "project"
        )

    def local(self, text: str) -> str:
        """The path of the volume, where the manifest has the container's."""
        return text.replace("/run/habeat", str(self.volume))

    def probe(self, probe: dict[str, Any]) -> bool:
        command = [self.local(part) for part in probe["exec"]["command"]]
        return subprocess.run(command, env=self.environment, timeout=10).returncode == 0


@pytest.fixture
def pods(container: dict[str, Any], valkey: Server, tmp_path: Path) -> Any:
    usable = which("unshare") and subprocess.run(["unshare", "--mount", "true"]).returncode == 0
    need("unshare --mount", bool(usable), "run as root, on Linux")
    started: list[Pod] = []

    def start(name: str) -> Pod:
        volume = tmp_path / name
        volume.mkdir()
        started.append(Pod(container, valkey, volume))
        return started[-1]

    yield start
    for pod in started:
        end(pod.child, 9)


def test_leader_and_standbys_pass_every_probe_on_a_read_only_root(
    pods: MakePod, container: dict[str, Any], valkey: Server
) -> None:
    fleet = [pods(name) for name in ("first", "second", "third")]
    with Client(valkey.url(), prefix="habeat:proj") as client:
        until(lambda: len(client.status().replicas) == 3, 30, "three beats are there")
        assert client.status().leader is not None
    for name in PROBES:
        for pod in fleet:
            passes = partial(pod.probe, container[name])
            until(passes, 10, f"{pod.volume.name} passes its {name}")


def test_a_beat_that_stands_still_fails_its_liveness_probe(
    pods: MakePod, container: dict[str, Any]
) -> None:
    pod = pods("frozen")
    until(lambda: pod.probe(container["livenessProbe"]), 30, lambda: pod.log.read_text())
    end(pod.child, 9)
    an_hour_ago_s = time.time() - 3600
    os.utime(pod.volume / "alive", (an_hour_ago_s, an_hour_ago_s))
    assert not pod.probe(container["livenessProbe"])


def test_a_terminated_leader_hands_over_within_the_grace_period(
    pods: MakePod, valkey: Server
) -> None:
    first = pods("first")
    with Client(valkey.url(), prefix="habeat:proj") as client:
        until(lambda: client.status().leader is not None, 30, lambda: first.log.read_text())
        pods("second")
        until(lambda: len(client.status().replicas) == 2, 30, "two beats are there")
        epoch = client.status().leader.lease_epoch
        first.child.terminate()
        assert first.child.wait(15) == 0
        until(
            lambda: (now := client.status().leader) and now.lease_epoch > epoch,
            10,
            "the other leads",
        )
