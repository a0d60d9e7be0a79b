"""A few seeds of the simulation with every run of the tests; `run.py` tells how to run more."""

import logging

import pytest

from tests.simulation.run import Plan, Simulation


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="habeat")


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "outbox"])
def test_seed(seed: int, atomic: bool) -> None:
    simulation = Simulation(Plan(seed, atomic=atomic))
    problems = simulation.run().problems
    assert not problems, "\n".join([*simulation.world.log, "", *problems])


@pytest.mark.parametrize(
    ("script", "device", "instead", "invariant"),
    [
        ("settle.lua", "  redis.call('HDEL', INFLIGHT, field)\n", "", "I7"),
        ("claim.lua", "    move_on(firing, state, true)\n", "", "the ledger has"),
    ],
)
def test_the_checker_sees_a_device_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, script: str, device: str, instead: str, invariant: str
) -> None:
    """A simulation that cannot fail proves nothing: with a device switched off it must."""
    import habeat.store.scripting as scripting

    whole = scripting.source
    assert device in whole(script)
    monkeypatch.setattr(
        scripting,
        "source",
        lambda name: whole(name).replace(device, instead) if name == script else whole(name),
    )
    scripting.script.cache_clear()
    try:
        found = [Simulation(Plan(seed)).run().problems for seed in range(6)]
    finally:
        monkeypatch.undo()
        scripting.script.cache_clear()
    assert any(invariant in problem for problems in found for problem in problems)
