"""What an idle minute costs: requests to Redis and CPU, of the leader and of a standby.

What is measured. Two beats with N static entries of which none is due for weeks; when both have
slept for a second, a minute is counted. Requests: MONITOR tells of each command whence it came,
and a connection's port tells whose it is; what a script does inside is marked, so a script is one
request, and a command within MULTI is one too. CPU: user and kernel time of the process, in per
cent of one core, and the server's likewise. Celery's own scheduler has no standby and no Redis
for its schedule. RedBeat's standby asks for the lock once in each loop interval (1 s here).

"commands inside" are what the scripts of both beats executed, per minute.

Caveats. CPU time is counted in hundredths of a second; over a minute that is 0.02 % of a core. The
server's CPU holds what MONITOR costs, which is little where so little is asked. With `--quick`
the minute is a few seconds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from typing import Any

import psutil
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server

from benchmarks.running import Run, all_stored, cpu_s, stage, until, wait_until_quiet, wall_s
from benchmarks.schedulers import CELERY, HABEAT, REDBEAT, Scheduler, available, entries, far
from benchmarks.tables import Table, number, short

NAME = "idle"
READY_S = 600.0
#: Where the commands inside scripts are counted; no port has this number.
INSIDE = 0


def measure(run: Run) -> dict[str, Any]:
    """By number of entries and contender; for each role requests and CPU seconds."""
    lasts_s = run.pick(60.0, 2.0)
    found: dict[str, Any] = {"lasts_s": lasts_s, "sizes": {}}
    for count in run.entries((1_000, 100_000), (200,)):
        of_size = found["sizes"][str(count)] = {}
        for each in run.wanted(available((HABEAT, REDBEAT, CELERY))):
            told = run.tried(each.name, partial(_one, run, each, count, lasts_s))
            if told is None:
                continue
            of_size[each.name] = told
            run.say(f"idle with {count:,} entries: {each.name}: done")
    return found


def _one(run: Run, scheduler: Scheduler, count: int, lasts_s: float) -> dict[str, Any]:
    server = run.fresh()
    ready_s = run.pick(READY_S, 60.0)
    with stage() as here:
        here.write(scheduler, server, entries(count, far(scheduler)))
        leader = here.beat(scheduler)
        stored = all_stored(server, scheduler, count)
        ready = wait_until_quiet(leader, ready_s, stored=stored)
        beats = {"leader": leader}
        if scheduler is not CELERY:
            beats["standby"] = here.beat(scheduler)
            ready &= wait_until_quiet(beats["standby"], ready_s)
        return {"ready": ready, **count_idle(server, beats, lasts_s)}


def count_idle(server: Server, beats: dict[str, CeleryProcess], lasts_s: float) -> dict[str, Any]:
    """Count for so long; what each beat has asked and used, and the server."""
    pids = {role: beat.pid for role, beat in beats.items()}
    everyone = {**pids, "server": server.pid}
    ports = {role: _ports(pid) for role, pid in pids.items()}
    monitor = Monitor(server)
    began_s, used = wall_s(), {who: cpu_s(pid) for who, pid in everyone.items()}
    _sleep_until(began_s + lasts_s)
    took_s = wall_s() - began_s
    used = {who: cpu_s(pid) - used[who] for who, pid in everyone.items()}
    asked = monitor.stop()
    for role, pid in pids.items():
        ports[role] |= _ports(pid)
    requests = {role: sum(asked[port] for port in ports[role]) for role in pids}
    return {"took_s": took_s, "requests": requests, "cpu_s": used, "inside": asked[INSIDE]}


class Monitor:
    """Counts commands by the port that they come from; 0 for those inside scripts."""

    def __init__(self, server: Server) -> None:
        self._counts: Counter[int] = Counter()
        self._client = server.client(socket_timeout=None)
        self._ping = server.admin
        self._over = self._began = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        until(lambda: self._began, 10, "MONITOR has begun")

    def _run(self) -> None:
        with self._client.monitor() as monitor:
            self._began = True
            for told in monitor.listen():
                if self._over:
                    return
                inside = told["client_type"] == "lua"
                self._counts[INSIDE if inside else int(told["client_port"] or -1)] += 1

    def stop(self) -> Counter[int]:
        self._over = True
        self._ping.ping()  # one more line, at which the thread ends
        self._thread.join(10)
        return self._counts


def _ports(pid: int) -> set[int]:
    return {connection.laddr.port for connection in psutil.Process(pid).net_connections("tcp")}


def _sleep_until(until_s: float) -> None:
    while (left := until_s - wall_s()) > 0:
        time.sleep(min(left, 0.5))


def tables(data: dict[str, Any]) -> list[Table]:
    """One table: requests a second and per cent of a core, by role."""
    columns = ("contender", "entries", "role", "requests/s", "requests/min", "CPU % of a core",
               "server CPU %", "commands inside/min")  # fmt: skip
    table = Table(f"Idle, counted for {data['lasts_s']:g} s", columns)
    for size, found in data["sizes"].items():
        for name, row in found.items():
            for role, asked in row["requests"].items():
                first = role == "leader"
                label = name if row["ready"] else f"{name} (still busy when counted)"
                table.rows.append([
                    label, f"{int(size):,}", role,
                    number(asked / row["took_s"], 2), number(asked / row["took_s"] * 60),
                    number(100 * row["cpu_s"][role] / row["took_s"], 2),
                    number(100 * row["cpu_s"]["server"] / row["took_s"], 2) if first else "",
                    short(row["inside"] / row["took_s"] * 60) if first else "",
                ])  # fmt: skip
    return [table]
