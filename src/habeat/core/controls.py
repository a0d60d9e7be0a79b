"""Controls: what people ask of the schedule as a whole, rather than of one entry.

They are kept in one hash in Redis, and each write gives them a new stamp; so does each attempt at
a write, because others may write in between. The leader's tick passes
the stamp that it knows, and gets the controls if there is another. Claims and skips carry the stamp
under which they were planned; under another one, they are refused and planned again. So once the
call that paused the schedule has returned, nothing more is claimed.

A value that cannot be read is ignored, and `health` names its field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, Final

from habeat.core.calendars import Calendar
from habeat.core.holds import Holds, Pause, Window
from habeat.schedules.registry import from_json
from habeat.schedules.schedule import FIRST_MS, LAST_MS
from habeat.schedules.zone import zone_named

#: The most controls that are stored.
CONTROLS_MAX: Final = 500
#: The most of them that may be holds; the rest is reserved for what must always find room.
HOLDS_MAX: Final = 400
#: The limit for a pause of the whole schedule, which even finds room if other programs left none.
ANY_NUMBER: Final = 2**31
#: The most calendars, and the most days in one.
CALENDARS_MAX: Final = 50
CALENDAR_DAYS_MAX: Final = 1_000

STEP_DOWN: Final = "step_down"
PAUSE: Final = "pause"
#: Followed by the name of the hold, or of the calendar.
HOLD: Final = "hold:"
CALENDAR: Final = "calendar:"
#: The length of a reason, and of who gave it.
WORDS_MAX: Final = 500

#: At most this many pauses are remembered, for slots that are found late; older ones are forgotten.
PAUSES_MAX, PAUSES_AGE_MS = 20, 31 * 86_400_000

_STEP_DOWN = re.compile(r"([^|]{1,200})\|([^|]{0,200})\|(\d{1,15})\|(.{0,500})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StepDown:
    """Asks the leader with this token to hand over, to the replica `to` if it is not "".

    After `until_ms` (Redis' time) it is void. `by` says who asked, for the log.
    """

    token: str
    to: str
    until_ms: int
    by: str

    def is_for(self, token: str, now_ms: int) -> bool:
        """Whether this is for the leader with this token, and still valid.

        A leader never hands over to itself: the lease would be free in the meantime.
        """
        to_itself = self.to != "" and token.partition(":")[2] == self.to
        return token == self.token and now_ms < self.until_ms and not to_itself

    def stored(self) -> str:
        """The stored form, which acquire.lua reads too."""
        return f"{self.token}|{self.to}|{self.until_ms}|{self.by}"


@dataclass(frozen=True, slots=True)
class StoredControls:
    """The controls as stored: their stamp, which each write changes, and their values by field."""

    stamp: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls under one stamp."""

    stamp: str = ""
    step_down: StepDown | None = None
    holds: Holds = field(default_factory=Holds)
    #: The fields whose values cannot be read.
    damaged: tuple[str, ...] = ()


def controls_of(stamp: str, fields: Mapping[str, str]) -> Controls:
    """The controls that these fields describe; what cannot be read is left out."""
    damaged: list[str] = []

    def read(name: str, how: Callable[[Any], Any], default: Any) -> Any:
        if name not in fields:
            return default
        try:
            return how(json.loads(fields[name]))
        except Exception:  # whatever is stored there, the leader goes on without it
            damaged.append(name)
            return default

    pauses = read(PAUSE, pauses_of, ())
    windows: dict[str, Window] = {}
    for each in sorted(name for name in fields if name.startswith(HOLD)):
        name = each.removeprefix(HOLD)
        window = read(each, partial(window_of, name), None)
        if window is not None:
            windows[name] = window
    calendars: dict[str, Calendar] = {}
    for each in sorted(name for name in fields if name.startswith(CALENDAR)):
        name = each.removeprefix(CALENDAR)
        calendar = read(each, partial(calendar_of, name), None)
        if calendar is not None:
            calendars[name] = calendar
    asked = _step_down(fields.get(STEP_DOWN, ""))
    return Controls(stamp, asked, Holds(pauses, windows, calendars), tuple(damaged))


def window_of(name: str, stored: Any) -> Window:
    """The window that is stored under this name. Raises whatever a wrong value raises."""
    until, schedule = stored["to"], stored["schedule"]
    if stored["misfire"] not in ("skip", "latest") or not isinstance(stored["tags"], list):
        raise ValueError
    return Window(
        name=name,
        from_ms=instant(stored["from"]),
        until_ms=None if until is None else instant(until),
        schedule=None if schedule is None else from_json(schedule),
        for_ms=instant(stored["for"]),
        prefix=words(stored["prefix"]),
        tags=tuple(map(words, stored["tags"])),
        latest=stored["misfire"] == "latest",
        reason=words(stored["reason"]),
        by=words(stored["by"]),
    )


def calendar_of(name: str, stored: Any) -> Calendar:
    """The calendar that is stored under this name. Raises whatever a wrong value raises."""
    dates = sorted({date.fromisoformat(words(each)) for each in stored["dates"]})
    yearly = {date.fromisoformat(f"2000-{words(each)}") for each in stored["yearly"]}
    if len(dates) + len(yearly) > CALENDAR_DAYS_MAX:
        raise ValueError
    zone_named(words(stored["zone"]))
    days = tuple(sorted((each.month, each.day) for each in yearly))
    return Calendar(name, tuple(dates), days, stored["zone"])


def stored_calendar(calendar: Calendar) -> str:
    """Its stored form."""
    return json.dumps(
        {
            "dates": [each.isoformat() for each in calendar.dates],
            "yearly": [f"{month:02}-{day:02}" for month, day in calendar.yearly],
            "zone": calendar.zone,
        }
    )


def stored_window(window: Window) -> str:
    """Its stored form."""
    return json.dumps(
        {
            "from": window.from_ms,
            "to": window.until_ms,
            "schedule": window.schedule and window.schedule.to_json(),
            "for": window.for_ms,
            "prefix": window.prefix,
            "tags": list(window.tags),
            "misfire": "latest" if window.latest else "skip",
            "reason": window.reason,
            "by": window.by,
        }
    )


def pauses_of(stored: Any) -> tuple[Pause, ...]:
    """The pauses of the whole schedule, the newest last. Raises whatever a wrong value raises."""
    return tuple(map(_pause, stored))


def stored_pauses(pauses: tuple[Pause, ...], now_ms: int) -> str:
    """Their stored form, without those that are long over."""
    kept = [each for each in pauses if each.ends_ms > now_ms - PAUSES_AGE_MS][-PAUSES_MAX:]
    return json.dumps([_plain_pause(each) for each in kept])


def _plain_pause(pause: Pause) -> dict[str, Any]:
    return {
        "from": pause.since_ms,
        "to": pause.until_ms,
        "reason": pause.reason,
        "by": pause.by,
        "over": pause.over,
    }


def _pause(stored: Any) -> Pause:
    until = stored["to"]
    return Pause(
        instant(stored["from"]),
        None if until is None else instant(until),
        words(stored["reason"]),
        words(stored["by"]),
        stored.get("over") is True,
    )


def instant(stored: Any) -> int:
    """A stored instant in ms; ValueError."""
    if type(stored) is not int or not FIRST_MS <= stored <= LAST_MS:
        raise ValueError(stored)
    return stored


def words(stored: Any) -> str:
    """A stored text; ValueError."""
    if not isinstance(stored, str) or len(stored) > WORDS_MAX:
        raise ValueError
    return stored


def _step_down(stored: str) -> StepDown | None:
    found = _STEP_DOWN.fullmatch(stored)
    return found and StepDown(found[1], found[2], int(found[3]), found[4])
