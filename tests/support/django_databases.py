"""Django with two databases in memory, for tests of what waits for a transaction."""

from __future__ import annotations

import pytest


def use_databases() -> None:
    """Configure Django once per process; skips the test where Django is missing."""
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        settings.configure(DATABASES={"default": sqlite, "other": sqlite}, LOGGING_CONFIG=None)
        django.setup()
