"""Celery's own tests, from the source distribution of the installed release.

They are kept outside the repository, in the user's cache folder, and fetched once per release.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import celery

FETCH_TIMEOUT_S = 120


def own_tests() -> Path | None:
    """The folder that has Celery's `t`; None if it cannot be fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "habeat-tests" / f"celery-{celery.__version__}"
    if not (folder / "t").is_dir():
        _fetch(folder)
    return folder if (folder / "t").is_dir() else None


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as download:
        wanted = f"celery=={celery.__version__}"
        command = ("download", "--quiet", "--no-deps", "--no-binary", ":all:", wanted)
        try:
            subprocess.run(
                [sys.executable, "-m", "pip", *command, "--dest", download],
                check=True,
                timeout=FETCH_TIMEOUT_S,
            )
        except (OSError, subprocess.SubprocessError):
            return
        for archive in Path(download).glob("*.tar.gz"):
            _unpack(archive, folder)


def _unpack(archive: Path, folder: Path) -> None:
    """The tests alone: Celery itself is the installed one."""
    with tarfile.open(archive) as opened:
        members = []
        for member in opened.getmembers():
            _, _, member.name = member.name.partition("/")
            if member.name.startswith("t/"):
                members.append(member)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unpacked:
            opened.extractall(unpacked, members, filter="data")
            folder.mkdir(exist_ok=True)
            # Two runs at once: the slower one finds the folder in place.
            if not (folder / "t").exists():
                (Path(unpacked) / "t").rename(folder / "t")
