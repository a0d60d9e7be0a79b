"""One run of the measurements: its server, its processes, its options, and how it ends.

Whatever happens (Ctrl-C, a table that fails), what was started is ended and what was written
outside the results is deleted. Progress goes to standard error, so that the tables can be piped.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from tests.support.servers.processes import CeleryProcess, Processes
from tests.support.servers.redis_server import Server, start_server, valkey_binary

from benchmarks.schedulers import MODULE, Scheduler, settings, write_app
from benchmarks.watching import RedisQueue, Wire

T = TypeVar("T")


@dataclass
class Run:
    """What a table is given."""

    quick: bool = False
    sizes: tuple[int, ...] | None = None
    only: tuple[str, ...] | None = None
    repeats: int | None = None
    way: str | None = None
    failures: list[str] = field(default_factory=list)
    _server: Server | None = field(default=None, repr=False)

    def pick(self, full: T, quick: T) -> T:
        return quick if self.quick else full

    def entries(self, full: Sequence[int], quick: Sequence[int]) -> list[int]:
        """How many entries: as asked for by --entries, or these."""
        return list(self.sizes or self.pick(full, quick))

    def wanted(self, schedulers: Sequence[Scheduler]) -> list[Scheduler]:
        """Those that --only leaves."""
        return [each for each in schedulers if self.only is None or each.name in self.only]

    def times(self, full: int, quick: int = 1) -> int:
        return self.repeats or self.pick(full, quick)

    @property
    def server(self) -> Server:
        """One Valkey for the whole run."""
        if self._server is None:
            self._server = start_server(valkey_binary())
        return self._server

    def fresh(self) -> Server:
        """The server, empty, without scripts, its counters at nought."""
        self.server.admin.flushall()
        self.server.admin.script_flush()
        self.server.admin.config_resetstat()
        return self.server

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def tried(self, what: str, measure: Callable[[], T]) -> T | None:
        """One contender's measurement; if it fails the others go on without it (None)."""
        try:
            return measure()
        except (Exception, pytest.fail.Exception) as error:
            self.failures.append(what)
            self.say(f"{what} failed: {type(error).__name__}: {error}")
            return None

    def close(self) -> None:
        if self._server is not None:
            self._server.dispose()
            self._server = None


@dataclass
class Stage:
    """A folder, an app in it, and the processes that run from it."""

    folder: Path
    processes: Processes = field(default_factory=Processes)

    def beat(self, scheduler: Scheduler, level: str = "WARNING") -> CeleryProcess:
        return self.processes.beat(MODULE, ["-l", level], cwd=self.folder, scheduler=scheduler.path)

    def write(
        self,
        scheduler: Scheduler,
        server: Server,
        schedule: str = "{}",
        also: str = "{}",
        *,
        broker_url: str | None = None,
        conf: dict[str, Any] | None = None,
    ) -> None:
        """Write the app; for django-celery-beat also its database."""
        common = settings(server, broker_url) | (conf or {})
        write_app(self.folder, scheduler, common, schedule, also)
        if scheduler.is_django:
            self.script("fill.py", timeout_s=600)

    def script(self, name: str, *words: str, timeout_s: float) -> CeleryProcess:
        """Run a script of the folder to its end."""
        process = self.processes.python(name, words, cwd=self.folder)
        status = process.wait(timeout_s)
        if status:
            raise RuntimeError(f"{name} failed:\n{process.log()}")
        return process


@contextmanager
def stage() -> Iterator[Stage]:
    """A folder for one measurement; its processes are killed, the folder is deleted."""
    with tempfile.TemporaryDirectory(prefix="hb-bench-", ignore_cleanup_errors=True) as name:
        made = Stage(Path(name))
        try:
            yield made
        finally:
            made.processes.kill_all()


@contextmanager
def queue_of(server: Server, key: str = "celery") -> Iterator[RedisQueue]:
    queue = RedisQueue(Wire(server, 1), key)
    try:
        yield queue
    finally:
        queue.close()


def until(predicate: Callable[[], T], timeout_s: float, what: str, every_s: float = 0.02) -> T:
    """Poll until it is true; RuntimeError if it never is."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {timeout_s:g} s still not: {what}")
        time.sleep(every_s)
    return value


def cpu_s(pid: int) -> float:
    """The CPU seconds that a process has used, in user and kernel."""
    told = psutil.Process(pid).cpu_times()
    return float(told.user + told.system)


def rss_mib(pid: int) -> float:
    """The resident memory of a process."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def wait_until_quiet(
    beat: CeleryProcess,
    timeout_s: float,
    window_s: float = 1.0,
    share: float = 0.1,
    stored: Callable[[], bool] = lambda: True,
) -> bool:
    """Until a beat has slept for most of a second: it has started and has nothing to do.

    It works for every scheduler alike. A process that waits for a core is not asleep, so a busy
    machine does not deceive us. `stored` may tell what else has to be so. False if it does not
    come to that in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() + window_s < deadline:
        if not beat.alive:
            raise RuntimeError(f"a beat ended:\n{beat.log()[-2000:]}")
        before, awake = cpu_s(beat.pid), 0
        for _ in range(50):
            time.sleep(window_s / 50)
            awake += not _asleep(beat.pid)
        quiet = awake <= 50 * share and cpu_s(beat.pid) - before <= share * window_s
        if quiet and before > 0.3 and stored():
            return True
    return False


def _asleep(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_SLEEPING)
    except psutil.NoSuchProcess:
        return False


def all_stored(server: Server, scheduler: Scheduler, count: int) -> Callable[[], bool]:
    """Whether Redis holds the entries of a scheduler that keeps them there."""
    client = server.admin
    if scheduler.is_habeat:
        return lambda: int(client.hlen("{habeat:bench}:entries")) >= count  # type: ignore[arg-type]
    if scheduler.path.startswith("redbeat"):
        return lambda: int(client.zcard("redbeat::schedule")) >= count  # type: ignore[arg-type]
    return lambda: True


def wall_s() -> float:
    """Unix time; server and beats are on this machine and have the same clock."""
    return time.time()
