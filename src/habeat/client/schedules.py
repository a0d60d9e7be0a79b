"""What people give as a schedule: one of habeat's, or a period.

Celery's own schedules belong into beat_schedule, where habeat translates them. Here they are
refused with the call that says the same, for a client that has no Celery could not read them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from habeat.core.schedule import Schedule, every
from habeat.errors import ValidationError

_CRONTAB_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_PERIOD_ALLOWED = "seconds or a timedelta, 0.1 s or more, in whole milliseconds"


def schedule_of(given: Any) -> Schedule:
    """The schedule meant by `given`; ValidationError (field ``schedule``) if there is none."""
    if isinstance(given, Schedule):
        return given
    if isinstance(given, int | float | timedelta) and not isinstance(given, bool):
        try:
            return every(given)
        except ValidationError as error:
            raise ValidationError("schedule", given, _PERIOD_ALLOWED) from error
    if callable(getattr(given, "remaining_estimate", None)):
        raise ValidationError("schedule", given, f"{_same_in_habeat(given)} says the same")
    raise ValidationError(
        "schedule", given, "seconds, a timedelta or a schedule such as habeat.cron('0 8 * * *')"
    )


def _same_in_habeat(given: Any) -> str:
    """The call of habeat's that makes what Celery's schedule `given` is."""
    if hasattr(given, "_orig_minute"):
        fields = {name: getattr(given, f"_orig_{name}", "*") for name in _CRONTAB_FIELDS}
        written = ", ".join(f"{name}={value!r}" for name, value in fields.items() if value != "*")
        return f"habeat.crontab({written})"
    if hasattr(given, "event"):
        return f"habeat.solar({given.event!r}, {given.lat!r}, {given.lon!r})"
    period = getattr(given, "run_every", None)
    if isinstance(period, timedelta):
        return f"habeat.every({period.total_seconds():g})"
    return "no schedule of habeat's"
