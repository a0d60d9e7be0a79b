"""A wall clock that a test steps, for one process, by libfaketime, without its monotonic clock."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.needs import need


def _library() -> Path | None:
    try:
        import libfaketime
    except ImportError:
        return None
    package = Path(str(libfaketime.__file__)).parent
    return next(iter(package.rglob("libfaketime.so*")), None)


@dataclass
class Clock:
    """`environment` is for the process whose clock it is."""

    path: Path

    def __post_init__(self) -> None:
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        library = _library() if sys.platform == "linux" else None
        need("libfaketime", library is not None, "pip install libfaketime (Linux)")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    def step(self, ahead_s: float) -> None:
        """From now on, the clock is this far ahead of true time, or behind it."""
        draft = self.path.with_suffix(".new")
        draft.write_text(f"{ahead_s:+f}s\n")
        os.replace(draft, self.path)

    def program(self, binary: Path) -> Path:
        """A program that runs `binary` under this clock."""
        path = self.path.with_suffix(".sh")
        words = [f"{name}={value}" for name, value in self.environment.items()]
        path.write_text(
            f'#!/bin/sh\nexec env {shlex.join(words)} {shlex.quote(str(binary))} "$@"\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path
