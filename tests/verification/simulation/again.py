"""Seeds that failed, run once more at the commit that is checked out now.

A run of a million seeds takes longer than fixing a defect. So its figures keep the seeds that
failed at its own commit, and beside each its result at a later one. That is what is published, not
a run that was repeated until nothing was found.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.verification.simulation.figures import commit
from tests.verification.simulation.plan import plan_of
from tests.verification.simulation.run import Simulation


def again(figures: Path) -> int:
    """Run the failed seeds of a run's figures, and keep in the file what came of it."""
    data = json.loads(figures.read_text("utf-8"))
    still: list[int] = []
    for seed in data["failed_seeds"]:
        problems = Simulation(plan_of(seed)).run().problems
        print(f"seed {seed}: {problems[0] if problems else 'passes'}")
        still += [seed] if problems else []
    data["again"] = {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seeds": data["failed_seeds"],
        "failed_seeds": still,
    }
    figures.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    return 1 if still else 0
