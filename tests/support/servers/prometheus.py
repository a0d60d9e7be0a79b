"""A real Prometheus: what it scrapes, the alerts it evaluates, and the questions it answers."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from tests.support.servers.children import free_port, spawn
from tests.support.servers.needs import need


@dataclass(frozen=True)
class Prometheus:
    """A running server at `url`."""

    url: str
    child: subprocess.Popen[bytes]

    def get(self, path: str, **query: str) -> Any:
        """The data of an answer of its API; None without one."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def alerts(self) -> set[str]:
        """The alerts that fire."""
        found = (self.get("alerts") or {"alerts": []})["alerts"]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}

    def value(self, expr: str) -> float | None:
        """The first value of an expression."""
        found = (self.get("query", query=expr) or {"result": []})["result"]
        return float(found[0]["value"][1]) if found else None

    def rounds(self) -> float:
        """How often the rules were evaluated."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        name = "prometheus_rule_group_iterations_total{"
        return max((float(each.split()[-1]) for each in lines if each.startswith(name)), default=0)


def start_prometheus(
    folder: Path, rules: Mapping[str, Any], targets: Sequence[str], *, every: str
) -> Prometheus:
    """A server that scrapes `targets` and evaluates `rules`, both `every` so often (``15s``)."""
    need("prometheus", which("prometheus") is not None, "apt-get install prometheus")
    (folder / "rules.json").write_text(json.dumps(rules))
    config = {
        "global": {"scrape_interval": every, "evaluation_interval": every, "scrape_timeout": every},
        "rule_files": ["rules.json"],
        "scrape_configs": [{"job_name": "habeat", "static_configs": [{"targets": [*targets]}]}],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    child = spawn(command, log=folder / "prometheus.log")
    return Prometheus(f"http://127.0.0.1:{port}", child)
