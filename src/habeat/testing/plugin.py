"""Fixtures for pytest: `habeat_clock` and `habeat_scheduler`.

pytest loads this module through the entry point ``habeat`` of the group ``pytest11``, in every
project that has habeat installed. So it imports nothing but pytest until a fixture is used.
``-p no:habeat`` turns it off.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from habeat.testing import Clock, ManualScheduler

#: What the clock of a test shows before the test sets it.
BEGINNING = "2026-01-01 00:00"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that names the app for `habeat_scheduler`."""
    parser.addini(
        "habeat_app", "Celery app for habeat_scheduler, such as proj.celery:app", "string"
    )


@pytest.fixture
def habeat_app(request: pytest.FixtureRequest) -> Any:
    """The Celery app for `habeat_scheduler`: the one that the option names, unless overridden."""
    named = str(request.config.getini("habeat_app") or "")
    module, _, attribute = named.partition(":")
    if not module:
        raise pytest.UsageError(
            "habeat_scheduler needs an app: set habeat_app = proj.celery:app in pytest's "
            "configuration, or define a fixture habeat_app"
        )
    try:
        return getattr(import_module(module), attribute or "app")
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the app's module imports
        raise pytest.UsageError(
            f"habeat_app = {named}: Python finds no module {error.name!r}; correct the name, or "
            'set pythonpath = ["."] in pytest\'s configuration if the app is not installed'
        ) from None


@pytest.fixture
def habeat_clock() -> Clock:
    """A clock that shows 2026-01-01 00:00 UTC until the test sets it."""
    from habeat.testing import Clock  # only now: this module must cost nothing

    return Clock(BEGINNING)


@pytest.fixture
def habeat_scheduler(habeat_app: Any, habeat_clock: Clock) -> ManualScheduler:
    """The entries of the app on `habeat_clock`, each as if it were added at the first run."""
    from habeat.testing import ManualScheduler  # only now: this module must cost nothing

    return ManualScheduler(habeat_app, clock=habeat_clock)
