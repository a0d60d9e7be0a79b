"""Fixtures of every suite; the real servers live in `tests.support.servers`."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path

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


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each worker of a whole run imports its share of the test modules first.

    pytest rewrites the assertions of a module when it is imported for the first time, and keeps the
    result beside it. That takes longer than the rest of the collection, and every worker collects
    everything: without shares, all of them would rewrite the same module at the same time.
    """
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    here = Path(__file__).parent
    # The modules in contrib need Django's settings, which pytest has not set up at this point.
    modules = [path for path in sorted(here.rglob("test_*.py")) if path.parent.name != "contrib"]
    for path in modules[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        name = ".".join(path.relative_to(here.parent).with_suffix("").parts)
        with contextlib.suppress(Exception, pytest.skip.Exception):  # the collection reports it
            importlib.import_module(name)
