"""The app of a test: a module written to its folder, as a user would write it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TASK = "proj.work"

_MODULE = """\
from datetime import timedelta
from celery import Celery
from celery.schedules import crontab
import habeat

app = Celery({main!r})
app.conf.update({conf!r})
app.conf.beat_schedule = {schedule}
{more}

@app.task(name="proj.work")
def work(*args, **kwargs):
    return None
"""


def write_app(
    folder: Path,
    conf: Mapping[str, Any],
    schedule: str = "{}",
    *,
    module: str = "proj",
    main: str | None = "proj",
    more: str = "",
) -> str:
    """Write the module and return its name for ``celery -A``.

    `schedule` is the source of an expression, `more` of statements. Without a result backend
    and without Celery's own entry, so that what fires is what the test declares.
    """
    settled = {"result_expires": None, "broker_connection_retry_on_startup": True, **conf}
    source = _MODULE.format(main=main, conf=settled, schedule=schedule, more=more)
    (folder / f"{module}.py").write_text(source)
    return module


def entries(count: int, period: float | str = 1.0, *, more: str = "") -> str:
    """`count` entries of the same period; those under a minute all fall on the same instants.

    `period` is seconds, or the source of a schedule; `more` is the source of further keys.
    """
    return (
        f'{{f"e{{i:05d}}": {{"task": {TASK!r}, "schedule": {period}, {more}}} '
        f"for i in range({count})}}"
    )


def burst(count: int, in_s: float, period_s: int = 600) -> str:
    """`count` entries that all fall due together in about `in_s` seconds, and then rarely."""
    first_s = int(time.time() + in_s) % period_s
    return entries(count, f"habeat.every({period_s}, offset={first_s})")
