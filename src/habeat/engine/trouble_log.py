"""Logs each problem once when it starts and once when it ends."""

from __future__ import annotations

from habeat.core.events import EventCode
from habeat.log import log_event


class TroubleLog:
    """Remembers the last line logged about each subject, and its event code."""

    def __init__(self) -> None:
        self._logged: dict[str, tuple[EventCode, str, str]] = {}

    def error(
        self,
        subject: str,
        code: EventCode,
        text: str,
        *args: object,
        entry: str = "",
        traceback: bool = False,
    ) -> None:
        """Log a problem of `subject`, unless the last line about it was the same."""
        logged = code, text % args, entry
        if self._logged.get(subject) != logged:
            self._logged[subject] = logged
            log_event(code, "%s", logged[1], exc_info=traceback, entry=entry)

    def over(self, subject: str, text: str = "", *args: object) -> None:
        """End the problem of `subject`; log `text` if the problem had been logged."""
        logged = self._logged.pop(subject, None)
        if logged is not None and text:
            code, _, entry = logged
            log_event(code, text, *args, ended=True, entry=entry)
