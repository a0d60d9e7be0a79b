"""Real `celery beat` and `celery worker` processes, with their output and their signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.servers.children import end, spawn, until

__all__ = ["CeleryProcess", "Processes", "run_python", "spawn_beat", "spawn_worker", "until"]

# Whatever could make the child talk to another Redis, or behave otherwise than a plain one.
_NOT_INHERITED = ("CELERY_", "HABEAT_", "COVERAGE_")


@dataclass
class CeleryProcess:
    """One process. Its output goes to `log_path`."""

    name: str
    log_path: Path
    _child: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._child.poll()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text: str, timeout_s: float = 20) -> None:
        """Wait until `text` stands in the output; fail with the output if it does not."""
        until(
            lambda: text in self.log() or not self.alive,
            timeout_s,
            lambda: f"{self.name} says {text!r}; it said:\n{self.log()}",
        )
        if text not in self.log():
            pytest.fail(f"{self.name} ended without {text!r}; it said:\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        end(self._child, signal.SIGKILL)

    def term(self) -> None:
        """SIGTERM: a warm shutdown. Does not wait."""
        self.signal(signal.SIGTERM)

    def stop_signal(self) -> None:
        """SIGSTOP: frozen, its sockets stay open."""
        self.signal(signal.SIGSTOP)

    def cont(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    def wait(self, timeout_s: float = 20) -> int:
        """The exit code; fails the test with the output if the process does not end."""
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} runs on after {timeout_s:g} s; it said:\n{self.log()}")


def spawn_beat(
    app_module: str,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    *,
    scheduler: str = "habeat.Scheduler",
    wrapper: Sequence[str] = (),
) -> CeleryProcess:
    """`celery -A app_module beat -S habeat.Scheduler`, logging at DEBUG unless `args` say else.

    `cwd` is put on the import path, so a test writes its app module there. `scheduler` is a
    path (``habeat:Scheduler``) or a name of the entry-point group ``celery.beat_schedulers``.
    `wrapper` is a command that execs what follows it, as ``nsenter`` does.
    """
    command = ["beat", "-S", scheduler, "--pidfile=", *_log_level(args), *args]
    return _celery("beat", app_module, command, env, cwd, wrapper)


def spawn_worker(
    app_module: str,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> CeleryProcess:
    """`celery -A app_module worker`, one process in its pool unless `args` say otherwise."""
    pool = [] if any(arg.startswith(("-c", "--concurrency")) for arg in args) else ["-c1"]
    return _celery("worker", app_module, ["worker", *pool, *_log_level(args), *args], env, cwd)


def run_python(
    script: str | os.PathLike[str],
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> CeleryProcess:
    """A plain Python script, managed in the same way."""
    return _start("python", [os.fspath(script), *args], env, cwd)


@dataclass
class Processes:
    """The processes of one test, so that none is left behind."""

    started: list[CeleryProcess] = field(default_factory=list)

    def beat(
        self,
        app_module: str,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        *,
        scheduler: str = "habeat.Scheduler",
        wrapper: Sequence[str] = (),
    ) -> CeleryProcess:
        return self._kept(
            spawn_beat(app_module, args, env, cwd, scheduler=scheduler, wrapper=wrapper)
        )

    def worker(
        self,
        app_module: str,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> CeleryProcess:
        return self._kept(spawn_worker(app_module, args, env, cwd))

    def celery(
        self,
        app_module: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> CeleryProcess:
        """`celery -A app_module` with this command."""
        return self._kept(_celery("celery", app_module, command, env, cwd))

    def python(
        self,
        script: str | os.PathLike[str],
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> CeleryProcess:
        return self._kept(run_python(script, args, env, cwd))

    def kill_all(self) -> None:
        for process in self.started:
            process.kill()

    def _kept(self, process: CeleryProcess) -> CeleryProcess:
        self.started.append(process)
        return process


def _log_level(args: Sequence[str]) -> list[str]:
    said = any(arg.startswith(("-l", "--loglevel")) for arg in args)
    return [] if said else ["-l", "DEBUG"]


def _celery(
    name: str,
    app_module: str,
    command: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
    wrapper: Sequence[str] = (),
) -> CeleryProcess:
    return _start(name, ["-m", "celery", "-A", app_module, *command], env, cwd, wrapper)


def _start(
    name: str,
    arguments: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
    wrapper: Sequence[str] = (),
) -> CeleryProcess:
    home = Path(tempfile.mkdtemp(prefix=f"hb-{name}-")) if cwd is None else Path(cwd)
    descriptor, log = tempfile.mkstemp(prefix=f"{name}-", suffix=".log", dir=home)
    os.close(descriptor)
    command = [*wrapper, sys.executable, "-u", *arguments]
    child = spawn(command, log=Path(log), env=_environment(home, env), cwd=home)
    return CeleryProcess(f"{name} (pid {child.pid})", Path(log), child)


def _environment(home: Path, given: Mapping[str, str] | None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    path = [str(home), str(ROOT / "src"), str(ROOT), kept.get("PYTHONPATH", "")]
    kept["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    kept["C_FORCE_ROOT"] = "1"  # a worker in a container often runs as root
    return {**kept, **(given or {})}
