"""Entries that name a calendar which has no effect, so that they fire on all days.

A calendar does not exist, or all its days are past. The leader looks whenever it plans an entry,
logs what is missing, and reports both (report.py), for `health`. It is over when the calendar has
days to come, and when the entry is planned without it or is not planned any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from habeat.core.events import EventCode
from habeat.core.holds import Holds
from habeat.engine.plan import CalendarCheck
from habeat.engine.report import LoopReport
from habeat.engine.trouble_log import TroubleLog


class CalendarWatch:
    """Keeps the report of the calendars up to date."""

    def __init__(self, report: LoopReport, trouble: TroubleLog) -> None:
        self._missing, self._ended = report.missing_calendars, report.ended_calendars
        self._trouble = trouble

    def look(self, checks: Sequence[CalendarCheck], holds: Holds, now_ms: int) -> None:
        """Note what was found while entries were planned at `now_ms`."""
        self._forget(holds, now_ms)
        for each in checks:
            until_ms = now_ms if each.until_ms is None else each.until_ms
            if each.missing:
                self._missing.note(each.entry, each.missing, now_ms, until_ms)
                self._log(each)
            else:
                self._missing.over(each.entry)
                self._trouble.over(_subject(each.entry))
            if each.ended:
                self._ended.note(each.entry, each.ended, now_ms, until_ms)
            else:
                self._ended.over(each.entry)

    def _forget(self, holds: Holds, now_ms: int) -> None:
        """Drop what a change of the calendars has mended, before the entry is planned again."""
        for entry, found in self._missing.current(now_ms).items():
            if found.why in holds.calendars:
                self._missing.over(entry)
                self._trouble.over(_subject(entry))
        ended = self._ended.current(now_ms)
        over = {
            name
            for name in {each.why for each in ended.values()}
            if name in holds.calendars and holds.calendars[name].is_over(now_ms, "")
        }
        for entry, found in ended.items():
            if found.why not in over:
                self._ended.over(entry)

    def _log(self, found: CalendarCheck) -> None:
        self._trouble.error(
            _subject(found.entry),
            EventCode.CALENDAR_MISSING,
            "habeat: entry %r names the calendar %r, which does not exist; it fires every day",
            found.entry,
            found.missing,
            entry=found.entry,
        )


def _subject(entry: str) -> str:
    return f"calendar of {entry}"
