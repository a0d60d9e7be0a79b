"""Each run that was made for a planted bug is clean without the bug."""

import pytest

from tests.verification.simulation import lives
from tests.verification.simulation.plan import Plan
from tests.verification.simulation.run import Simulation

SEEDS = 10


@pytest.mark.slow
@pytest.mark.parametrize("life", lives.ALL, ids=lambda life: life.__name__)
def test_it_is_clean(life: lives.Life) -> None:
    for seed in range(SEEDS):
        plan: Plan = life(seed)
        problems = Simulation(plan).run().problems
        assert not problems, f"{seed}\n" + "\n".join(problems)
