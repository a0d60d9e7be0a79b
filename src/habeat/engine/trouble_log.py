"""Logs each problem once when it starts and once when it ends."""

from __future__ import annotations

import logging

log = logging.getLogger("habeat")


class TroubleLog:
    """Remembers the last line logged about each subject."""

    def __init__(self) -> None:
        self._logged: dict[str, str] = {}

    def error(self, subject: str, text: str, *args: object, traceback: bool = False) -> None:
        """Log a problem of `subject`, unless the last line about it was the same."""
        line = text % args
        if self._logged.get(subject) != line:
            self._logged[subject] = line
            log.error(line, exc_info=traceback)

    def over(self, subject: str, text: str = "", *args: object) -> None:
        """End the problem of `subject`; log `text` if the problem had been logged."""
        if self._logged.pop(subject, None) is not None and text:
            log.warning(text, *args)
