"""Django with two databases in memory, and django-celery-beat's tables where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

BEAT = "django_celery_beat"


def use_databases() -> None:
    """Configure Django once per process; skips the test where Django is missing."""
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        settings.configure(
            DATABASES={"default": sqlite, "other": sqlite},
            INSTALLED_APPS=[BEAT] if find_spec(BEAT) else [],
            USE_TZ=True,
            LOGGING_CONFIG=None,
            SECRET_KEY="tests",
        )
        django.setup()


def empty_beat_tables() -> None:
    """Make django-celery-beat's tables in the first database, or empty them; or skip the test."""
    pytest.importorskip(BEAT)
    use_databases()
    from django.apps import apps
    from django.db import connection

    models = list(apps.get_app_config(BEAT).get_models())
    existing = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in models:
            if model._meta.db_table not in existing:
                editor.create_model(model)
    for model in reversed(models):
        model._default_manager.all()._raw_delete(connection.alias)
