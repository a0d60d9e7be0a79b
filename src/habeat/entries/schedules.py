"""Read what users give as a schedule: one of habeat's, a period, or one of Celery's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from habeat.entries.celery_schedules import (
    celery_class,
    interval,
    of_celery,
    on_round_times,
    own_code,
)
from habeat.errors import ValidationError
from habeat.schedules import Schedule


def schedule_of(given: Any, *, zone: str = "", relative: bool = False) -> Schedule:
    """The schedule for `given`; ValidationError if it is not one or cannot be stored.

    `zone` is the zone of the app, if it is known already. `relative` is Celery's flag of that
    name: a period has its slots on round times.
    """
    if isinstance(given, Schedule):
        return given
    if isinstance(given, int | float | timedelta) and not isinstance(given, bool):
        return on_round_times(given, zone) if relative else interval(given)
    if celery_class(given) is None:
        raise ValidationError(
            "schedule",
            given,
            "seconds, a timedelta, or a schedule of Celery's or of habeat's, such as "
            "habeat.cron('0 8 * * *')",
        )
    if code := own_code(given):
        raise _only_code(given, code)
    return of_celery(given, zone=zone, relative=relative)


def _only_code(given: Any, code: tuple[str, ...]) -> ValidationError:
    kind = type(given)
    return ValidationError(
        "schedule",
        given,
        "a schedule without code of its own, or a registered kind of habeat.Schedule; "
        "put this one in beat_schedule",
        problem=f"cannot store a schedule of {kind.__module__}.{kind.__qualname__}, because its "
        f"own code ({', '.join(code)}) decides when it is due",
    )
