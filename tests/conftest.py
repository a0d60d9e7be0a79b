"""Fixtures of every suite; the real servers live in `tests.support.servers`."""

from __future__ import annotations

pytest_plugins = ["tests.support.servers.plugin"]
