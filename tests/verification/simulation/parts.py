"""A run in parts: an interrupted run continues with the next seed, and the figures add up.

Parts must be of one commit, and no seed may stand in two of them. Percentiles do not add up, so
the lateness of each part stays in its own file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

ADDED = ("counts", "faults", "duplicates_explained")


class CannotAdd(Exception):
    """Why these parts do not make one run; a sentence."""


def added(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the whole run; CannotAdd."""
    parts = sorted(parts, key=lambda part: part["first_seed"])
    commits = {part["commit"] for part in parts}
    if len(commits) != 1:
        raise CannotAdd(f"they are of several commits: {', '.join(sorted(commits))}")
    for part, following in pairwise(parts):
        if part["first_seed"] + part["counts"]["seeds"] > following["first_seed"]:
            raise CannotAdd(f"seed {following['first_seed']} stands in two of them")
    return {
        "commit": commits.pop(),
        "date": max(part["date"] for part in parts),
        "python": ", ".join(sorted({part["python"] for part in parts})),
        "first_seed": parts[0]["first_seed"],
        "wall_s": round(sum(part["wall_s"] for part in parts), 1),
        **{name: _sum(part[name] for part in parts) for name in ADDED},
        "failed_seeds": sorted(seed for part in parts for seed in part["failed_seeds"]),
        "parts": [
            {"first_seed": part["first_seed"], "seeds": part["counts"]["seeds"]} for part in parts
        ],
    }


def _sum(of_parts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in of_parts:
        total.update(each)
    return dict(sorted(total.items()))


def add_up(files: Sequence[Path], into: Path) -> int:
    """Write the sum of these files; 1, and a sentence, if they are no parts of one run."""
    try:
        whole = added([json.loads(file.read_text("utf-8")) for file in files])
    except CannotAdd as why:
        print(f"these files do not add up: {why}")
        return 1
    into.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    print(f"{whole['counts']['seeds']:,} seeds, {len(whole['failed_seeds'])} failed: {into}")
    return 0
