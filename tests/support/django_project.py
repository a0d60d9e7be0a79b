"""A Django project with habeat's admin, in the process of the tests, for as long as they need it.

Django can be configured once per process, and other tests use it without an admin. So the admin's
settings are laid over those that are there, and taken away again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from tests.support.django_databases import use_databases

APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "habeat.contrib.django",
    *(["django_celery_results"] if find_spec("django_celery_results") else []),
]


def admin_settings() -> dict[str, Any]:
    processors = [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]
    return {
        "SECRET_KEY": "for tests",
        "ALLOWED_HOSTS": ["*"],
        "INSTALLED_APPS": APPS,
        "ROOT_URLCONF": "tests.support.django_urls",
        "STATIC_URL": "/static/",
        "USE_TZ": True,
        "TIME_ZONE": "Europe/Berlin",
        "DEFAULT_AUTO_FIELD": "django.db.models.AutoField",
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": processors},
            }
        ],
        # Tables are made from the models: the migrations take seconds.
        "MIGRATION_MODULES": {name.rpartition(".")[2]: None for name in APPS} | {"habeat": None},
    }


@contextmanager
def admin_project() -> Iterator[None]:
    """The project with its tables; skips the tests where Django is missing."""
    use_databases()
    from django.core.management import call_command
    from django.test import override_settings

    with override_settings(**admin_settings()):
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield
