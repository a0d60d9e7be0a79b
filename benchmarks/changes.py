"""How long after a call of the Client its change is live: call to message.

What is measured. A schedule of a thousand idle entries, its leader asleep. A change is made and
the queue is watched, taking out messages about once a millisecond; the figure is from just
before the call to the moment at which the message was seen. Calls come at random moments of a
second, so that nothing can beat with a loop.

add: a new entry with a single slot 20 ms after the call (a slot must lie in the future when the
script runs). update: an entry due in weeks gets such a slot. trigger: an entry fires now. The
20 ms are part of the first two figures; "after the slot" takes them off. redbeat, save:
``RedBeatSchedulerEntry(…).save()`` of a new entry, which RedBeat considers due at once, with its
loop at one second. Celery's own scheduler has no way to be told.

Calls that came too late for their slot are counted ("missed") and are not in the quantiles. The
entries are removed after each call, outside of what is timed.

Caveats. The time of the call itself, connection kept open, is part of it; it is also shown
alone. The caller shares the machine with beat and server.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import figures
from benchmarks.filling import client_of, fill
from benchmarks.running import Run, all_stored, queue_of, stage, wait_until_quiet
from benchmarks.schedulers import HABEAT, REDBEAT, available
from benchmarks.tables import Table, number, short
from benchmarks.watching import RedisQueue, drain

NAME = "changes"
AHEAD_MS = 20.0
GIVE_UP_S = 5.0
ENTRIES = 1_000


def measure(run: Run) -> dict[str, Any]:
    """Milliseconds of each call, by what was done."""
    found: dict[str, Any] = {"ahead_ms": AHEAD_MS, "entries": run.pick(ENTRIES, 50), "kinds": {}}
    wanted = run.wanted(available((HABEAT, REDBEAT)))
    if HABEAT in wanted:
        found["kinds"] |= run.tried("habeat", lambda: _of_habeat(run, found["entries"])) or {}
    if REDBEAT in wanted and (told := run.tried("redbeat", lambda: _of_redbeat(run))):
        found["kinds"]["redbeat, save"] = told
    return found


def _of_habeat(run: Run, entries: int) -> dict[str, Any]:
    import habeat

    server = run.fresh()
    with stage() as here, queue_of(server) as queue, client_of(server) as client:
        here.write(HABEAT, server)
        fill(server, entries)
        beat = here.beat(HABEAT)
        wait_until_quiet(beat, 60, stored=all_stored(server, HABEAT, entries))

        def soon() -> Any:
            return habeat.once(datetime.now(UTC) + timedelta(milliseconds=AHEAD_MS))

        kinds: dict[str, Callable[[int], Any]] = {
            "habeat (add)": lambda i: client.add(f"new-{i}", "bench.work", soon()),
            "habeat (update)": lambda i: client.update(f"entry-{i % entries:06d}", schedule=soon()),
            "habeat (trigger)": lambda i: client.trigger(f"entry-{i % entries:06d}"),
        }
        found = {}
        for kind, call in kinds.items():
            found[kind] = _timed(queue, call, run.times(200, 5))
            run.say(f"{kind}: {len(found[kind]['live_ms'])} calls")
        return found


def _of_redbeat(run: Run) -> dict[str, Any]:
    from celery import Celery
    from redbeat import RedBeatSchedulerEntry

    server = run.fresh()
    with stage() as here, queue_of(server) as queue:
        here.write(REDBEAT, server)
        beat = here.beat(REDBEAT)
        wait_until_quiet(beat, 60)
        app = Celery("bench", broker=server.url(1), set_as_current=False)
        app.conf.update(redbeat_redis_url=server.url(0))

        def call(i: int) -> None:
            entry = RedBeatSchedulerEntry(f"new-{i}", "bench.work", 86_400.0, app=app)
            entry.last_run_at = None  # which is what "due now" is for RedBeat
            entry.save()

        told = _timed(queue, call, run.times(60, 3))
        run.say(f"redbeat, save: {len(told['live_ms'])} calls")
        return told


def _timed(queue: RedisQueue, call: Callable[[int], Any], count: int) -> dict[str, Any]:
    call_ms, live_ms, missed = [], [], 0
    pauses = random.Random(5)
    for i in range(count):
        time.sleep(pauses.uniform(0.05, 0.3))
        queue.take()
        began_us = queue.now_us()
        call(i)
        call_ms.append((queue.now_us() - began_us) / 1_000)
        give_up_us = began_us + int(GIVE_UP_S * 1e6)
        taken = drain(queue, lambda at, n, end=give_up_us: n > 0 or at > end)  # type: ignore[misc]
        if taken:
            live_ms.append((taken[0][0] - began_us) / 1_000)
        else:
            missed += 1
    return {"call_ms": call_ms, "live_ms": live_ms, "missed": missed}


def tables(data: dict[str, Any]) -> list[Table]:
    """One table: quantiles of call to message."""
    columns = ("change", "calls", "missed", "live p50", "live p99", "live max",
               "after the slot p50", "p99", "the call alone p50")  # fmt: skip
    table = Table(f"Call to message, {data['entries']:,} entries (milliseconds)", columns)
    for kind, row in data["kinds"].items():
        live = row["live_ms"]
        ahead = data["ahead_ms"] if kind in ("habeat (add)", "habeat (update)") else 0.0
        after = [figures.quantile(live, q) - ahead for q in (0.5, 0.99)]
        table.rows.append([
            kind, number(len(live) + row["missed"]), number(row["missed"]),
            *(short(figures.quantile(live, q)) for q in (0.5, 0.99, 1.0)),
            *(short(each) if ahead else "" for each in after),
            short(figures.quantile(row["call_ms"], 0.5)),
        ])  # fmt: skip
    return [table]
