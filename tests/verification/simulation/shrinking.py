"""Making a failing run smaller while it fails in the same way.

Troubles are left out one by one, then entries and replicas, then the storm is shortened; each
step is kept if the run still breaks the same invariant. What is left is what a person has to
understand. The remaining parts keep their times, so the history stays recognisable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tests.verification.simulation.plan import SECOND, Plan
from tests.verification.simulation.run import Simulation

#: What names the kind of a problem: "I9", "LIVENESS", "BUG", or its first words.
_SIGN = re.compile(r"(I\d+|[A-Z]{3,})\b")


def sign_of(problem: str) -> str:
    """The invariant that a problem says was broken."""
    found = _SIGN.search(problem.splitlines()[0])
    return found[1] if found else problem[:20]


def signs_of(plan: Plan) -> set[str]:
    """All that a run of this plan breaks."""
    return {sign_of(problem) for problem in Simulation(plan).run().problems}


def shrunk(plan: Plan, sign: str, most_runs: int = 300) -> Plan:
    """The smallest plan found that still breaks the same invariant."""
    left = most_runs
    found = True
    while found and left > 0:
        found = False
        for smaller in _smaller(plan):
            left -= 1
            if left <= 0:
                break
            if sign in signs_of(smaller):
                plan, found = smaller, True
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    for trouble in reversed(plan.troubles):
        yield plan.without([trouble.number])
    if len(plan.entries) > 1:
        for entry in plan.entries:
            yield replace(plan, entries=tuple(e for e in plan.entries if e is not entry))
    if plan.replicas > 1:
        yield replace(plan, replicas=plan.replicas - 1)
    last_us = max((trouble.at_us for trouble in plan.troubles), default=0)
    for storm_us in (last_us + SECOND // 2, last_us + SECOND, last_us + 2 * SECOND):
        if storm_us < plan.storm_us:
            yield replace(plan, storm_us=storm_us)


def options_of(plan: Plan, whole: Plan) -> str:
    """The words of `show` that leave out of a seed's plan what was left out of this one."""
    words = [f"show {plan.seed}"]
    kept = {trouble.number for trouble in plan.troubles}
    gone = [str(t.number) for t in whole.troubles if t.number not in kept]
    if gone:
        words.append(f"--without {','.join(gone)}")
    if plan.entries != whole.entries:
        words.append(f"--entries {','.join(entry.name for entry in plan.entries)}")
    if plan.replicas != whole.replicas:
        words.append(f"--replicas {plan.replicas}")
    if plan.storm_us != whole.storm_us:
        words.append(f"--storm-us {plan.storm_us}")
    return " ".join(words)
