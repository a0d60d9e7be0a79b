"""`habeat_log_json`: the lines of the ``habeat`` logger as JSON, one object per line.

Celery, or the user's own logging configuration, decides where lines go: handlers, files, levels.
habeat does not change that. Only the formatter of each handler that receives habeat's records is
wrapped: records of habeat become JSON, all others look as before. Under ``worker -B`` this happens
in beat's own process, after Celery has set up logging there.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from habeat.log import FACT

NAME = "habeat"
#: A fact is cut to this length. Names of entries are shorter.
FACT_MAX_CHARS = 1_000
#: How many frames of a stack are kept: the innermost ones.
FRAMES = 30


def json_line(record: logging.LogRecord) -> str:
    """The record as one JSON object, in ASCII.

    An exception is given by its type and its stack. Its text is left out, because it can quote
    arguments; habeat's own message says what is safe to say.
    """
    line: dict[str, Any] = {
        "time": shown_time(datetime.fromtimestamp(record.created, UTC)),
        "level": record.levelname,
        "message": _cut(record.getMessage(), 4 * FACT_MAX_CHARS),
        "pid": record.process,
    }
    line |= {
        name.removeprefix(FACT): shown_fact(value)
        for name, value in record.__dict__.items()
        if name.startswith(FACT)
    }
    if record.exc_info and record.exc_info[0] is not None:
        line["exception"] = _exception(*record.exc_info[::2])
    return json.dumps(line, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def shown_time(moment: datetime | None) -> str:
    """An instant in UTC with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else ""


def shown_fact(value: object) -> object:
    """A fact as JSON carries it; a text is bounded."""
    return value if isinstance(value, bool | int) else _cut(str(value), FACT_MAX_CHARS)


def _cut(text: str, most: int) -> str:
    """A text without lone surrogates, which strict readers of JSON refuse, and not too long."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return whole if len(whole) <= most else whole[:most] + "…"


def _exception(kind: type[BaseException], where: Any) -> dict[str, object]:
    frames = traceback.extract_tb(where)[-FRAMES:]
    return {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "stack": [
            _cut(f"{frame.filename}:{frame.lineno} {frame.name}", FACT_MAX_CHARS)
            for frame in frames
        ],
    }


class JsonForHabeat(logging.Formatter):
    """Formats records of habeat as JSON, and leaves all others to the formatter it replaces."""

    def __init__(self, others: logging.Formatter | None) -> None:
        super().__init__()
        self._others = others or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return json_line(record) if record.name == NAME else self._others.format(record)


def use_json() -> None:
    """Wrap the formatter of each handler that receives habeat's records; once per handler."""
    for handler in _handlers(logging.getLogger(NAME)):
        if not isinstance(handler.formatter, JsonForHabeat):
            handler.setFormatter(JsonForHabeat(handler.formatter))


def _handlers(logger: logging.Logger) -> Iterator[logging.Handler]:
    """The handlers of a logger and of those that it propagates to."""
    at: logging.Logger | None = logger
    while at is not None:
        yield from at.handlers
        at = at.parent if at.propagate else None
