"""All of these tests are slow, and run with ``make manifests``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from shutil import which
from typing import Any

import pytest

from tests.deployment import DEPLOY
from tests.support.servers.needs import need

Rendered = list[dict[str, Any]]


@pytest.fixture(scope="session")
def kustomize() -> Callable[[str], Rendered]:
    """`kustomize("base")`: what kubectl makes of that folder of deploy/kubernetes."""
    import yaml

    def render(folder: str) -> Rendered:
        need("kubectl", which("kubectl") is not None, "apt-get install kubernetes-client")
        command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes" / folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return render


@pytest.fixture(scope="session")
def container(kustomize: Callable[[str], Rendered]) -> dict[str, Any]:
    """The container of the Deployment."""
    (deployment,) = (each for each in kustomize("base") if each["kind"] == "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)
