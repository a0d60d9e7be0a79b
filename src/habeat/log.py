"""The ``habeat`` logger: each record is one line, and each problem has an event code.

Log lines contain entry names, error texts from users' classes, and values stored in Redis. The
filter below makes the finished message printable (`habeat.printable`), so that no value can forge a
log line of its own. It indents each line of a traceback for the same reason.

`log_event` logs whatever deserves a WARNING or more. The record carries the code and the facts as
attributes that begin with ``habeat_``, for formatters: `habeat_event`, `habeat_entry`. Listeners
get the event as well, whatever the level of the logger is.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from habeat.core.events import EVENTS, EventCode, Level
from habeat.printable import printable

MESSAGE_MAX_CHARS = 2_000
#: In a longer message, each argument is cut to this length.
ARGUMENT_MAX_CHARS = 500
#: What the attributes of a record that habeat adds begin with.
FACT = "habeat_"
_MARGIN = "  | "

_log = logging.getLogger("habeat")
#: Facts that every record of this process carries.
_own_facts: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Event:
    """What `log_event` was called with; the message is printable."""

    code: EventCode
    level: Level
    message: str
    entry: str = ""
    ended: bool = False
    facts: Mapping[str, object] | None = None


#: Called with each event, in the thread where it happens; must return at once and raise nothing.
listeners: list[Callable[[Event], None]] = []


def log_event(
    code: EventCode,
    text: str,
    *args: object,
    entry: str = "",
    level: Level | None = None,
    ended: bool = False,
    exc_info: bool = False,
    **facts: object,
) -> None:
    """Log an event: one line, with its code and the given facts as attributes of the record.

    The level is the code's own unless `level` is given; the end of a condition (`ended`) is a
    WARNING. Facts are short: a name, a number, a cause. They are never arguments of tasks.
    """
    kind = EVENTS[code]
    level = level or (Level.WARNING if ended else kind.level or Level.INFO)
    if ended and kind.ended_by is not None:
        code, ended = kind.ended_by, False
    extra: dict[str, object] = {FACT + name: value for name, value in facts.items()}
    extra[FACT + "event"] = str(code)
    if entry:
        extra[FACT + "entry"] = entry
    if ended:
        extra[FACT + "ended"] = True
    _log.log(level, text, *args, exc_info=exc_info, extra=extra, stacklevel=2)
    if listeners:
        message = printable(text % args, MESSAGE_MAX_CHARS)
        announce(Event(code, level, message, entry=entry, ended=ended, facts=facts))


def announce(event: Event) -> None:
    """Pass an event to the listeners without a log line: one line sums up many such events."""
    for listener in tuple(listeners):
        try:
            listener(event)
        except Exception:  # a bug of ours must not harm the code that reports the event
            _log.debug("habeat: an event cannot be reported", exc_info=True)


def identify(**facts: str) -> None:
    """Have every record of this process carry these facts: the replica and its host."""
    _own_facts.update({FACT + name: value for name, value in facts.items()})


class OneLine(logging.Filter):
    """Escapes a record's message and traceback before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, fact in _own_facts.items():
            record.__dict__.setdefault(name, fact)
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
    if not any(isinstance(each, OneLine) for each in _log.filters):
        _log.addFilter(OneLine())
