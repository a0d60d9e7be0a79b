"""The same burst with RabbitMQ as the broker, publisher confirms on: habeat's outbox.

The schedule stays in Redis, the messages go to RabbitMQ, ``confirm_publish`` is set for all: a
message counts as sent when RabbitMQ has said that it has it. habeat then claims, publishes and
settles (`habeat_dispatch` is its outbox here); the loop calls ``app.send_task`` with the same
option. The method is that of `benchmarks.burst`, but for the watcher, which asks RabbitMQ for
the length of the queue every 5 ms, since asking costs it more than it costs Redis. A queue's
length is what RabbitMQ says; it can lag a little behind what it has confirmed.

RabbitMQ is the machine's own (3.10 on Debian 12), one node, a classic durable queue, persistent
messages. Without it on the machine the table is left out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tests.support.servers.rabbitmq import start_rabbitmq

from benchmarks import burst, figures, plotting
from benchmarks.running import Run
from benchmarks.schedulers import CELERY, HABEAT, NO_TEMPLATE, REDBEAT, available
from benchmarks.tables import Table

NAME = "burst_rabbitmq"
BINARY = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONFIRMS = {"broker_transport_options": {"confirm_publish": True}}


def measure(run: Run) -> dict[str, Any] | None:
    """The raw figures, by number of entries and contender; None without RabbitMQ."""
    if not BINARY.exists():
        run.say("no RabbitMQ on this machine: left out")
        return None
    way = run.way or run.pick("crontab", "interval")
    found: dict[str, Any] = {"way": way, "cap_s": burst.cap_s(run), "sizes": {}}
    rabbit = start_rabbitmq()
    try:
        for count in run.entries((1_000, 10_000), (200,)):
            runs: dict[str, list[dict[str, Any]]] = {}
            for turn in range(run.times(3)):
                fast = run.pick((HABEAT, burst.LOOP, NO_TEMPLATE), (HABEAT, burst.LOOP))
                slow = run.pick((REDBEAT, CELERY), ()) if turn == 0 else ()
                for each in run.wanted([*fast, *available(slow)]):
                    url = rabbit.fresh_vhost()
                    call = partial(burst.one, run, each, count, way, broker_url=url, conf=CONFIRMS)
                    told = run.tried(each.name, call)
                    if told is None:
                        continue
                    runs.setdefault(each.name, []).append(told)
                    rate = figures.rate_per_s(told["samples"], told["due_us"], count)
                    run.say(f"burst of {count:,} on RabbitMQ: {each.name}: {rate:,.0f} messages/s")
            found["sizes"][str(count)] = {
                name: burst.told(each, count) for name, each in runs.items()
            }
    finally:
        rabbit.dispose()
    return found


def tables(data: dict[str, Any]) -> list[Table]:
    """One for each number of entries."""
    found = burst.tables(data)
    for table in found:
        table.title = f"RabbitMQ with confirms: {table.title}"
    return found


def plot(data: dict[str, Any]) -> str:
    """Messages over time, at the largest number of entries."""
    count, found = max(data["sizes"].items(), key=lambda each: int(each[0]))
    curves = {
        name: [((at - row["due_us"]) / 1e6, length) for at, length in row["samples"]]
        for name, row in found.items()
    }
    title = f"{int(count):,} entries, all due at 0 s, RabbitMQ with confirms"
    return plotting.chart(title, "seconds", "messages", curves, log_x=True)
