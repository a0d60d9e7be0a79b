"""habeat: a highly available scheduler for Celery beat.

Run several beat processes with ``-S habeat.Scheduler``: one leads, the others stand by, and every
slot of every entry fires once.

The public names are loaded on first use, so ``import habeat`` has no side effects and does not
import Celery. They are looked up in a table on purpose: a plain import statement here would make
every module of the package depend on the Celery adapter.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from habeat.log import keep_to_one_line

if TYPE_CHECKING:
    from habeat import errors as errors
    from habeat.beat.scheduler import Scheduler as Scheduler
    from habeat.client import AsyncClient as AsyncClient
    from habeat.client import Client as Client
    from habeat.client import Guard as Guard
    from habeat.core.entry import Entry as Entry
    from habeat.schedules.constructors import cron as cron
    from habeat.schedules.constructors import crontab as crontab
    from habeat.schedules.constructors import every as every
    from habeat.schedules.constructors import once as once
    from habeat.schedules.constructors import rrule as rrule
    from habeat.schedules.constructors import solar as solar

__version__ = "0.1.0"

_HOMES = {
    "Scheduler": "habeat.beat.scheduler",
    "AsyncClient": "habeat.client",
    "Client": "habeat.client",
    "Entry": "habeat.core.entry",
    "Guard": "habeat.client",
    "every": "habeat.schedules.constructors",
    "cron": "habeat.schedules.constructors",
    "crontab": "habeat.schedules.constructors",
    "once": "habeat.schedules.constructors",
    "rrule": "habeat.schedules.constructors",
    "solar": "habeat.schedules.constructors",
}

__all__ = [
    "AsyncClient",
    "Client",
    "Entry",
    "Guard",
    "Scheduler",
    "__version__",
    "cron",
    "crontab",
    "errors",
    "every",
    "once",
    "rrule",
    "solar",
]


keep_to_one_line()


if not TYPE_CHECKING:  # with it, a type checker would take any name for one that exists

    def __getattr__(name: str) -> object:
        if name == "errors":
            return import_module("habeat.errors")
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'habeat' has no attribute {name!r}")
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
