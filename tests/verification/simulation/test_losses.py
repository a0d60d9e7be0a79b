"""Losses of data that take more than one step to notice."""

from dataclasses import replace

import pytest

from tests.verification.simulation.plan import SECOND, Plan, Trouble, plan_of
from tests.verification.simulation.run import Simulation


def _plan(seed: int, atomic: bool, *troubles: Trouble) -> Plan:
    return replace(plan_of(seed, atomic), troubles=troubles, storm_us=4 * SECOND, never_back=True)


@pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "outbox"])
@pytest.mark.parametrize("seed", range(8))
def test_an_old_snapshot_is_restored_after_redis_was_emptied(seed: int, atomic: bool) -> None:
    """The survivors know a newer cluster than the one that comes back."""
    restored = Trouble(1, SECOND, "restore", us=2 * SECOND)
    emptied = Trouble(2, 2 * SECOND, "empty", on="claim>")
    problems = Simulation(_plan(seed, atomic, restored, emptied)).run().problems
    assert not problems, "\n".join(problems)
