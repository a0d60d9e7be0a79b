"""The same burst with another Redis as the broker: habeat's outbox on its fast way.

The schedule stays in one Redis, the messages go to another one, so claim and message cannot be one
script: habeat claims, publishes and settles. The loop calls ``app.send_task`` against the same
second server. The method is that of `benchmarks.burst`; the watcher asks the second server.

``habeat (window 1)`` has ``habeat_outbox_window = 1``: each message is settled before the next one
leaves, so a kill repeats one message at most, also in a burst. The difference is what the window is
worth.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.support.servers.redis_server import Server, start_server, valkey_binary

from benchmarks import burst, figures, plotting
from benchmarks.running import Run
from benchmarks.schedulers import HABEAT, NO_TEMPLATE, REDBEAT, WINDOW_1, available
from benchmarks.tables import Table
from benchmarks.watching import RedisQueue, Wire

NAME = "burst_outbox"


def measure(run: Run) -> dict[str, Any]:
    """The raw figures, by number of entries and contender."""
    way = run.way or run.pick("crontab", "interval")
    found: dict[str, Any] = {"way": way, "cap_s": burst.cap_s(run), "sizes": {}}
    broker = start_server(valkey_binary())
    try:
        for count in run.entries((1_000, 10_000, 40_000), (200,)):
            runs: dict[str, list[dict[str, Any]]] = {}
            for turn in range(run.times(3)):
                fast = run.pick((HABEAT, burst.LOOP, NO_TEMPLATE, WINDOW_1), (HABEAT, burst.LOOP))
                slow = run.pick((REDBEAT,), ()) if turn == 0 and count <= 10_000 else ()
                for each in run.wanted([*fast, *available(slow)]):
                    told = run.tried(each.name, partial(_one, run, broker, each, count, way))
                    if told is None:
                        continue
                    runs.setdefault(each.name, []).append(told)
                    rate = figures.rate_per_s(told["samples"], told["due_us"], count)
                    run.say(f"burst of {count:,}, two Redis: {each.name}: {rate:,.0f} messages/s")
            found["sizes"][str(count)] = {
                name: burst.told(each, count) for name, each in runs.items()
            }
    finally:
        broker.dispose()
    return found


def _one(run: Run, broker: Server, each: Any, count: int, way: str) -> dict[str, Any]:
    def queue() -> RedisQueue:
        broker.admin.flushall()
        return RedisQueue(Wire(broker, 1))

    return burst.one(run, each, count, way, broker_url=broker.url(1), queue=queue)


def tables(data: dict[str, Any]) -> list[Table]:
    """One for each number of entries."""
    found = burst.tables(data)
    for table in found:
        table.title = f"Schedule and broker on two Redis servers: {table.title}"
    return found


def plot(data: dict[str, Any]) -> str:
    """Messages over time, at the largest number of entries."""
    count, found = max(data["sizes"].items(), key=lambda each: int(each[0]))
    curves = {
        name: [((at - row["due_us"]) / 1e6, length) for at, length in row["samples"]]
        for name, row in found.items()
    }
    title = f"{int(count):,} entries, all due at 0 s, schedule and broker on two Redis servers"
    return plotting.chart(title, "seconds", "messages", curves, log_x=True)
