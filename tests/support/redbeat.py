"""RedBeat, imported without its effect on every other app.

Its import connects a receiver to Celery's `beat_init`, which would meet the beats of other tests.
"""

from __future__ import annotations

from typing import Any

import pytest


def redbeat() -> Any:
    """The package; skips the test where it is not installed."""
    package = pytest.importorskip("redbeat")
    from celery.signals import beat_init
    from redbeat import schedulers

    beat_init.disconnect(schedulers.acquire_distributed_beat_lock)
    return package
