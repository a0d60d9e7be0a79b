"""Read what users give as a schedule: one of habeat's, a period, or one of Celery's.

Celery's own kinds are recognised by their module and read without importing Celery. A class derived
from one of them may behave differently, so it is refused here: it belongs in beat_schedule.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from habeat.errors import ValidationError
from habeat.schedules import Crontab, Schedule, Solar, every

_CRONTAB_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_PERIOD_ALLOWED = "seconds or a timedelta, 0.1 s or more, in whole milliseconds"


def schedule_of(given: Any) -> Schedule:
    """The schedule for `given`; ValidationError (field ``schedule``) if it is not one."""
    if isinstance(given, Schedule):
        return given
    if isinstance(given, int | float | timedelta) and not isinstance(given, bool):
        try:
            return every(given)
        except ValidationError as error:
            raise ValidationError("schedule", given, _PERIOD_ALLOWED) from error
    if type(given).__module__ == "celery.schedules" and given.nowfun is None:
        return _of_celery(given)
    if callable(getattr(given, "remaining_estimate", None)):
        raise ValidationError(
            "schedule", given, "a habeat schedule; put custom schedule classes in beat_schedule"
        )
    raise ValidationError(
        "schedule", given, "seconds, a timedelta or a schedule such as habeat.cron('0 8 * * *')"
    )


def _of_celery(given: Any) -> Schedule:
    """habeat's equivalent of one of Celery's own schedules."""
    if hasattr(given, "_orig_minute"):
        return Crontab(**{name: getattr(given, f"_orig_{name}") for name in _CRONTAB_FIELDS})
    if hasattr(given, "event"):
        return Solar(given.event, given.lat, given.lon)
    return every(given.run_every, align="epoch" if given.relative else "own")
