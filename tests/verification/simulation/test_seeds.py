"""A few seeds with every run of the tests; ``make simulate`` runs any number of them."""

import subprocess
import sys

import pytest

from tests.verification.simulation.model import Server, lua_state
from tests.verification.simulation.plan import plan_of
from tests.verification.simulation.run import Simulation
from tests.verification.simulation.shrinking import options_of, shrunk, sign_of

SEEDS = 120
PORTION = 20
FAST = 60
#: Seeds that failed once, by what was wrong. What they draw changes as the simulation is extended.
FAILED_ONCE = {
    6771: "habeat: the circuit of an edited entry was carried over from a turn that had failed",
    7321: "habeat: a probe counted as sent, and the turn had failed before",
    10328: "the judge: an answer was on its way when its connection was closed and data lost",
    12497: "habeat: slots of an entry added after Redis was emptied were recorded as lost",
    129302: "habeat: a refused claim of the outbox was dropped unread",
    137832: "habeat: a refusal was ignored because no Redis replica confirmed it",
    150494: "habeat: a look at a restored history counted as the last answer of the lost one",
    150729: "the judge: the WAIT behind a claim failed, and its answer was not used",
    156179: "the judge: of several slots that are due, the newest is the probe",
    156218: "habeat: as 137832",
    7788: "a circuit was closed before the last slot failed because of it",
    13031: "the same, of an entry that Redis refuses",
}


def _portion(first: int) -> object:
    return pytest.param(first, marks=() if first < FAST else pytest.mark.slow)


@pytest.mark.parametrize("first", [_portion(first) for first in range(0, SEEDS, PORTION)])
def test_seeds(first: int) -> None:
    for seed in range(first, first + PORTION):
        problems = Simulation(plan_of(seed)).run().problems
        assert not problems, f"python -m tests.verification.simulation show {seed}\n" + "\n".join(
            problems
        )


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_seed_that_failed_once_passes(seed: int) -> None:
    assert Simulation(plan_of(seed)).run().problems == [], FAILED_ONCE[seed]


def _log(seed: int, lua: str = "") -> list[str]:
    simulation = Simulation(plan_of(seed), telling=True, server=Server(int, lua_state(lua)))
    simulation.run()
    assert simulation.world.log
    return simulation.world.log


@pytest.mark.parametrize("seed", [3, 4])
def test_a_seed_replays_exactly(seed: int) -> None:
    assert _log(seed) == _log(seed)
    again = f"from {__name__} import _log; print(chr(10).join(_log({seed})))"
    other = subprocess.run(
        [sys.executable, "-c", again], capture_output=True, text=True, timeout=60, check=True
    )
    assert other.stdout.splitlines() == _log(seed)


def test_lua_and_luajit_give_the_same_runs() -> None:
    pytest.importorskip("lupa.luajit21")
    assert _log(5, "lua51") == _log(5, "luajit21")


def test_a_failing_plan_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Down to the trouble that is needed, and the command shows what was left out."""
    from tests.verification.simulation import shrinking

    whole = plan_of(8)
    needed = whole.troubles[0].number

    def signs(plan: object) -> set[str]:
        return {"I9"} if needed in [t.number for t in plan.troubles] else set()  # type: ignore[attr-defined]

    monkeypatch.setattr(shrinking, "signs_of", signs)
    small = shrunk(whole, sign_of("I9: e1@1700000001000: sent twice"))
    assert [trouble.number for trouble in small.troubles] == [needed]
    assert len(small.entries) == 1
    assert small.replicas == 1
    assert options_of(small, whole).startswith("show 8 --without ")
