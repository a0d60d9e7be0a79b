"""The pause of the whole schedule, as the API shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from habeat.core.holds import Pause
from habeat.schedules.schedule import moment


@dataclass(frozen=True, slots=True)
class SchedulePause:
    """A pause of the whole schedule: since when, until when (None: until it is resumed), and why.

    `by` is who asked for it: the user and host of the process.
    """

    since: datetime
    until: datetime | None
    reason: str
    by: str


def shown_pause(pause: Pause | None) -> SchedulePause | None:
    """The pause as the API has it."""
    if pause is None:
        return None
    until = None if pause.until_ms is None else moment(pause.until_ms)
    return SchedulePause(moment(pause.since_ms), until, pause.reason, pause.by)
