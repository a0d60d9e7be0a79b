"""`celery -A proj habeat top` in a terminal, as a person starts it, over a real beat and Redis."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.pty_screen import Program, Screen
from tests.support.servers.processes import Processes
from tests.support.servers.redis_server import Server

pytestmark = pytest.mark.slow

PROJECT = """
from celery import Celery

app = Celery("proj", broker={url!r})
app.conf.beat_scheduler = "habeat.Scheduler"
app.conf.beat_schedule = {{
    "tick": {{"task": "proj.tick", "schedule": 0.5}},
    "\u65e5\u672c\u8a9e": {{"task": "proj.tick", "schedule": 1.0}},
    "evil\\x1b[2J\\nname": {{"task": "proj.tick", "schedule": 1.0}},
}}

@app.task(name="proj.tick")
def tick(): pass
"""


@pytest.fixture
def folder(tmp_path: Path, valkey: Server) -> Path:
    (tmp_path / "proj.py").write_text(PROJECT.format(url=valkey.url()), "utf-8")
    return tmp_path


@pytest.fixture
def beat(folder: Path, processes: Processes) -> None:
    processes.beat("proj", cwd=folder).wait_for_log("leading (")


def top(folder: Path, columns: int, lines: int, *options: str, **env: str) -> Program:
    argv = [sys.executable, "-m", "celery", "-A", "proj", "habeat", "top", *options]
    path = os.pathsep.join(sys.path)
    return Program(argv, columns, lines, {**os.environ, "PYTHONPATH": path, **env}, folder)


def has(*parts: str) -> Callable[[Screen], bool]:
    return lambda screen: all(part in screen.text for part in parts)


@pytest.mark.usefixtures("beat")
def test_it_is_live_at_two_sizes_and_leaves_the_terminal_as_it_was(folder: Path) -> None:
    with top(folder, 80, 24) as program:
        program.until(has("healthy", "NEXT DUE", "LEDGER", "sent", "tick", "evil\\x1b[2J"))
        first = program.until(has("\u65e5\u672c\u8a9e"))
        program.until(lambda screen: screen.text != first)  # it goes on
        program.resize(150, 45)
        wide = program.until(lambda screen: "NEXT DUE" in screen.text and "q quit" in screen.text)
        assert any("NEXT DUE" in line and "LEDGER" in line for line in wide.splitlines())
        program.press("/\u65e5\r")
        program.until(lambda screen: "filter: \u65e5" in screen.text and "tick" not in screen.text)
        program.press("p")
        program.until(has("PAUSED"))
        program.press("q")
        assert program.exit_status() == 0
        assert_restored(program)


def assert_restored(program: Program) -> None:
    screen: Screen = program.screen
    assert not screen.is_second_buffer
    assert screen.is_cursor_shown
    assert program.mode_now == program.mode
    assert "Traceback" not in screen.printed


@pytest.mark.usefixtures("beat")
@pytest.mark.parametrize("end", ["ctrl-c", "sigterm"])
def test_signals_end_it_and_restore_the_terminal(folder: Path, end: str) -> None:
    with top(folder, 40, 10, NO_COLOR="1") as program:
        program.until(has("NEXT DUE"))
        assert not program.screen.is_coloured
        if end == "ctrl-c":
            program.press("\x03")
            assert program.exit_status() == 0
        else:
            program.process.send_signal(signal.SIGTERM)
            assert program.exit_status() == 128 + signal.SIGTERM
        assert_restored(program)


def test_it_begins_without_redis_and_goes_on_when_redis_comes_back(
    folder: Path, valkey: Server
) -> None:
    with top(folder, 100, 24) as program:
        program.until(has("no leader"))
        valkey.kill()
        program.until(has("REDIS AWAY", "away for"))
        program.press("p")  # keys work meanwhile
        program.until(has("PAUSED"))
        program.press("p")
        valkey.start()
        program.until(lambda screen: "REDIS AWAY" not in screen.text and "no leader" in screen.text)
        program.press("q")
        assert program.exit_status() == 0
