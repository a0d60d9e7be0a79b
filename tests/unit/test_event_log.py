"""Event codes on log records: `log_event`, `TroubleLog`, and that no line goes without a code."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import habeat
from habeat.core.events import EVENTS, EventCode, Level
from habeat.engine.trouble_log import TroubleLog
from habeat.log import log_event

SOURCE = Path(habeat.__file__).parent


def sources() -> Iterator[tuple[str, ast.AST]]:
    for file in sorted(SOURCE.rglob("*.py")):
        name = str(file.relative_to(SOURCE))
        if name not in ("log.py", "core/events.py"):
            yield name, ast.parse(file.read_text())


def test_every_code_that_is_logged_stands_in_the_code() -> None:
    used = {
        node.attr
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "EventCode"
    }
    ends = {kind.ended_by.name for kind in EVENTS.values() if kind.ended_by}
    logged = {code.name for code, kind in EVENTS.items() if kind.level}
    assert logged - used - ends == set()


def facts(record: logging.LogRecord) -> dict[str, object]:
    own = ("habeat_replica", "habeat_host")
    return {
        name: value
        for name, value in vars(record).items()
        if name.startswith("habeat_") and name not in own
    }


def test_an_event_carries_its_code_its_entry_and_its_facts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_event(EventCode.CIRCUIT_OPENED, "habeat: entry %r failed", "a", entry="a", cause="why")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("habeat", logging.ERROR)
    assert record.getMessage() == "habeat: entry 'a' failed"
    assert facts(record) == {
        "habeat_event": "circuit_opened",
        "habeat_entry": "a",
        "habeat_cause": "why",
    }
    assert record.filename == Path(__file__).name, "the line's place is the caller's"


def test_the_level_is_the_codes_own_unless_another_is_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_event(EventCode.MEMORY_POLICY, "one")
    log_event(EventCode.MEMORY_POLICY, "two", level=Level.ERROR)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_the_end_of_a_problem_has_the_code_that_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    trouble = TroubleLog()
    trouble.error("r", EventCode.REDIS_UNAVAILABLE, "habeat: %s", "away")
    trouble.error("r", EventCode.REDIS_UNAVAILABLE, "habeat: %s", "away")
    trouble.over("r", "habeat: back")
    trouble.error("x", EventCode.ENTRY_WAITS, "habeat: %s waits", "x", entry="x")
    trouble.over("x", "habeat: %s works", "x")
    trouble.over("x", "habeat: %s works", "x")
    assert [(record.levelname, facts(record)) for record in caplog.records] == [
        ("ERROR", {"habeat_event": "redis_unavailable"}),
        ("WARNING", {"habeat_event": "redis_available"}),
        ("ERROR", {"habeat_event": "entry_waits", "habeat_entry": "x"}),
        ("WARNING", {"habeat_event": "entry_waits", "habeat_entry": "x", "habeat_ended": True}),
    ]
