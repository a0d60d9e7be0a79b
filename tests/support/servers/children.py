"""Child processes that cannot outlive the test process, free ports, and polling.

The kernel kills a child when the *thread* that forked it ends (PR_SET_PDEATHSIG), and a test
may well restart a server from a thread of its own; so one thread, which lives as long as the
process, does all the forking. Where there is no prctl (macOS), `atexit` has to do.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")
_children: list[subprocess.Popen[bytes]] = []


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == 1:  # the parent went before the line above
            os._exit(1)


def spawn(
    command: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command`, its output appended to `log`; it dies with this process."""

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                [os.fspath(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                preexec_fn=_die_with_parent,
                start_new_session=True,  # a Ctrl-C at pytest is not meant for the servers
            )

    child = _forker.submit(start).result()
    _children.append(child)
    return child


def end(child: subprocess.Popen[bytes], how: int = signal.SIGKILL, timeout_s: float = 10) -> None:
    """Send `how`, wait, and SIGKILL a child that does not end; one that has ended is left alone."""
    if child.poll() is None:
        child.send_signal(how)
        if how != signal.SIGKILL:
            child.send_signal(signal.SIGCONT)  # a stopped process sees no SIGTERM
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(timeout_s)
    if child in _children:
        _children.remove(child)


@atexit.register
def _end_all() -> None:
    for child in list(_children):
        end(child)


def free_port() -> int:
    """A free port, with `port + 10000` free too (the bus of a Cluster node).

    Both lie below the range from which the kernel takes the ports of outgoing connections.
    """
    for _ in range(200):
        port = random.randint(11_000, 21_000)
        if _is_free(port) and _is_free(port + 10_000):
            return port
    raise RuntimeError("no free port found")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def until(
    predicate: Callable[[], Any],
    timeout_s: float,
    what: str | Callable[[], str],
    *,
    every_s: float = 0.02,
) -> Any:
    """Poll `predicate` until it is true and return its value; fail the test with `what`.

    `what` may be a function, for a message that tells the state at the moment of failure.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            pytest.fail(f"after {timeout_s:g} s still not: {said}")
        time.sleep(every_s)
