"""How long N entries take that are all due for the first time at one instant.

What is measured. Each scheduler gets N entries with one argument and one keyword each, whose
first slot is the same instant T (`benchmarks.schedulers` tells how that is said to each), and
enough time to start: a run counts only if the beat has used next to no CPU for a second before
T comes; if it was not ready, the run is repeated with twice the time. Then the length of the
queue is read about once a millisecond (`benchmarks.watching`). Lateness is when the k-th message
was seen, minus T; messages a second are N divided by the time from T to the last one, so waking
up is part of it. "First to last" is beside it. A scheduler that has not finished 40 s after T is
cut off: the table says how many of N had come, and its quantiles count the rest as never.

The floors, on the same server in the same run. `send_task loop`: a process with the same app
that calls ``app.send_task`` N times with the same arguments and header, connected before T.
`raw LPUSH`: the messages that habeat has sent, pushed once more from bytes that are ready, 200
to a packet: what the server alone needs for them.

"Long calls" are the script calls (EVALSHA) that took the server more than 2.1 ms, a bound of its
own LATENCY HISTOGRAM, since the beat was quiet, in all runs: so long nobody else is answered.

At the largest number, what runs fast is run three times, in turn with the others, and the run with
the median time is shown; what takes seconds, and every run of the smaller numbers, is run once.

Caveats. Beat, server, watcher and loop share the machine's cores; with two, the watcher's some
per cent of a core are taken from somebody. The message is small. No worker takes messages out.
django-celery-beat stands on SQLite; on a server over a network it is not faster. Nothing is
written to disk by the server, which has no persistence here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.support.servers.redis_server import Server

from benchmarks import figures, plotting
from benchmarks.running import (
    Run,
    Stage,
    all_stored,
    queue_of,
    stage,
    until,
    wait_until_quiet,
    wall_s,
)
from benchmarks.schedulers import (
    CELERY,
    DJANGO,
    HABEAT,
    NO_TEMPLATE,
    OUTBOX,
    REDBEAT,
    SIGNALS,
    Scheduler,
    available,
    due_at,
)
from benchmarks.tables import UNKNOWN, Table, number, short, times
from benchmarks.watching import RabbitQueue, RedisQueue, Wire, request, watch

NAME = "burst"
#: A bound of the server's own histogram, the one next to 2 ms.
LONG_US = 2_113
LOOP = Scheduler("send_task loop", "none")
FAST = (HABEAT, NO_TEMPLATE, SIGNALS, LOOP, OUTBOX)
FEW = (HABEAT, LOOP)
SLOW = (REDBEAT, CELERY, DJANGO)
RAW = "raw LPUSH"
CAP_S = 40.0
PACKET = 200

_LOOP = """\
import sys, time
import bench
count, at = int(sys.argv[1]), float(sys.argv[2])
bench.app.send_task("bench.work", queue="warm-up")
print("ready", flush=True)
time.sleep(max(0, at - time.time()))
for i in range(count):
    bench.app.send_task("bench.work", args=(i,), kwargs={"tenant": "abc"},
                        headers={"celery_beat_task": True})
