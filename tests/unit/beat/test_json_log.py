"""`habeat_log_json`: one JSON object per line, whatever a record contains."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from habeat.beat.json_log import FACT_MAX_CHARS, FRAMES, JsonForHabeat, use_json
from habeat.core.events import EventCode
from habeat.log import log_event

HOSTILE = ["a\nb", 'a","event":"forged', "\x1b[31m", "\u2028", "\ud800", "{}%s", "x" * 5_000]

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What a handler of the root logger, as Celery sets one up, has written."""
    root, stream = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    before = root.handlers
    root.handlers = [handler]
    use_json()
    yield stream
    root.handlers = before


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_what_and_to_which_entry(lines: Lines) -> None:
    log_event(EventCode.CIRCUIT_OPENED, "habeat: entry %r failed", "a", entry="a", cause="why")
    (line,) = lines()
    moment = datetime.fromisoformat(line.pop("time"))
    assert moment.utcoffset() == timedelta(0)
    assert line.pop("pid")
    line.pop("replica", None), line.pop("host", None)
    assert line == {
        "level": "ERROR",
        "event": "circuit_opened",
        "entry": "a",
        "cause": "why",
        "message": "habeat: entry 'a' failed",
    }


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_makes_neither_a_second_line_nor_another_event(
    name: str, stream: io.StringIO, lines: Lines
) -> None:
    log_event(EventCode.ENTRY_WAITS, "habeat: entry %r waits: %s", name, name, entry=name)
    (line,) = lines()
    assert line["event"] == "entry_waits"
    assert line["entry"] == name or len(name) > FACT_MAX_CHARS or name == "\ud800"
    assert len(line["entry"]) <= FACT_MAX_CHARS + 1
    assert stream.getvalue().isascii()
    line["entry"].encode()  # it has no lone surrogate, which strict readers refuse


def test_an_exception_is_its_type_and_its_innermost_frames(lines: Lines) -> None:
    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise ValueError("a secret")

    try:
        fail(2 * FRAMES)
    except ValueError:
        log_event(EventCode.TICK_FAILED, "habeat: a tick failed", exc_info=True)
    (line,) = lines()
    assert line["exception"]["type"] == "builtins.ValueError"
    assert len(line["exception"]["stack"]) == FRAMES
    assert "test_json_log.py" in line["exception"]["stack"][-1]
    assert "a secret" not in json.dumps(line)


def test_other_loggers_keep_their_format(stream: io.StringIO) -> None:
    logging.getLogger("celery.beat").error("as before")
    assert stream.getvalue() == "[ERROR] as before\n"


def test_a_formatter_is_wrapped_once() -> None:
    root, handler = logging.getLogger(), logging.NullHandler()
    before = root.handlers
    root.handlers = [handler]
    use_json()
    wrapped = handler.formatter
    use_json()
    root.handlers = before
    assert isinstance(wrapped, JsonForHabeat)
    assert handler.formatter is wrapped
