"""Random sequences of calls, clock and leader; after each the world must be as the model says.

Also for the whole of a run: no slot is accounted for twice, no firing has two messages, no two
firings share a task id, and claimed is settled. A call that is refused writes nothing.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.verification.stateful.scenes import Scenes

EXAMPLES = int(os.environ.get("HABEAT_EXAMPLES", "0"))


class PublicAPI(Scenes):
    """All rules."""


PublicAPI.TestCase.settings = settings(
    max_examples=EXAMPLES or 25,
    stateful_step_count=40 if EXAMPLES else 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

TestPublicAPI = PublicAPI.TestCase
# On a machine that is busy with other things it may take its time.
TestPublicAPI.pytestmark = [pytest.mark.timeout(3_600 if EXAMPLES else 600)]
