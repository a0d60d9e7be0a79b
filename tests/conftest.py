"""Fixtures of every suite; the real servers live in `tests.support.servers`."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.support.servers.plugin"]

# No test asserts how fast this machine is; the rest is as in the profile that is in use already.
settings.register_profile("habeat", settings(deadline=None))
settings.load_profile("habeat")
