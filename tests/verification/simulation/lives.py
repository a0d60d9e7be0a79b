"""Lives in which one thing happens at the moment that matters: what a planted bug needs to show.

Drawn seeds come to such moments once in a hundred or in a million runs. Each is made of a seed, and
the product as it is passes it at every seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.verification.simulation.plan import SECOND, Plan, Trouble, plan_of

#: A plan for each seed.
Life = Callable[[int], Plan]


def stops(seed: int) -> Plan:
    """The leader is stopped politely, three times, and nothing else happens."""
    return _with(plan_of(seed), *(Trouble(n, n * SECOND, "term") for n in (1, 2, 3)))


def restores(seed: int) -> Plan:
    """Snapshots of 0.9 s ago are restored under a leader that goes on."""
    troubles = (Trouble(n, n * SECOND, "restore", us=900_000) for n in (1, 2, 3))
    return _with(plan_of(seed), *troubles)


def fails_over(seed: int) -> Plan:
    """A Redis replica that lags by 0.9 s takes over; it has been waited for."""
    troubles = (Trouble(n, n * SECOND, "failover", us=900_000) for n in (1, 2, 3))
    return replace(_with(plan_of(seed, atomic=False), *troubles), waits=True)


def killed_unwaited(seed: int) -> Plan:
    """A leader dies between a claim and its WAIT; its heir sends, then Redis fails over."""
    plan = plan_of(seed, atomic=False)
    entry = replace(
        plan.entries[0],
        every_ms=3_000,
        config=False,
        task="task",
        grace_ms=60_000,
        at_most_once=False,
        jitter_ms=0,
        spread_ms=0,
        deadline_ms=None,
        max_runs=None,
    )
    plan = _with(
        plan,
        Trouble(1, SECOND // 2, "failover", us=1_900_000),
        Trouble(2, 600_000, "kill", on="wait<"),
    )
    return replace(plan, entries=(entry,), waits=True, phase_ms=0, ttl_ms=1_000)


def settling_lost(seed: int) -> Plan:
    """The request or the answer of a settling is lost, again and again."""
    kinds = ("lose request", "lose reply")
    troubles = (
        Trouble(n, n * SECOND // 2, kinds[n % 2], on="settle<" if n % 2 == 0 else "settle>")
        for n in range(1, 8)
    )
    return _with(plan_of(seed, atomic=False), *troubles)


def _with(plan: Plan, *troubles: Trouble) -> Plan:
    return replace(
        plan, troubles=troubles, storm_us=4 * SECOND, replicas=3, never_back=True, batch=2
    )
