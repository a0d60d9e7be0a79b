"""How long nobody leads after the leading beat is stopped (SIGTERM) or killed (SIGKILL).

Three beats on one machine, habeat with its default settings, beside RedBeat tuned for quick
takeover, one after the other in the same run on the same server.

What is measured. One Valkey, one entry of one second in its other database, three beats, one leads.
The moment of the signal is read from the server's clock (TIME) just before the signal is sent. For
habeat the moment of takeover is the one that Redis kept: ``meta.leader_since``, microseconds of
the same clock, written by the script that took the lease. RedBeat keeps no such moment: the
value of its lock (``redbeat::lock``) is polled every 2 ms, and the moment is the server's clock
at the first poll that reads another value; so up to some 3 ms are added to its figures, which
are thousands. The beat is then started again and given time to settle before the next signal.

RedBeat has ``redbeat_lock_timeout = 5`` and ``beat_max_loop_interval = 1``: its defaults are
1,500 s and 300 s. A shorter timeout would make its lock run out while it works. What bounds it
after SIGKILL is the lock's timeout, and after SIGTERM the standby's poll.

Caveats. A leader that froze, or whose host is gone, is not what is measured here: the lease
bounds that. All three share a machine, so there is no network between them and Redis.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.servers.processes import CeleryProcess, Processes
from tests.support.servers.redis_server import Server

from benchmarks.contenders import (
    Contender,
    Habeat,
    RedBeat,
    now_us,
    start,
    wait_until,
    write_app,
)
from benchmarks.running import Run
from benchmarks.tables import Table, short, times

NAME = "takeover"
BEATS = 3
SETTLE_S = 3.0
SIGNALS = (signal.SIGTERM, signal.SIGKILL)


def measure(run: Run) -> dict[str, Any]:
    """Milliseconds of each takeover, by contender and signal."""
    count = run.times(10, 1)
    contenders: list[Contender] = [Habeat(), RedBeat()]
    found = {
        each.name: _measured(each, run.server, count, run)
        for each in contenders
        if run.only is None or each.name in run.only
    }
    return {"times": count, "milliseconds": found}


def _measured(contender: Contender, server: Server, count: int, run: Run) -> dict[str, list[float]]:
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
                    _one(contender, server, processes, folder, beats, each, run)
                    for _ in range(count)
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
    run: Run,
) -> float:
    client = server.admin
    leader: CeleryProcess = wait_until(
        lambda: contender.leader(client, beats), 60, f"a leader of {contender.name}", 0.05
    )
    time.sleep(run.pick(SETTLE_S, 1.0))
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
    run.say(f"{contender.name} {how.name}: {took_ms:,.1f} ms")
    return took_ms


def tables(data: dict[str, Any]) -> list[Table]:
    """One table: median and maximum of each signal, and the ratio."""
    columns = ("contender", *(f"{s.name} {what}" for s in SIGNALS for what in ("median", "max")))
    table = Table(f"Time without a leader (ms), {data['times']} signals of each kind", columns)
    figures = {
        name: [of(by_signal[each.name]) for each in SIGNALS for of in (statistics.median, max)]
        for name, by_signal in data["milliseconds"].items()
    }
    for name, row in figures.items():
        table.rows.append([name, *(short(each) for each in row)])
    if len(figures) == 2:
        pairs = zip(figures["redbeat"], figures["habeat"], strict=True)
        table.rows.append(["redbeat ÷ habeat", *(times(theirs, ours) for theirs, ours in pairs)])
    return [table]
