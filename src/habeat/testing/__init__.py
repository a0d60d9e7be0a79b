"""Test your own schedules: a settable clock, and a scheduler that you move by hand.

No Redis, no broker and no waiting: the planner is the one of beat, and the time is what the clock
is set to. For pytest, the fixtures `habeat_clock` and `habeat_scheduler` come with the package.

The names are loaded on first use, so the pytest plugin costs nothing where it is not used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from habeat.testing.clock import Clock as Clock
    from habeat.testing.firings import Firing as Firing
    from habeat.testing.firings import Skipped as Skipped
    from habeat.testing.scheduler import ManualScheduler as ManualScheduler
    from habeat.testing.slot_list import slots as slots

_HOMES = {
    "Clock": "habeat.testing.clock",
    "Firing": "habeat.testing.firings",
    "ManualScheduler": "habeat.testing.scheduler",
    "Skipped": "habeat.testing.firings",
    "slots": "habeat.testing.slot_list",
}

__all__ = ["Clock", "Firing", "ManualScheduler", "Skipped", "slots"]


if not TYPE_CHECKING:  # with it, a type checker would take any name for one that exists

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'habeat.testing' has no attribute {name!r}")
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
