"""CPU of the leader and of Redis while a schedule fires at a steady rate.

N entries of one second, made through the Client, with habeat's defaults (atomic dispatch). Once the
beat fires, the CPU seconds of both processes are counted for a while, and divided by the time that
passed. Entries of one second are spread over the second, so hardly two firings share a script call:
a burst of the same size costs less per firing.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from benchmarks.filling import fill
from benchmarks.memory import BASE, wait_until_some
from benchmarks.running import Run, cpu_s, stage, wall_s
from benchmarks.schedulers import HABEAT
from benchmarks.tables import Table, number

NAME = "steady"
SETTLE_S = 5.0


def measure(run: Run) -> dict[str, Any]:
    """By rate: CPU seconds of both, how long, and how many firings."""
    lasts_s = run.pick(30.0, 2.0)
    found = {}
    for rate in run.entries((1, 10, 100, 1_000), (10,)):
        found[str(rate)] = _one(run, rate, lasts_s)
        run.say(f"{rate:,} firings a second: done")
    return {"rates": found}


def _one(run: Run, rate: int, lasts_s: float) -> dict[str, float]:
    server = run.fresh()
    with stage() as here:
        here.write(HABEAT, server)
        fill(server, rate, every=timedelta(seconds=1))
        beat = here.beat(HABEAT)
        wait_until_some(server.admin)
        time.sleep(run.pick(SETTLE_S, 0.5))
        pids = {"leader": beat.pid, "server": server.pid}
        began_s, fired = wall_s(), _claimed(server.admin)
        used = {who: cpu_s(pid) for who, pid in pids.items()}
        time.sleep(lasts_s)
        used = {who: cpu_s(pid) - used[who] for who, pid in pids.items()}
        return {
            "took_s": wall_s() - began_s,
            "fired": _claimed(server.admin) - fired,
            **{f"{who}_cpu_s": seconds for who, seconds in used.items()},
        }


def _claimed(client: Any) -> int:
    return int(client.hget(f"{BASE}meta", "claimed") or 0)


def tables(data: dict[str, Any]) -> list[Table]:
    """One row for each rate."""
    table = Table("CPU at a steady rate", ("firings/s", "fired/s", "leader CPU %", "Redis CPU %"))
    for rate, row in data["rates"].items():
        table.rows.append([
            f"{int(rate):,}",
            number(row["fired"] / row["took_s"], 1),
            *(number(percent(row, who), 2) for who in ("leader", "server")),
        ])  # fmt: skip
    return [table]


def percent(row: dict[str, float], who: str) -> float:
    """Per cent of one core."""
    return 100 * row[f"{who}_cpu_s"] / row["took_s"]
