"""A soak without faults: health may find nothing, no beat may warn, and no alert may fire.

What watches is what an operator has: `habeat health`'s findings, the beats' logs, their endpoints,
and a real Prometheus with the rules of deploy/monitoring as they are.
"""

from __future__ import annotations

import re
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.deployment.rules import MONITORING
from tests.support.servers.children import end, until
from tests.support.servers.prometheus import Prometheus, start_prometheus
from tests.system.soak.arena import Arena

#: As in deploy/monitoring/prometheus.yaml.
SCRAPE_EVERY = "15s"
PATHS = ("/healthz", "/readyz", "/metrics")
_WARNED = re.compile(r"^\[.*: (?:WARNING|ERROR|CRITICAL)/.*", re.MULTILINE)


@dataclass
class Calm:
    """Everything that must stay silent. `look` is called about once a second."""

    arena: Arena
    prometheus: Prometheus
    counts: Counter[str] = field(default_factory=Counter)
    _read: dict[int, int] = field(default_factory=dict)

    @classmethod
    def around(cls, arena: Arena) -> Calm:
        """Start a Prometheus that scrapes the beats of `arena`. What they log before it answers
        is about their start."""
        import yaml

        rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
        targets = [f"127.0.0.1:{port}" for port in arena.endpoints]
        prometheus = start_prometheus(arena.folder, rules, targets, every=SCRAPE_EVERY)
        until(lambda: prometheus.get("alerts"), 30, "Prometheus answers")
        read = {place: len(beat.log()) for place, beat in arena.beats.items()}
        return cls(arena, prometheus, _read=read)

    def look(self) -> list[str]:
        """What is wrong at this moment; nothing ought to be."""
        self.counts["looks"] += 1
        findings = self.arena.client.status().findings
        found = [f"health finds {each.code}: {each.sentence}" for each in findings]
        return [*found, *self._probe(), *self._warnings(), *self._alerts()]

    def _probe(self) -> Iterator[str]:
        looks = self.counts["looks"]
        port = self.arena.endpoints[looks % len(self.arena.endpoints)]
        path = PATHS[looks // len(self.arena.endpoints) % len(PATHS)]
        self.counts["probes"] += 1
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            yield f"{path} answers {error.code}"
        except OSError as error:
            yield f"{path} does not answer: {error}"

    def _warnings(self) -> Iterator[str]:
        for place, beat in list(self.arena.beats.items()):
            log = beat.log()
            fresh, self._read[place] = log[self._read.get(place, 0) :], len(log)
            yield from (f"beat {place} logs {line}" for line in _WARNED.findall(fresh))

    def _alerts(self) -> Iterator[str]:
        answer: Any = self.prometheus.get("alerts")
        if answer is None:
            yield "Prometheus does not answer"
            return
        for each in answer["alerts"]:
            name, state = each["labels"]["alertname"], each["state"]
            self.counts[f"looks at which {name} was {state}"] += 1
            if state == "firing":
                yield f"the alert {name} fires"

    def figures(self) -> dict[str, Any]:
        """What the report says about it."""
        rounds = f"{self.prometheus.rounds():.0f}"
        return {**self.counts, "evaluations of all alert rules": rounds}

    def close(self) -> None:
        end(self.prometheus.child, signal.SIGKILL)
