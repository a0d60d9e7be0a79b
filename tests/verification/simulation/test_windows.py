"""Kills in the middle of a burst of the outbox: each repeats its window at most."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verification.simulation.plan import CROWD, SECOND, Plan, Trouble, plan_of
from tests.verification.simulation.planted import BUGS, planted
from tests.verification.simulation.run import Outcome, Simulation

#: Where a kill lies in wait: before a message arrives, after it has, and before its settling does.
PLACES = ("publish<", "publish>", "settle<", "settle>", "claim>")


def burst(seed: int, window: int, place: str) -> Plan:
    """Fourteen entries due every second, and a leader that is killed there, three times."""
    troubles = tuple(
        Trouble(number, number * SECOND + 100_000 * number, "kill", place) for number in (1, 2, 3)
    )
    return replace(
        plan_of(seed, atomic=False),
        entries=CROWD,
        troubles=troubles,
        storm_us=5 * SECOND,
        window=window,
        little=1,
        batch=50,
        attempts_cap=10,
    )


def run(plan: Plan) -> Outcome:
    return Simulation(plan).run()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "window", [1, 50, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 5))]
)
def test_a_kill_repeats_its_window_at_most(window: int, place: str) -> None:
    repeats = 0
    for seed in range(4):
        outcome = run(burst(seed, window, place))
        assert not outcome.problems, outcome.problems
        repeats += outcome.figures["duplicates"]
    if place in ("publish>", "settle<"):
        assert repeats, "no kill met a message under way: this shows nothing"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("outbox: settled at the end of a turn", "settle<"),
        ("outbox: packets without a bound", "publish>"),
    ],
)
def test_a_window_that_is_not_kept_is_noticed(name: str, place: str) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    with planted(bug):
        found = [run(burst(seed, 2, place)).problems for seed in range(4)]
    assert any("one kill repeats" in problem for problems in found for problem in problems)
