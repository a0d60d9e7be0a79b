"""Bugs planted on purpose are caught, each within a few seeds (planted.py has them all)."""

from dataclasses import replace

import pytest

from tests.simulation.plan import SECOND, Plan, Trouble, plan_of
from tests.simulation.planted import BUGS, caught, planted
from tests.simulation.run import Simulation

#: Bug -> the invariant that must be named.
CAUGHT = {
    "claim: the push comes last": "ledger",
    "claim: the cursor is not moved": "I4",
    "claim: the intent is not kept": "I7",
    "fence: no script compares the token": "I5",
    "recover: does not wait for the old trust": "I1",
    "recover: counts the attempt": "RESTAMP",
    "recover: loses the intent": "ledger",
    "recovery: never": "LIVENESS",
    "settle: the intent stays": "LIVENESS",
    "skip: no record": "ledger",
    "catch-up: lost without a loss": "and nothing had been lost",
    "tick: declares a loss that there was not": "and nothing had been lost",
    "catch-up: the grace is too short": "and its grace is",
    "catch-up: not even the newest": "the newest of the slots",
    "catch-up: a run one slot too long": "recorded as missed",
    "expired: by the slot": "before its deadline",
    "edit: due index written wrong": "nothing disturbed",
    "claim: the due index loses what it has claimed": "neither claimed nor recorded",
    "resume: at now, not at the pause's end": "its pause had been over",
}

#: What shows only in a certain life: one trouble, at a time when nothing else is wrong.
ALONE = {
    "release: nobody is told": ("TAKEOVER", "term"),
    "release: nobody listens": ("TAKEOVER", "term"),
}
SEEDS = 30


@pytest.mark.parametrize("name", CAUGHT)
def test_a_planted_bug_is_caught(name: str) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    seeds, problems = caught(bug, SEEDS)
    assert seeds, f"not caught within {SEEDS} seeds"
    assert any(CAUGHT[name] in problem for problem in problems), problems


def _alone(seed: int, kind: str) -> Plan:
    troubles = tuple(Trouble(number, number * SECOND, kind) for number in (1, 2, 3))
    return replace(plan_of(seed), troubles=troubles, storm_us=4 * SECOND, replicas=3)


@pytest.mark.parametrize("name", ALONE)
def test_a_planted_bug_is_caught_by_itself(name: str) -> None:
    sign, kind = ALONE[name]
    bug = next(bug for bug in BUGS if bug.name == name)
    with planted(bug):
        found = [Simulation(_alone(seed, kind)).run().problems for seed in range(10)]
    assert any(sign in problem for problems in found for problem in problems), found
    for seed in range(10):
        assert Simulation(_alone(seed, kind)).run().problems == []
