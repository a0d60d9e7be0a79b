"""A run that was interrupted and continued counts as one run, if it is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verification.simulation.figures import Figures
from tests.verification.simulation.parts import CannotAdd, added
from tests.verification.simulation.plan import plan_of
from tests.verification.simulation.run import Simulation


def _part(first: int, seeds: int, **other: Any) -> dict[str, Any]:
    figures = Figures()
    for seed in range(first, first + seeds):
        figures.add(seed, Simulation(plan_of(seed)).run())
    return {**figures.as_json(1.0, first), "commit": "one", **other}


def test_parts_add_up_to_the_whole() -> None:
    whole, sum_ = _part(0, 6), added([_part(4, 2, failed_seeds=[5]), _part(0, 4)])
    for name in ("counts", "faults", "duplicates_explained", "commit", "first_seed"):
        assert sum_[name] == whole[name], name
    assert sum_["failed_seeds"] == [5]
    assert sum_["wall_s"] == 2.0


def test_no_seed_counts_twice() -> None:
    with pytest.raises(CannotAdd, match="seed 3 stands in two"):
        added([_part(0, 4), _part(3, 2)])


def test_parts_of_two_commits_are_no_run() -> None:
    with pytest.raises(CannotAdd, match="one, other"):
        added([_part(0, 1), _part(1, 1, commit="other")])
