"""Bugs planted on purpose are caught, each within a few seeds (planted.py has them all)."""

from collections.abc import Iterable

import pytest

from habeat.store.scripting import source
from tests.verification.simulation.planted import BUGS, caught, planted
from tests.verification.simulation.run import Simulation

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
    "settle: the intent stays": "ledger",
    "skip: no record": "ledger",
    "catch-up: lost without a loss": "and nothing had been lost",
    "tick: declares a loss that there was not": "lost",
    "catch-up: the grace is too short": "recorded as missed (misfire",
    "catch-up: not even the newest": "the newest of the slots",
    "catch-up: a run one slot too long": "recorded as missed",
    "expired: by the slot": "before its deadline",
    "edit: due index written wrong": "nothing disturbed",
    "claim: the due index loses what it has claimed": "nothing disturbed",
    "trust: anchored when the answer is read": "TRUST",
    "settle: recorded twice": "ledger",
    "claim: expired is sent": "after its expiry",
    "catch-up: one less than the limit": "slots beyond the grace are newer",
    "resume: at now, not at the pause's end": "its pause had been over",
}

#: The same of those that have a life of their own.
IN_A_LIFE = {
    "catch-up: all of an outage is lost": "LOST",
    "release: no standby is woken": "TAKEOVER",
    "release: nobody listens": "TAKEOVER",
    "wait: not after a claim": "COPIED",
    "wait: not before a resend": "COPIED",
    "fence: no script compares what its caller knows": "FORGOT",
    "settle: what left is forgotten when the answer is lost": "I11",
}
SEEDS, LIVES = 30, 10
#: Bugs that show in few seeds.
MOST = {
    "recover: does not wait for the old trust": 100,
    "resume: at now, not at the pause's end": 400,
    "claim: expired is sent": 500,
}


#: One for each part that judges a run; the others are slow tests.
FAST = {
    "claim: the push comes last",
    "fence: no script compares the token",
    "recovery: never",
    "tick: declares a loss that there was not",
    "edit: due index written wrong",
    "catch-up: one less than the limit",
    "trust: anchored when the answer is read",
    "claim: the cursor is not moved",
    "release: no standby is woken",
    "settle: what left is forgotten when the answer is lost",
}


def _slow_unless_fast(names: Iterable[str]) -> list[object]:
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", _slow_unless_fast(CAUGHT))
def test_a_planted_bug_is_caught(name: str) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    most = MOST.get(name, SEEDS)
    seeds, problems = caught(bug, most)
    assert seeds, f"not caught within {most} seeds"
    assert any(CAUGHT[name] in problem for problem in problems), problems


@pytest.mark.parametrize("name", _slow_unless_fast(IN_A_LIFE))
def test_a_planted_bug_is_caught_in_its_life(name: str) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    assert bug.life is not None
    with planted(bug):
        found = [Simulation(bug.plan(seed)).run().problems for seed in range(LIVES)]
    assert any(IN_A_LIFE[name] in problem for problems in found for problem in problems), found


def test_the_fast_bugs_are_there() -> None:
    assert CAUGHT.keys() | IN_A_LIFE.keys() >= FAST


def test_each_bug_quotes_text_that_is_there() -> None:
    found = [
        (bug.name, file) for bug in BUGS for file, old, _ in bug.texts if old not in source(file)
    ]
    assert found == []
