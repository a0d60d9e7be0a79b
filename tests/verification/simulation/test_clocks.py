"""Clocks that step: no slot twice, none silently missing."""

from dataclasses import replace

import pytest

from tests.verification.simulation.plan import SECOND, Plan, Trouble, plan_of
from tests.verification.simulation.run import Simulation

BACK_AND_FORTH = [(-60, 60), (60, -60), (-60, -60), (-3_600, 3_600), (86_400, -86_400)]


def _plan(seed: int, atomic: bool, kind: str, steps_s: tuple[int, ...]) -> Plan:
    troubles = tuple(
        Trouble(number, (1 + 2 * number) * SECOND, kind, amount=step_s * 1_000)
        for number, step_s in enumerate(steps_s)
    )
    plan = plan_of(seed, atomic)
    return replace(plan, troubles=troubles, storm_us=6 * SECOND, never_back=False)


@pytest.mark.parametrize("steps_s", BACK_AND_FORTH, ids=str)
@pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "outbox"])
@pytest.mark.parametrize("seed", range(2))
def test_the_clock_of_redis_steps(steps_s: tuple[int, int], atomic: bool, seed: int) -> None:
    problems = Simulation(_plan(seed, atomic, "redis clock", steps_s)).run().problems
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("steps_s", [(-3_600,), (3_600, -7_200)], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_clock_of_a_beat_host_is_wrong(steps_s: tuple[int, ...], seed: int) -> None:
    """The host's clock is compared and shown but decides nothing, even if it steps."""
    problems = Simulation(_plan(seed, False, "host clock", steps_s)).run().problems
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("seed", range(6))
def test_an_heir_that_waits_does_not_wait_for_a_clock_that_steps_back(seed: int) -> None:
    """Neither in Redis (how long intents are left alone) nor in its own loop (when to look)."""
    troubles = (
        Trouble(1, 500_000, "killed then clock", on="publish<"),
        Trouble(2, 1_500_000, "redis clock", amount=-60_000),
    )
    plan = replace(plan_of(seed, False), troubles=troubles, storm_us=3 * SECOND, never_back=False)
    problems = Simulation(plan).run().problems
    assert not problems, "\n".join(problems)
