"""The Celery app whose schedule the admin shows, and a client for it.

The app is Celery's current app when Django has loaded, which is the project's own if
`proj/__init__.py` imports it, as Celery's guide for Django says. `HABEAT_CELERY_APP` names another:
what you write after ``celery -A``, or the app itself.

The current app is remembered, because it belongs to a thread: in the threads of a web server, it is
an app without configuration.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from celery import Celery, current_app
from celery.app.utils import find_app
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from habeat.client import Client
from habeat.printable import printable, repr_of

SETTING = "HABEAT_CELERY_APP"
#: What the setting may be, for errors and hints.
EXPECTED = "what follows `celery -A`, such as 'proj', or a Celery app"

#: A page makes a few calls; each ends in this time, also while Redis is down.
TIMEOUT_S = 3.0

#: The name of the app that Celery makes where there is none; it has no configuration.
FALLBACK = "default"

_remembered: list[Any] = []


def remember_current_app() -> None:
    """Remember the app that is current now; called when Django has loaded the project."""
    _remembered[:] = [current_app._get_current_object()]


def celery_app() -> Any:
    """The project's Celery app; ImproperlyConfigured if there is none."""
    given = getattr(settings, SETTING, None)
    if given is None:
        return _current()
    if isinstance(given, Celery):
        return given
    if not isinstance(given, str):
        raise ImproperlyConfigured(_invalid(given))
    return _named(given)


@lru_cache(maxsize=4)
def _named(given: str) -> Any:
    try:
        found = find_app(given)
    except Exception as error:  # the project's own modules may raise anything
        # Only the type: the text may quote the project's secrets, and users see it.
        why = f"; it raises {type(error).__name__}: `celery -A {printable(given)} report` shows why"
        raise ImproperlyConfigured(_invalid(given) + why) from error
    if not isinstance(found, Celery):
        raise ImproperlyConfigured(_invalid(given))
    return found


def _invalid(given: object) -> str:
    return f"invalid {SETTING} {repr_of(given)}: expected {EXPECTED}"


def _current() -> Any:
    for app in (*_remembered, current_app._get_current_object()):
        if app.main != FALLBACK:
            return app
    raise ImproperlyConfigured(
        "there is no Celery app in this process: import it in the project's __init__.py, as "
        f"Celery's guide for Django says, or set {SETTING} to {EXPECTED}"
    )


def default_client() -> Client:
    """A client for the project's app, shared by all requests of this process."""
    return _client_of(celery_app())


@lru_cache(maxsize=4)
def _client_of(app: Any) -> Client:
    return Client(app, timeout=TIMEOUT_S)
