"""Clocks that step (pitfalls C7, A16): no slot twice, none silently missing."""

import pytest

from tests.simulation.history import Fault
from tests.simulation.run import Plan, Simulation
from tests.simulation.world import SECOND

BACK_AND_FORTH = [(-60, 60), (60, -60), (-60, -60), (-3_600, 3_600), (86_400, -86_400)]


@pytest.mark.parametrize("steps_s", BACK_AND_FORTH, ids=str)
@pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "outbox"])
@pytest.mark.parametrize("seed", range(3))
def test_c7_the_clock_of_redis_steps(steps_s: tuple[int, int], atomic: bool, seed: int) -> None:
    simulation = Simulation(Plan(seed, entries=2, atomic=atomic, quiet_s=70))

    def step(seconds: int) -> None:
        simulation.world.tell(f"FAULT the clock of Redis steps {seconds} s")
        now_us = simulation.world.now_us
        simulation.history.faults.append(Fault("clock", now_us, now_us))
        simulation.server_offset_us += seconds * SECOND

    def brew(_: Simulation) -> None:
        for number, seconds in enumerate(steps_s):
            simulation.world.at((5 + 8 * number) * SECOND, lambda seconds=seconds: step(seconds))

    problems = simulation.run(brew).problems
    behind = [problem for problem in problems if "behind" not in problem]
    assert not behind, "\n".join([*simulation.world.log, "", *problems])
    ends_ahead = sum(steps_s) >= 0
    assert not (problems and ends_ahead), problems


@pytest.mark.parametrize("skew_h", [-1, 1])
@pytest.mark.parametrize("seed", range(3))
def test_c7_the_clock_of_a_beat_host_is_wrong(skew_h: int, seed: int) -> None:
    """It is compared and shown, never decided by; also when it steps in the middle."""
    simulation = Simulation(Plan(seed, entries=2))

    def brew(_: Simulation) -> None:
        for host in simulation.hosts:
            host.skew_ms = skew_h * 3_600_000
        simulation.world.at(
            5 * SECOND, lambda: [setattr(host, "skew_ms", 0) for host in simulation.hosts]
        )

    problems = simulation.run(brew).problems
    assert not problems, "\n".join([*simulation.world.log, "", *problems])
