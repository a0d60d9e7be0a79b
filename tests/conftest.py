"""Fixtures of every suite; the real servers live in `tests.support.servers`."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

pytest_plugins = ["tests.support.servers.plugin"]

# No test asserts how fast this machine is; the rest is as in the profile that is in use already.
settings.register_profile("habeat", settings(deadline=None))
settings.load_profile("habeat")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """``-n auto``: twice the cores, since about half of a test's time is waiting for a server."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # xdist reads it
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 2 * (cores or 1)
