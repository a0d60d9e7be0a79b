"""A leader that ticks and sends nothing: a standby takes its lease; no slot is lost or repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verification.simulation.plan import SECOND, EntryPlan, Plan, Trouble, plan_of
from tests.verification.simulation.run import Simulation

#: The standbys suspect the leader each second; Redis agrees once nothing was sent for five.
ENTRIES = tuple(EntryPlan(f"e{n}", 1_000, config=n == 0, grace_ms=60_000) for n in range(3))


def _plan(seed: int, *, atomic: bool, entries: tuple[EntryPlan, ...] = ENTRIES) -> Plan:
    wedged = Trouble(1, SECOND, "wedge", us=9 * SECOND)
    drawn = plan_of(seed, atomic)
    return replace(drawn, entries=entries, troubles=(wedged,), storm_us=10 * SECOND)


def _run(plan: Plan) -> tuple[list[str], str]:
    """The problems, and how the last leader came to lead."""
    sim = Simulation(plan)
    problems = sim.run().problems
    return problems, sim.server.call("HGET", sim.keys.meta, "leader_cause").decode()


@pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "outbox"])
@pytest.mark.parametrize("seed", range(2))
def test_a_standby_takes_its_lease(seed: int, atomic: bool) -> None:
    assert _run(_plan(seed, atomic=atomic)) == ([], "wedged")


def test_one_entry_alone_costs_no_leader_its_lease() -> None:
    problems, cause = _run(_plan(0, atomic=True, entries=ENTRIES[:1]))
    assert cause == "first"
    assert "entries are behind" in problems[0], problems
