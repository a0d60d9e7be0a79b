"""The ``habeat`` logger: each record is one line, whatever text it contains.

Log lines contain entry names, error texts from users' classes, and values stored in Redis. The
filter below makes the finished message printable (`habeat.printable`), so that no value can forge a
log line of its own. It indents each line of a traceback for the same reason.
"""

from __future__ import annotations

import logging
import traceback

from habeat.printable import printable

MESSAGE_MAX_CHARS = 2_000
#: In a longer message, each argument is cut to this length.
ARGUMENT_MAX_CHARS = 500
_MARGIN = "  | "


class OneLine(logging.Filter):
    """Escapes a record's message and traceback before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if len(text) > MESSAGE_MAX_CHARS and isinstance(record.args, tuple):
            # A long name must not crowd out the reason, which comes last.
            text = str(record.msg) % tuple(map(_cut, record.args))
        record.msg, record.args = printable(text, MESSAGE_MAX_CHARS), None
        if record.exc_info and record.exc_info[0] is not None:
            lines = "".join(traceback.format_exception(*record.exc_info)).splitlines()
            record.exc_text = "\n".join(_MARGIN + printable(line) for line in lines)
        return True


def _cut(value: object) -> object:
    text = str(value)
    return value if len(text) <= ARGUMENT_MAX_CHARS else text[:ARGUMENT_MAX_CHARS] + "…"


def keep_to_one_line() -> None:
    """Install the filter on the logger; called once, when the package is imported."""
    log = logging.getLogger("habeat")
    if not any(isinstance(each, OneLine) for each in log.filters):
        log.addFilter(OneLine())
