"""How cost grows from a thousand entries to a million, and what that says about the limits.

What is measured, for each N, with entries made through the Client on an empty server:

load: the time to store them, 10,000 to a call. start: from the start of a leader's process to
its first message, of an entry with a period of 0.1 s beside the N. Idle: the leader's and the
server's CPU and the leader's requests over some seconds, none due. Bytes: of Redis for an entry,
definition included (``MEMORY USAGE``), and the leader's RSS. Burst: all N due at once for their
only time (`once`), through one leader; messages a second from the instant to the last one, the
CPU seconds that leader and server used for it, and the RSS after it.

"growth" is the exponent b in cost ~ N to the b, between the smallest and the largest N: 0 is
flat, 1 is in proportion.

On paper, from the largest N: a leader that is busy all the time carries 1 / (CPU a firing costs
it) firings a second, a Redis 1 / (CPU a firing costs it), and a GiB so many entries. A second
shard (another app name, or `habeat_key_prefix`, with its own leader, and its own Redis if that
is what is full) is worth its trouble from where the first of the two is busy for more than 60 %
of the time, all day long; peaks may be higher, they only last longer.

Caveats. The server's CPU holds the watcher's questions (about 1,000 a second, each some
microseconds). 1,000,000 entries need some 3 GiB and are measured when asked for:
``--entries 1000,10000,100000,1000000``.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import figures, plotting, startup
from benchmarks.filling import client_of, fill
from benchmarks.idle import count_idle
from benchmarks.memory import idle_bytes
from benchmarks.running import (
    Run,
    all_stored,
    cpu_s,
    queue_of,
    rss_mib,
    stage,
    wait_until_quiet,
    wall_s,
)
from benchmarks.schedulers import HABEAT
from benchmarks.tables import Table, number, short
from benchmarks.watching import watch

NAME = "scaling"
READY_S = 600.0


def measure(run: Run) -> dict[str, Any]:
    """The raw figures by number of entries."""
    found: dict[str, Any] = {"sizes": {}}
    run.tried("warm-up", lambda: startup.pair(run, HABEAT, 0, 60.0))  # files from a cold disk
    for count in run.entries((1_000, 10_000, 100_000), (200,)):
        told = run.tried(
            f"{count:,} entries", lambda n=count: {**_resting(run, n), **_burst(run, n)}
        )
        if told is None:
            break
        found["sizes"][str(count)] = told
        run.say(f"{count:,} entries: done")
    return found


def _resting(run: Run, count: int) -> dict[str, Any]:
    """Load, start, idle and memory."""
    server = run.fresh()
    with stage() as here, queue_of(server) as queue:
        here.write(HABEAT, server)
        began_s = wall_s()
        fill(server, count, say=run.say)
        load_s = wall_s() - began_s
        told = idle_bytes(server.admin)
        with client_of(server) as client:
            client.add("zzz-probe", "bench.work", 0.1)
            began_us = queue.now_us()
            beat = here.beat(HABEAT)
            samples = watch(queue, 1, began_us + int(READY_S * 1e6), lambda: beat.alive, still_s=0)
            client.remove("zzz-probe")
        start_s = (samples[0][0] - began_us) / 1e6 if samples else math.inf
        wait_until_quiet(beat, run.pick(READY_S, 60.0))
        idle = count_idle(server, {"leader": beat}, run.pick(30.0, 3.0))
        return {"load_s": load_s, "start_s": start_s, "idle": idle, **told,
                "rss_mib": rss_mib(beat.pid)}  # fmt: skip


def _burst(run: Run, count: int) -> dict[str, Any]:
    """All at once: rate, CPU of both sides, memory after it."""
    server = run.fresh()
    with stage() as here, queue_of(server) as queue:
        here.write(HABEAT, server)
        at_s = math.ceil(wall_s() + run.pick(15, 6) + count / 1_500)
        once = _once(at_s)
        fill(server, count, schedule=once, say=run.say)
        beat = here.beat(HABEAT)
        stored = all_stored(server, HABEAT, count)
        ready = wait_until_quiet(beat, at_s - 1 - wall_s(), stored=stored)
        if not ready:
            run.say(f"the leader was not ready for {count:,} entries at T")
        time.sleep(max(0.0, at_s - 0.5 - wall_s()))
        before = {who: cpu_s(pid) for who, pid in (("leader", beat.pid), ("server", server.pid))}
        cap_s = 60 + count / 500
        samples = watch(queue, count, int((at_s + cap_s) * 1e6), lambda: beat.alive)
        used = {"leader": cpu_s(beat.pid), "server": cpu_s(server.pid)}
        late = figures.lateness_ms(samples, at_s * 1_000_000, count)
        return {
            "ready": ready,
            "rate_per_s": figures.rate_per_s(samples, at_s * 1_000_000, count),
            "arrived": samples[-1][1] if samples else 0,
            "p50_ms": figures.quantile(late, 0.5),
            "max_ms": late[-1],
            "burst_cpu_s": {who: used[who] - before[who] for who in used},
            "rss_after_mib": rss_mib(beat.pid),
        }


def _once(at_s: int) -> Any:
    import habeat

    return habeat.once(datetime.now(UTC).replace(microsecond=0) + timedelta(
        seconds=at_s - int(time.time())
    ))  # fmt: skip


def tables(data: dict[str, Any]) -> list[Table]:
    """The curves as a table, and what follows from them on paper."""
    return [_curves(data), _paper(data)]


_LINES = (
    ("load, s", lambda n, row: row["load_s"]),
    ("start to first message, s", lambda n, row: row["start_s"]),
    ("leader idle, CPU % of a core",
     lambda n, row: 100 * row["idle"]["cpu_s"]["leader"] / row["idle"]["took_s"]),
    ("server idle, CPU % of a core",
     lambda n, row: 100 * row["idle"]["cpu_s"]["server"] / row["idle"]["took_s"]),
    ("leader idle, requests/s",
     lambda n, row: row["idle"]["requests"]["leader"] / row["idle"]["took_s"]),
    ("Redis bytes per entry", lambda n, row: row["all_bytes"] / row["count"]),
    ("leader's RSS, MiB", lambda n, row: row["rss_mib"]),
    ("burst of all, messages/s", lambda n, row: row["rate_per_s"]),
    ("burst: late p50, ms", lambda n, row: row["p50_ms"]),
    ("burst: late max, ms", lambda n, row: row["max_ms"]),
    ("burst: leader's CPU per firing, us",
     lambda n, row: row["burst_cpu_s"]["leader"] / n * 1e6),
    ("burst: server's CPU per firing, us",
     lambda n, row: row["burst_cpu_s"]["server"] / n * 1e6),
    ("leader's RSS after the burst, MiB", lambda n, row: row["rss_after_mib"]),
)  # fmt: skip


def _curves(data: dict[str, Any]) -> Table:
    sizes = [(int(size), row) for size, row in data["sizes"].items()]
    columns = ("entries", *(f"{size:,}" for size, _ in sizes), "growth")
    table = Table("From a thousand entries up", columns)
    for label, of in _LINES:
        points = [(float(n), of(n, row) or 0.0) for n, row in sizes]
        cells = [short(cost) for _, cost in points]
        table.rows.append([label, *cells, number(figures.growth(points), 2)])
    unready = [f"{n:,}" for n, row in sizes if not row["ready"]]
    if unready:
        table.notes.append(f"Not ready when the burst came, start included: {', '.join(unready)}.")
    return table


def carried(data: dict[str, Any]) -> figures.Capacity:
    """What follows from the largest N."""
    size, row = max(data["sizes"].items(), key=lambda each: int(each[0]))
    cost = {who: spent / int(size) * 1e6 for who, spent in row["burst_cpu_s"].items()}
    return figures.capacity(cost["leader"], cost["server"], row["all_bytes"] / row["count"])


def _paper(data: dict[str, Any]) -> Table:
    found = carried(data)
    table = Table("On paper, from the largest of them", ("what", "how much"))
    table.rows += [
        ["one leader, busy all the time: firings/s", number(found.leader_per_s)],
        ["one Redis, busy all the time: firings/s", number(found.redis_per_s)],
        ["idle entries in a GiB of Redis", number(found.entries_per_gib)],
        ["a second shard from, firings/s all day", number(found.second_shard_from_per_s)],
        ["which is entries of one minute", number(found.second_shard_from_per_s * 60)],
        ["or entries of one hour", number(found.second_shard_from_per_s * 3_600)],
    ]
    return table


def plot(data: dict[str, Any]) -> str:
    """Costs over the number of entries, both axes logarithmic."""
    shown = ("start to first message, s", "burst: late max, ms", "leader's RSS, MiB",
             "Redis bytes per entry", "burst: leader's CPU per firing, us")  # fmt: skip
    curves = {
        label: [(int(n), of(int(n), row) or 0.0) for n, row in data["sizes"].items()]
        for label, of in _LINES
        if label in shown
    }
    return plotting.chart("Cost over the number of entries", "entries", "", curves,
                          log_x=True, log_y=True)  # fmt: skip
