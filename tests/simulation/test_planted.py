"""Bugs planted on purpose are caught, each within a few seeds (planted.py has them all)."""

import pytest

from tests.simulation.planted import BUGS, caught

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
}
SEEDS = 30


@pytest.mark.parametrize("name", CAUGHT)
def test_a_planted_bug_is_caught(name: str) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    seeds, problems = caught(bug, SEEDS)
    assert seeds, f"not caught within {SEEDS} seeds"
    assert any(CAUGHT[name] in problem for problem in problems), problems
