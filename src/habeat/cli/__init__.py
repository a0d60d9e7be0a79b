"""The command line: a thin layer over `habeat.client`.

``celery -A proj habeat …`` runs `habeat`, a click group that Celery finds through its entry point.
The console script ``habeat`` is in `habeat.cli.main`.
"""

from habeat.cli.group import habeat

__all__ = ["habeat"]
