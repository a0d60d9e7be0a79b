"""The totals of many runs, and their report: a table for people, JSON for publishing."""

from __future__ import annotations

import platform
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.verification.history.events import Kind
from tests.verification.history.lateness import Lateness
from tests.verification.simulation.run import Outcome


@dataclass
class Failure:
    """A seed that failed, and how."""

    seed: int
    problems: list[str]


@dataclass
class Figures:
    """Counted over runs; they add up."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    lateness: Lateness = field(default_factory=Lateness)
    failures: list[Failure] = field(default_factory=list)

    def add(self, seed: int, outcome: Outcome) -> None:
        """Add one more run."""
        self.counts["seeds"] += 1
        self.counts.update(outcome.figures)
        self.faults.update({kind.name: count for kind, count in outcome.faults.items()})
        if outcome.verdict is not None:
            self.lateness += outcome.verdict.lateness
            explained = getattr(outcome.verdict, "explained", {})
            self.explained.update(
                {kind.name: count for kind, count in dict(explained).items() if kind}
            )
        if outcome.problems:
            self.failures.append(Failure(seed, outcome.problems))

    def __iadd__(self, other: Figures) -> Figures:
        self.counts.update(other.counts)
        self.faults.update(other.faults)
        self.explained.update(other.explained)
        self.lateness += other.lateness
        self.failures += other.failures
        return self

    def table(self, wall_s: float) -> str:
        """The summary that ends a run of many seeds."""
        counts = self.counts
        rate = counts["seeds"] / wall_s if wall_s else 0.0
        lines = [
            f"{counts['seeds']} seeds in {wall_s:.1f} s ({rate:.0f} a second), "
            f"{len(self.failures)} failed; commit {commit()}",
            *(f"{counts[name]:>12,}  {name}" for name in sorted(counts) if name != "seeds"),
            "faults and other events:",
            *(f"{count:>12,}  {name}" for name, count in sorted(self.faults.items())),
        ]
        if self.explained:
            lines.append("duplicates by the fault that explains them:")
            lines += [f"{count:>12,}  {name}" for name, count in sorted(self.explained.items())]
        return "\n".join([*lines, "lateness by what was going on:", str(self.lateness)])

    def as_json(self, wall_s: float, first: int) -> dict[str, Any]:
        """All of it, for publishing."""
        return {
            "commit": commit(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "first_seed": first,
            "wall_s": round(wall_s, 1),
            "counts": dict(sorted(self.counts.items())),
            "faults": dict(sorted(self.faults.items())),
            "duplicates_explained": dict(sorted(self.explained.items())),
            "lateness_ms": {
                kind.name if isinstance(kind, Kind) else "NONE": row
                for kind, row in self.lateness.table().items()
            },
            "failed_seeds": [failure.seed for failure in self.failures],
        }


def commit() -> str:
    """The commit that is checked out, as far as git knows."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
