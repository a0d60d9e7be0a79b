"""habeat's answers in place of those of Celery's schedules.

`is_due` and `remaining_estimate` translate the schedule as an entry of beat_schedule, and ask
habeat's planner about it. In these tests `nowfun` is the clock, and the last run is a slot of the
entry. What the fields of a crontab mean comes from habeat's parser, which must also refuse what
Celery refuses.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from celery import schedules

from habeat.beat.declared.beat_schedule import declare
from habeat.config import Settings
from habeat.config.from_app import policies_of
from habeat.config.zone_names import zone_name
from habeat.core.catchup import plan
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.errors import ValidationError
from habeat.schedules import Crontab, Interval, Solar
from habeat.schedules.crontab import expand
from tests.verification.celery_own.asked import asked

#: By how many seconds habeat's slots are moved here: only to see that Celery's tests notice.
PLANTED_ERROR_S = float(os.environ.get("HABEAT_PLANTED_ERROR_S", 0))

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Celery's parser names a field by its size and its first value.
FIELDS = {
    (60, 0): "minute",
    (24, 0): "hour",
    (7, 0): "day_of_week",
    (31, 1): "day_of_month",
    (12, 1): "month_of_year",
}


class Disagreement(AssertionError):
    """One of the two refuses what the other accepts."""


def put_in_place() -> None:
    """Replace Celery's methods, for the rest of this process."""
    for kind in (schedules.schedule, schedules.crontab, schedules.solar):
        kind.is_due = is_due
        kind.remaining_estimate = remaining_estimate
    schedules.crontab.__init__ = also_refused(schedules.crontab.__init__, habeat_crontab)
    schedules.solar.__init__ = also_refused(schedules.solar.__init__, habeat_solar)
    parser, parse = schedules.crontab_parser, schedules.crontab_parser.parse
    parser.parse = lambda self, spec: expanded(
        self.max_, self.min_, spec, lambda: parse(self, spec)
    )


# -- when it is due ---------------------------------------------------------------------------


def is_due(self: Any, last_run_at: datetime) -> Any:
    """Whether a slot after the last run fires now, and the seconds until the next one."""
    now, last_run = instant(self, self.now()), instant(self, last_run_at)
    entry = entry_of(self, last_run)
    return schedules.schedstate(
        is_due=fires(entry, self.app, last_run, now),
        next=(slot_after(entry, max(now, last_run)) - now).total_seconds(),
    )


def remaining_estimate(self: Any, last_run_at: datetime, *_: Any, **__: Any) -> timedelta:
    """The time until the first slot after the last run; negative if it has passed."""
    now, last_run = instant(self, self.now()), instant(self, last_run_at)
    return slot_after(entry_of(self, last_run), last_run) - now


def entry_of(given: Any, last_run: datetime) -> Entry:
    """What habeat makes of a schedule in beat_schedule; a free interval counts from `last_run`."""
    asked["answer"] += 1
    app, clock = given.app, given.nowfun
    if zone := vars(app).get("timezone"):  # where these tests set it
        app.conf.timezone = zone if isinstance(zone, str) else zone_name(zone)
    if isinstance(given, schedules.schedule) or (clock is not None and clock().tzinfo is None):
        given.nowfun = None  # otherwise habeat would ask Celery, and this module again
    try:
        found = declare(app, {"own": {"task": "t.own", "schedule": given}})
    finally:
        given.nowfun = clock
    if found.broken:
        raise Disagreement(f"habeat refuses {given!r}: {found.broken['own']}")
    entry = found.entries["own"]
    if isinstance(entry.schedule, Interval) and entry.schedule.align == "own":
        every_ms = entry.schedule.every_ms
        entry = replace(entry, schedule=Interval(every_ms, ms(last_run) % every_ms))
    return entry


def fires(entry: Entry, app: Any, last_run: datetime, now: datetime) -> bool:
    """Whether habeat's catch-up lets one of the slots since the last run fire."""
    app.conf.habeat_redis_url = os.environ["HABEAT_REDIS_URL"]  # their broker is in memory
    policies = entry.policies(policies_of(Settings.from_conf(app.conf, app_main="own")))
    cursor_ms, moved_ms = ms(last_run), round(PLANTED_ERROR_S * 1_000)
    while steps := plan(entry, policies, cursor_ms=cursor_ms, now_ms=ms(now) - moved_ms):
        if any(isinstance(step.what, Firing) for step in steps):
            return True
        cursor_ms = steps[-1].cursor_ms
    return False


def slot_after(entry: Entry, at: datetime) -> datetime:
    slot_ms = entry.next_slot_ms(ms(at))
    assert slot_ms is not None
    return EPOCH + timedelta(milliseconds=slot_ms, seconds=PLANTED_ERROR_S)


def instant(given: Any, at: datetime) -> datetime:
    return given.maybe_make_aware(at).astimezone(UTC)


def ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


# -- what is refused --------------------------------------------------------------------------


def habeat_crontab(*fields: Any, app: Any = None, nowfun: Any = None, **named: Any) -> Crontab:
    return Crontab(*fields, **named)


def habeat_solar(event: str, lat: float, lon: float, **_: Any) -> Solar:
    return Solar(event, lat, lon)


def also_refused(init: Callable[..., None], ours: Callable[..., Any]) -> Callable[..., None]:
    """Celery's `__init__`, which must refuse what habeat refuses, and nothing else."""

    @wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        agreed(lambda: ours(*args, **kwargs), lambda: init(self, *args, **kwargs))

    return checked


def expanded(size: int, first: int, spec: str, theirs: Callable[[], set[int]]) -> set[int]:
    """The values of a crontab's field, as habeat reads it."""
    field = FIELDS.get((size, first))
    if field is None:  # no field of a crontab has this size
        return theirs()
    return agreed(lambda: set(expand(field, getattr(Crontab(**{field: spec}), field))), theirs)


def agreed(ours: Callable[[], Any], theirs: Callable[[], Any]) -> Any:
    """What `ours` returns; both must refuse the same, and then Celery's error is raised."""
    asked["refusal"] += 1
    refused, answer = "", None
    try:
        answer = ours()
    except ValidationError as error:
        refused = str(error)
    try:
        theirs()
    except Exception as error:
        if not refused:
            raise Disagreement(f"habeat takes what Celery refuses: {error}") from error
        raise
    if refused:
        raise Disagreement(f"Celery takes what habeat refuses: {refused}")
    return answer
