"""Fixtures of every suite; the real servers live in `tests.servers`."""

from __future__ import annotations

pytest_plugins = ["tests.servers.plugin"]