print("done", flush=True)
time.sleep(600)
"""


def measure(run: Run) -> dict[str, Any]:
    """The raw figures, by number of entries and contender."""
    way = run.way or run.pick("crontab", "interval")
    found: dict[str, Any] = {"way": way, "cap_s": cap_s(run), "sizes": {}}
    counts = run.entries((1_000, 5_000, 10_000), (200,))
    for count in counts:
        turns = run.times(3 if count == max(counts) else 1)
        found["sizes"][str(count)] = {
            each: told(runs, count) for each, runs in _of_size(run, count, way, turns).items()
        }
    return found


def cap_s(run: Run) -> float:
    """So long after T who is not done is cut off."""
    return run.pick(CAP_S, 10.0)


def _of_size(run: Run, count: int, way: str, turns: int) -> dict[str, list[dict[str, Any]]]:
    runs: dict[str, list[dict[str, Any]]] = {}
    for turn in range(turns):
        slow = SLOW if turn == 0 else ()
        for each in run.wanted([*run.pick(FAST, FEW), *available(slow)]):
            measured = run.tried(each.name, partial(one, run, each, count, way))
            if measured is None:
                continue
            runs.setdefault(each.name, []).append(measured)
            if each is HABEAT:
                runs.setdefault(RAW, []).append(_raw(run, count))
            rate = figures.rate_per_s(*_key(runs[each.name][-1]), count)
            run.say(f"burst of {count:,}: {each.name}: {rate:,.0f} messages/s")
    return runs


def one(
    run: Run,
    scheduler: Scheduler,
    count: int,
    way: str,
    *,
    broker_url: str | None = None,
    conf: dict[str, Any] | None = None,
    queue: Callable[[], RedisQueue] | None = None,
) -> dict[str, Any]:
    """One burst; tried again with more time to start if the beat was not ready at T."""
    lead_s = run.pick(10.0, 5.0) + count * (0.001 if scheduler in FAST else 0.004)
    for patience in (1, 2, 4, 8):
        server = run.fresh()
        watched = queue() if queue is not None else _queue(server, broker_url)
        try:
            with stage() as here:
                found = _timed(run, here, scheduler, watched, count, way, lead_s * patience,
                               broker_url, conf)  # fmt: skip
        finally:
            watched.close()
        if found["ready"]:
            break
        run.say(f"{scheduler.name} was not ready for {count:,} entries at T: more time")
    return found


def _queue(server: Server, broker_url: str | None) -> RedisQueue | RabbitQueue:
    if broker_url is None:
        return RedisQueue(Wire(server, 1))
    queue = RabbitQueue(broker_url)
    queue.empty()
    return queue


def _timed(
    run: Run,
    here: Stage,
    scheduler: Scheduler,
    queue: RedisQueue | RabbitQueue,
    count: int,
    way: str,
    lead_s: float,
    broker_url: str | None,
    conf: dict[str, Any] | None,
) -> dict[str, Any]:
    step = 60 if way == "crontab" and scheduler is not LOOP else 1
    at_s = math.ceil((wall_s() + lead_s) / step) * step
    if scheduler is LOOP:
        here.write(HABEAT, run.server, broker_url=broker_url, conf=conf)
        (here.folder / "loop.py").write_text(_LOOP)
        beat = here.processes.python("loop.py", [str(count), str(at_s)], cwd=here.folder)
        until(lambda: "ready" in beat.log() or not beat.alive, 60, "the loop is ready")
        ready = wall_s() < at_s
    else:
        schedule = due_at(scheduler, count, at_s, way)
        here.write(scheduler, run.server, schedule, broker_url=broker_url, conf=conf)
        beat = here.beat(scheduler)
        stored = all_stored(run.server, scheduler, count)
        ready = wait_until_quiet(beat, at_s - 0.5 - wall_s(), stored=stored)
    if not ready:
        return {"ready": False, "due_us": at_s * 1_000_000, "samples": [], "errors": 0}
    until_us = int((at_s + cap_s(run)) * 1e6)
    run.server.admin.config_resetstat()
    samples = watch(queue, count, until_us, lambda: beat.alive)
    return {
        "ready": True,
        "due_us": at_s * 1_000_000,
        "samples": samples,
        "errors": beat.log().count("ERROR"),
        "scripts": _scripts(run.server),
    }


def _scripts(server: Server) -> dict[str, int] | None:
    """How many script calls there were, and how many of them took longer than LONG_US."""
    told: Any = server.admin.execute_command("LATENCY", "HISTOGRAM", "evalsha")
    if not told:
        return None
    _, (_, calls, _, buckets) = told
    until_us = dict(zip(buckets[::2], buckets[1::2], strict=True))
    within = max((count for us, count in until_us.items() if us <= LONG_US), default=0)
    return {"calls": int(calls), "long": int(calls) - int(within)}


def _raw(run: Run, count: int) -> dict[str, Any]:
    """The messages that lie in the queue, pushed once more from ready bytes."""
    wire = Wire(run.server, 1)
    try:
        (messages,) = wire.ask(request("LRANGE", "celery", 0, -1), 1)
        pushes = [request("LPUSH", "raw", message) for message in messages]
        packets = [pushes[i : i + PACKET] for i in range(0, len(pushes), PACKET)]
        with queue_of(run.server, "raw") as queue:
            samples = []
            began_us = queue.now_us()
            for packet in packets:
                wire.ask(b"".join(packet), len(packet))
                samples.append(queue.look())
    finally:
        wire.close()
    return {"ready": True, "due_us": began_us, "samples": samples, "errors": 0}


def _key(run: dict[str, Any]) -> tuple[Any, Any]:
    return run["samples"], run["due_us"]


def told(runs: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """The figures of the median run, and the time of each run."""
    lasted = [max(figures.lateness_ms(*_key(each), count)) for each in runs]
    shown = runs[figures.middle(lasted)]
    late = figures.lateness_ms(*_key(shown), count)
    return {
        "ready": shown["ready"],
        "lasted_ms": lasted,
        "arrived": max((length for _, length in shown["samples"]), default=0),
        "rate_per_s": figures.rate_per_s(*_key(shown), count),
        "first_to_last_ms": figures.first_to_last_ms(shown["samples"], count),
        "first_ms": late[0],
        "p50_ms": figures.quantile(late, 0.5),
        "p99_ms": figures.quantile(late, 0.99),
        "max_ms": late[-1],
        "due_us": shown["due_us"],
        "samples": figures.thinned(shown["samples"]),
        "errors": shown["errors"],
        "scripts": [each.get("scripts") for each in runs],
    }


def tables(data: dict[str, Any]) -> list[Table]:
    """One table for each number of entries."""
    return [_table(int(size), found, data) for size, found in data["sizes"].items()]


def _table(count: int, found: dict[str, Any], data: dict[str, Any]) -> Table:
    columns = ("contender", "messages/s", "÷ send_task loop", "÷ redbeat", "due to last",
               "first to last", "late p50", "late p99", "late max", "long calls")  # fmt: skip
    table = Table(f"{count:,} entries, all due at once ({data['way']})", columns)
    beside = [found.get(name, {}).get("rate_per_s") for name in (LOOP.name, REDBEAT.name)]
    for name in sorted(found, key=lambda name: -(found[name]["rate_per_s"] or 0)):
        row = found[name]
        rate = row["rate_per_s"] if row["ready"] else None
        label, over = name, row["max_ms"]
        if row["arrived"] < count:
            label = f"{name} ({row['arrived']:,} of {count:,} after {data['cap_s']:g} s)"
        if row["arrived"] > count:
            label = f"{name} ({row['arrived']:,} messages for {count:,} entries!)"
        if not row["ready"]:
            label = f"{name} (never got ready)"
        if row["errors"]:
            table.notes.append(f"{name} logged {row['errors']} errors.")
        late = [_ms(row[key]) for key in ("p50_ms", "p99_ms", "max_ms")]
        rates = [number(rate), *(times(rate, each) for each in beside)]
        lasted = [_ms(over), _ms(row["first_to_last_ms"])]
        table.rows.append([label, *rates, *lasted, *late, _long_calls(row)])
    return table


def _long_calls(row: dict[str, Any]) -> str:
    """Of all runs: how many script calls held the server up."""
    told = [each for each in row.get("scripts") or () if each]
    if not told:
        return UNKNOWN
    return f"{sum(each['long'] for each in told):,} of {sum(each['calls'] for each in told):,}"


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else short(value, " ms")


def plot(data: dict[str, Any]) -> str:
    """Messages over time, at the largest number of entries."""
    count, found = max(data["sizes"].items(), key=lambda each: int(each[0]))
    curves = {
        name: [((at - row["due_us"]) / 1e6, length) for at, length in row["samples"]]
        for name, row in found.items()
        if name != RAW
    }
    title = f"{int(count):,} entries, all due at 0 s"
    return plotting.chart(title, "seconds", "messages", curves, log_x=True)
