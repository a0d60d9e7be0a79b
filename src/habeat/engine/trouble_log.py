"""Log lines that are written once when trouble starts and once when it is over."""

from __future__ import annotations

import logging

log = logging.getLogger("habeat")


class TroubleLog:
    """Remembers which troubles have been told."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def error(self, subject: str, text: str, *args: object, traceback: bool = False) -> None:
        """Log the trouble of `subject`, unless the same line was the last one about it."""
        line = text % args
        if self._told.get(subject) != line:
            self._told[subject] = line
            log.error(line, exc_info=traceback)

    def over(self, subject: str, text: str = "", *args: object) -> None:
        """The trouble of `subject` has ended; say so if it had been told."""
        if self._told.pop(subject, None) is not None and text:
            log.warning(text, *args)
