"""Schedules of code are asked at once: in a test, there is no loop to protect from them."""

from __future__ import annotations

from habeat.ports import DueEntry, ScheduleAnswer
from habeat.schedules.custom import LiveCode


class ImmediateAsker:
    """`ports.ScheduleAsker` that calls the schedule in the current thread."""

    def ask(self, due: DueEntry, schedule: LiveCode, now_ms: int) -> ScheduleAnswer:
        """See `ScheduleAsker.ask`; any error of the user's class is the answer."""
        try:
            return ScheduleAnswer(now_ms, schedule.ask(due.cursor_ms or 0, now_ms))
        except Exception as error:
            return ScheduleAnswer(now_ms, failed=f"its schedule fails: {error!r}")
