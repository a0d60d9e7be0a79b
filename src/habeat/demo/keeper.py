"""The keeper: the parent of all the demo's processes, so that none outlives the demo.

The demo talks to it over a pipe, with one line of JSON for each request and answer. However the
demo ends (normally, Ctrl-C, SIGTERM, SIGKILL, a closed terminal), the kernel closes the pipe. The
keeper then reads the end of the pipe, kills the processes with everything that they have started,
deletes the demo's keys from a Redis that the demo did not start, and removes the folder. It runs in
its own session, so Ctrl-C does not reach it. If the keeper itself is killed, its children are
killed too where the kernel supports that (Linux).

It is run as a file and imports nothing from the package, so that it starts quickly.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


class Keeper:
    """Starts, signals and ends processes by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._exits: dict[str, int] = {}
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._cleaning: dict[str, Any] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a request; errors are returned in the answer."""
        acts: dict[str, Callable[..., dict[str, Any]]] = {
            "start": self._start,
            "signal": self._signal,
            "state": self._state,
            "clean": self._clean_at_the_end,
        }
        try:
            return acts[request.pop("act")](**request)
        except (OSError, subprocess.SubprocessError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def end(self) -> None:
        """Kill everything and leave nothing behind."""
        for child in self._children.values():
            self._kill(child)
        if self._cleaning:
            _delete_keys(**self._cleaning)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> dict[str, Any]:
        with (self._folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._folder,
                process_group=0,  # so that it can be killed with everything it starts
                preexec_fn=self._die_with_keeper,
            )
        self._children[name] = child
        self._exits.pop(name, None)
        return {"pid": child.pid}

    def _signal(self, name: str, number: int) -> dict[str, Any]:
        if name in self._children:
            self._children[name].send_signal(number)
        return {}

    def _state(self) -> dict[str, Any]:
        """The exit status of each process; null while it runs."""
        for name, child in list(self._children.items()):
            status = child.poll()
            if status is not None:
                # Kill its group now and never later: another process may get the same id.
                del self._children[name]
                self._kill(child)
                self._exits[name] = status
        return {"exits": {**dict.fromkeys(self._children), **self._exits}}

    def _clean_at_the_end(self, url: str, patterns: list[str], prefix: str) -> dict[str, Any]:
        self._cleaning = {"url": url, "patterns": patterns, "prefix": prefix}
        return {}

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(5)
        except (OSError, subprocess.SubprocessError):
            return  # the process and its group no longer exist

    def _die_with_keeper(self) -> None:
        if self._libc is not None:
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _delete_keys(url: str, patterns: list[str], prefix: str) -> None:
    import redis

    from habeat.store.prefixes import REGISTRY

    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) as client:
            for pattern in patterns:
                for key in client.scan_iter(pattern, count=1000):
                    client.delete(key)
            client.hdel(REGISTRY, prefix)
    except (redis.RedisError, OSError) as error:
        print(f"habeat: cannot delete the demo's keys from Redis: {error}", file=sys.stderr)


def serve(folder: Path) -> None:
    """Answer until the pipe is closed or SIGTERM arrives; then clean up."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN: the children would inherit it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keeper = Keeper(folder)
    try:
        for line in sys.stdin:
            print(json.dumps(keeper.answer(json.loads(line))), flush=True)
    except BrokenPipeError:  # the demo ended before it read its answer
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.end()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
