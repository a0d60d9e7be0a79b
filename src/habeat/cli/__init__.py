"""The command line: a thin face on `habeat.client`.

``celery -A proj habeat …`` is `habeat`, a click group that Celery finds by its entry point; the
console script ``habeat`` is in `habeat.cli.main`.
"""

from habeat.cli.group import habeat

__all__ = ["habeat"]
