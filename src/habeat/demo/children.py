"""The demo's processes, controlled through the keeper, which is their parent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from habeat.demo import keeper as keeper_file

_NOT_INHERITED = ("CELERY_", "HABEAT_")
_TAIL_LINES = 25
# A Unix socket in the folder must have a short path: Linux takes 107 bytes, macOS 103.
_LONGEST_PATH = 95


class DemoFailed(Exception):
    """The demo cannot continue; the text says why, and `log` is the end of a child's output."""

    def __init__(self, sentence: str, log: str = "") -> None:
        super().__init__(sentence)
        self.log = log


class Children:
    """Processes and a folder for their output; `close` ends and removes both."""

    def __init__(self) -> None:
        self.folder = _new_folder()
        self.pids: dict[str, int] = {}
        self._keeper = subprocess.Popen(
            [sys.executable, "-P", str(keeper_file.__file__), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> int:
        """Start a process under a name, or restart one that has ended; returns its process id."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        # Their temporary files are removed with the folder.
        kept |= {"TMPDIR": str(self.folder), **(environment or {})}
        answer = self._ask("start", name=name, command=list(command), environment=kept)
        self.pids[name] = int(answer["pid"])
        return self.pids[name]

    def signal(self, name: str, number: int) -> None:
        """Send a signal; no effect if the process has ended."""
        self._ask("signal", name=name, number=int(number))

    def exits(self) -> dict[str, int | None]:
        """The exit status of each process; None while it runs."""
        found: dict[str, int | None] = self._ask("state")["exits"]
        return found

    def runs(self, name: str) -> bool:
        """Whether the process exists; true also while it is stopped by a signal."""
        return self.exits()[name] is None

    def clean_at_the_end(self, url: str, patterns: Sequence[str], prefix: str) -> None:
        """Have the keeper delete these keys at the end, in a Redis that outlives the demo.

        `prefix` is removed from the register of prefixes.
        """
        self._ask("clean", url=url, patterns=list(patterns), prefix=prefix)

    def tail(self, name: str) -> str:
        """The last lines of a process's output."""
        path = self.folder / f"{name}.log"
        if not path.exists():
            return ""
        lines = path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"--- {name}", *lines])

    def close(self) -> None:
        """End all processes and remove the folder; returns when that is done."""
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
        self._keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # in case the keeper was killed

    def _ask(self, act: str, **arguments: Any) -> dict[str, Any]:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        try:
            self._keeper.stdin.write(json.dumps({"act": act, **arguments}) + "\n")
            self._keeper.stdin.flush()
            line = self._keeper.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise DemoFailed("the parent of the demo's processes has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DemoFailed(f"{act} {arguments.get('name', '')}: {answer['error']}")
        return answer


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="habeat-demo-"))
    if len(os.fsencode(folder)) > _LONGEST_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="habeat-demo-", dir="/tmp"))
    return folder
