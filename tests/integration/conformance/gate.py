"""Plays seeds on two sides at once; shortens and reports the first difference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

from tests.integration.conformance.comparison import first_difference, shortest
from tests.integration.conformance.play import Play
from tests.integration.conformance.sides import ModelSide, Outcome, ServerSide, State
from tests.integration.conformance.steps import Step

STEPS = 250


def seeds(by_default: int) -> range:
    """Which seeds to play: HABEAT_SEEDS says how many, or which: `HABEAT_SEEDS=400:500`."""
    wanted = os.environ.get("HABEAT_SEEDS", "")
    first, colon, end = wanted.partition(":")
    if colon:
        return range(int(first), int(end))
    return range(int(wanted) if wanted else by_default)


Drawn = tuple[list[Step], list[Outcome]]


@lru_cache(maxsize=10)
def drawn_once(seed: int) -> Drawn:
    """`drawn` with the model as it is: several servers are held to the same plays."""
    return drawn(seed, ModelSide())


def drawn(seed: int, model: ModelSide, steps: int = STEPS) -> Drawn:
    """The play of a seed, and what the model did: each step depends on the state before it."""
    model.reset()
    play = Play(seed, model.digest)
    made: list[Step] = []
    outcomes: list[Outcome] = []
    for _ in range(steps):
        made.append(play.next(outcomes[-1].state if outcomes else State()))
        outcomes.append(model.play(made[-1]))
    return made, outcomes


def difference_of(seed: int, model: ModelSide, server: ServerSide, steps: int = STEPS) -> str:
    """A description of the first difference; "" if there is none."""
    usual = type(model) is ModelSide and not model.plain_sums and steps == STEPS
    played = drawn_once(seed) if usual else drawn(seed, model, steps)
    difference = first_difference(model, server, *played)
    return f"seed {seed}: {shortest(difference, model, server)}" if difference else ""


def hold(which: Sequence[int], model: ModelSide, server: ServerSide, steps: int = STEPS) -> None:
    """Fail with the first difference that one of the seeds shows."""
    for seed in which:
        difference = difference_of(seed, model, server, steps)
        assert not difference, difference
