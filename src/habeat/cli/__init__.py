"""The command line: a thin layer over `habeat.client`.

``celery -A proj habeat …`` runs `habeat`, a click group that Celery finds through its entry point.
The console script ``habeat`` is in `habeat.cli.main`. It imports this package, and must not import
Celery for a probe, so the group is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from habeat.cli.group import habeat as habeat

__all__ = ["habeat"]


if not TYPE_CHECKING:  # with it, a type checker would take any name for one that exists

    def __getattr__(name: str) -> object:
        if name != "habeat":
            raise AttributeError(f"module 'habeat.cli' has no attribute {name!r}")
        from habeat.cli.group import habeat

        return habeat
