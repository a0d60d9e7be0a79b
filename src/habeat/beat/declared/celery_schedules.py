"""Schedules in beat_schedule that are code: asked through Celery's own interface.

All others are translated by `entries/schedules.py`, as for the Client. The way back is in
`shown_schedules.py`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from celery import Celery

from habeat.config.from_app import timezone_of
from habeat.entries.celery_schedules import own_code
from habeat.entries.schedules import schedule_of
from habeat.schedules import Schedule
from habeat.schedules.custom import Code, DueState, LiveCode

#: The delay until a user's schedule class is asked again if it names none and the setting
#: `beat_max_loop_interval` is 0: the longest time between two checks of Celery's beat.
ASK_AGAIN_S = 300
#: The longest delay that such a schedule may ask for.
LONGEST_S = 366 * 86_400
#: What a default repr says about the object, which differs in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def to_schedule(given: Any, app: Celery, *, zone: str = "", relative: bool = False) -> Schedule:
    """The habeat schedule for anything that beat_schedule may hold; ValidationError.

    `zone` is the app's, if it is known already. `relative` is the entry's flag of that name: slots
    on round times instead of counted from the start.
    """
    if own_code(given):
        kind = type(given)
        shown = _ADDRESS.sub("", repr(given))
        return LiveSchedule(f"{kind.__module__}.{kind.__qualname__}: {shown}", given, app)
    return schedule_of(given, zone=zone or timezone_of(app.conf), relative=relative)


@dataclass(frozen=True, repr=False)
class LiveSchedule(LiveCode):
    """A schedule class of the user, asked through Celery's interface.

    It is stored as `Code`. A copy is asked and kept, so that the class may remember something
    between two questions. If it has no `nowfun`, its clock is set to the instant in question, in
    the app's timezone, as Celery's `app.now()` would be. The last run is given as the clock would
    have shown it.
    """

    schedule: Any
    app: Any

    def ask(self, last_ms: int, now_ms: int) -> DueState:
        """See `LiveCode.ask`; the answer of `is_due`, checked."""
        asked = self._copy
        asked.app = self.app
        if self.schedule.nowfun is None:
            asked.nowfun = partial(datetime.fromtimestamp, now_ms / 1_000, self.app.timezone)
        due, seconds = asked.is_due(_on_its_clock(asked.nowfun(), last_ms, now_ms))
        if seconds is None:
            seconds = self.app.conf.beat_max_loop_interval or ASK_AGAIN_S
        return DueState(bool(due), _again_ms(seconds))

    @cached_property
    def _copy(self) -> Any:
        # Not copy.copy: Celery's `__reduce__` loses attributes that a subclass has added.
        own = object.__new__(type(self.schedule))
        vars(own).update(vars(self.schedule))
        return own

    def to_json(self) -> dict[str, Any]:
        return Code(self.what).to_json()


def _on_its_clock(now: datetime, last_ms: int, now_ms: int) -> datetime:
    """The last run in the form of `now`: in its zone, or without a zone if `now` has none.

    Celery takes the last run from the schedule's own clock, too.
    """
    if now.tzinfo is None:
        return now - timedelta(milliseconds=now_ms - last_ms)
    return datetime.fromtimestamp(last_ms / 1_000, now.tzinfo)


def _again_ms(seconds: object) -> int:
    """The delay that `is_due` asks for, in ms; TypeError or ValueError if it is not one."""
    if not isinstance(seconds, int | float) or seconds != seconds:
        raise TypeError(f"is_due must return seconds as a number, not {type(seconds).__name__}")
    return math.ceil(min(max(seconds, 0), LONGEST_S) * 1_000)
