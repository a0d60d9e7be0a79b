"""`habeat demo`: an honest count, and nothing left behind whatever way it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from habeat.core.entry import Entry
from habeat.demo import keeper
from habeat.demo.main import main
from habeat.demo.tally import count
from habeat.schedules import every
from tests import ROOT
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server

NOON_MS = 1_790_856_000_000
NOON = "2026-10-01T12:00:0{}.000Z"


class Demo:
    """A running demo whose temporary files go to a folder of the test."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hb-"))
        self.output = self.folder.with_suffix(".out")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HABEAT_", "CELERY_"))}
        own = {"TMPDIR": str(self.folder), "PYTHONPATH": str(ROOT / "src")}
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "habeat.cli.main", "demo", "--seconds", "15", *arguments],
                env={**kept, **own, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                # A shell starts what runs in the background with SIGINT ignored; that is inherited.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def said(self) -> str:
        return self.output.read_text()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def left_behind(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def wait_until_one_leads(self) -> None:
        until(
            lambda: "the others stand by" in self.said() or self.process.poll() is not None,
            70,
            self.said,
        )
        assert self.process.poll() is None, self.said()

    def result(self, timeout_s: float = 110) -> dict[str, object]:
        out, _ = self.process.communicate(timeout=timeout_s)
        return dict(json.loads(out)) if out else {}

    def dispose(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.output.unlink()
        for path in self.folder.iterdir():
            until(lambda path=path: not path.exists(), 10, f"{path} is removed")
        self.folder.rmdir()


@pytest.fixture
def demo() -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*arguments: str, **environment: str) -> Demo:
        started.append(Demo(["--json", *arguments], environment))
        return started[-1]

    yield start
    for each in started:
        each.dispose()


# -- the count ------------------------------------------------------------------------------


def entry(name: str = "a", seconds: float = 1) -> Entry:
    return Entry(name, "task", every(seconds, offset=0), created_ms=NOON_MS)


def test_slots_are_counted_from_the_creation_to_the_end() -> None:
    runs = {("a", NOON.format(second)): 1 for second in (1, 2, 3)}
    tally = count([entry()], runs, NOON_MS + 3_999)
    assert (tally.expected, tally.executed, tally.duplicated, tally.missed) == (3, 3, 0, 0)
    assert tally.flawless


def test_a_slot_that_did_not_run_is_missed() -> None:
    runs = {("a", NOON.format(1)): 1, ("a", NOON.format(3)): 1}
    tally = count([entry()], runs, NOON_MS + 3_000)
    assert (tally.expected, tally.executed, tally.missed) == (3, 2, 1)
    assert not tally.flawless


def test_an_entry_that_never_ran_is_missed() -> None:
    runs = {("a", NOON.format(1)): 1}
    tally = count([entry(), entry("b", 0.5)], runs, NOON_MS + 1_000)
    assert (tally.expected, tally.missed) == (3, 2)
    assert tally.by_entry == {"a": (1, 1), "b": (2, 0)}


def test_each_run_beyond_the_first_is_a_duplicate() -> None:
    tally = count([entry()], {("a", NOON.format(1)): 3}, NOON_MS + 1_000)
    assert (tally.expected, tally.executed, tally.duplicated) == (1, 1, 2)
    assert not tally.flawless


def test_a_duplicate_after_the_end_counts_as_well() -> None:
    runs = {("a", NOON.format(1)): 1, ("a", NOON.format(2)): 2}
    tally = count([entry()], runs, NOON_MS + 1_000)
    assert (tally.expected, tally.duplicated) == (1, 1)


def test_a_run_of_no_slot_is_reported() -> None:
    odd = {("a", "2026-10-01T12:00:00.500Z"): 1, ("b", NOON.format(1)): 1}
    tally = count([entry()], {("a", NOON.format(1)): 1, **odd}, NOON_MS + 1_000)
    assert (tally.missed, tally.duplicated, tally.unexpected) == (0, 0, 2)
    assert not tally.flawless


def test_slots_before_an_entrys_creation_are_not_expected() -> None:
    late = replace(entry(), created_ms=NOON_MS + 2_500)
    tally = count([late], {("a", NOON.format(3)): 1}, NOON_MS + 3_000)
    assert (tally.expected, tally.executed) == (1, 1)


# -- the ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_is_left_however_it_is_ended(
    demo: Callable[..., Demo], number: signal.Signals, status: int
) -> None:
    running = demo()
    running.wait_until_one_leads()
    family = running.descendants()
    # The keeper, the Redis, three beats, the worker with two processes in its pool.
    assert len(family) >= 8, family
    running.process.send_signal(number)
    assert running.process.wait(15) == status, running.said()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    until(lambda: not running.left_behind(), 5, lambda: str(running.left_behind()))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children on Linux only")
def test_the_processes_go_with_the_keeper(demo: Callable[..., Demo]) -> None:
    running = demo()
    running.wait_until_one_leads()
    family = running.descendants()
    (keeping,) = [each for each in family if keeper.__file__ in each.cmdline()]
    keeping.kill()
    assert running.process.wait(15) == 1
    assert "habeat: " in running.said()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not running.left_behind()


@pytest.mark.slow
def test_a_beat_that_ends_by_itself_is_reported_with_its_log(demo: Callable[..., Demo]) -> None:
    running = demo()
    running.wait_until_one_leads()
    beats = [each for each in running.descendants() if "beat" in each.cmdline()]
    beats[0].kill()
    assert running.process.wait(15) == 1
    assert "ended by itself" in running.said()
    assert "beat: Starting" in running.said()


def test_a_url_that_will_not_do_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HABEAT_REDIS_URL", "amqp://localhost")
    assert main([]) == 1
    assert capsys.readouterr().err == (
        "habeat: the demo needs one Redis server: HABEAT_REDIS_URL must begin with redis://, "
        "rediss:// or unix://\n"
    )


# -- the whole of it ------------------------------------------------------------------------


@pytest.mark.slow
def test_every_slot_runs_once(demo: Callable[..., Demo]) -> None:
    running = demo()
    result = running.result()
    assert running.process.returncode == 0, running.said()
    slots = result["slots"]
    assert isinstance(slots, dict)
    assert slots["expected"] == slots["executed"] > 150
    assert (slots["duplicated"], slots["missed"], slots["unexpected"]) == (0, 0, 0)
    takeovers = result["takeovers"]
    assert isinstance(takeovers, list)
    assert [each["how"] for each in takeovers] == ["SIGKILL", "SIGTERM", "SIGSTOP"]
    assert [each["cause"] for each in takeovers] == ["crash", "released", "expired"]
    assert not running.left_behind()


@pytest.mark.slow
def test_a_slot_that_runs_twice_makes_it_fail(demo: Callable[..., Demo], valkey: Server) -> None:
    valkey.admin.set("somebody", "else")
    running = demo(HABEAT_REDIS_URL=valkey.url())
    running.wait_until_one_leads()
    (tally,) = valkey.admin.keys("habeat-demo-*:tally")
    slot = next(iter(valkey.admin.hkeys(tally)))
    valkey.admin.hincrby(tally, slot, 1)
    result = running.result()
    assert running.process.returncode == 1, running.said()
    slots = result["slots"]
    assert isinstance(slots, dict)
    assert (slots["duplicated"], slots["missed"]) == (1, 0)
    assert valkey.admin.keys("*") == [b"somebody"]
