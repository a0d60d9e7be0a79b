"""The ``habeat`` logger: each record is one line, whatever the texts in it contain.

Names of entries, error texts of users' classes and what is stored in Redis end up in log lines. The
filter below makes the finished message printable (`habeat.printable`), so that no text can
start a line of its own, and gives each line of a traceback a margin for the same reason.
"""

from __future__ import annotations

import logging
import traceback

from habeat.printable import printable

MESSAGE_MAX_CHARS = 2_000
_MARGIN = "  | "


class OneLine(logging.Filter):
    """Escapes what a record says, before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage(), MESSAGE_MAX_CHARS), None
        if record.exc_info and record.exc_info[0] is not None:
            lines = "".join(traceback.format_exception(*record.exc_info)).splitlines()
            record.exc_text = "\n".join(_MARGIN + printable(line) for line in lines)
        return True


def keep_to_one_line() -> None:
    """Make the logger's records printable; done once, when the package is imported."""
    log = logging.getLogger("habeat")
    if not any(isinstance(each, OneLine) for each in log.filters):
        log.addFilter(OneLine())
