"""How late 100 and 1,000 entries of one second are over a minute, against a fixed grid.

What is measured. Each scheduler gets N entries with a period of one second. Once every entry
has fired and five more seconds have gone by, the length of its queue is asked for about once a
millisecond for a minute, with the server's clock: so each message is known to have come by then.
The messages themselves are taken out when none has come for 20 ms.

Against the grid: an entry's first arrival in that minute sets its grid, its k-th should come k
seconds later. What a scheduler slips from one firing to the next adds up, as it does for whoever
waits; the first arrival itself is not counted. The column "fired" is how many of N times 60 came.
It is the same for all contenders.

By the slot (habeat only): arrival minus the slot that the message carries; and the ledger's own
`late`, which the claiming script wrote down for itself. What lies between these two is the way
from the script to the eye of the watcher, its poll of a millisecond included. All entries of this
table are due in the same millisecond: an entry's place in that row is part of its lateness by the
slot, each second anew, and no part of what it slips against its grid.

Caveats. Celery's and RedBeat's periods are "the last run plus a second", so they drift by design;
habeat's lie on whole seconds. The watcher uses some per cent of a core. Of 1,000 entries all fall
due at the same instant for habeat, each second anew; those of the others are spread by how long
they took to start.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from functools import partial
from typing import Any

from tests.support.servers.redis_server import Server

from benchmarks import figures, plotting
from benchmarks.running import Run, queue_of, stage
from benchmarks.schedulers import CELERY, HABEAT, REDBEAT, Scheduler, available, entries
from benchmarks.tables import Table, number, short
from benchmarks.watching import RedisQueue, drain, follow

NAME = "grid"
SETTLE_S = 5.0
PERIOD_US = 1_000_000
START_S = 90.0


def measure(run: Run) -> dict[str, Any]:
    """The raw figures, by number of entries and contender."""
    lasts_s = run.pick(60.0, 5.0)
    found: dict[str, Any] = {"lasts_s": lasts_s, "sizes": {}}
    for count in run.entries((100, 1_000), (20,)):
        of_size = found["sizes"][str(count)] = {}
        for each in run.wanted(available(run.pick((HABEAT, REDBEAT, CELERY), (HABEAT, CELERY)))):
            told = run.tried(each.name, partial(_one, run, each, count, lasts_s))
            if told is not None:
                of_size[each.name] = told
                run.say(f"{count:,} one-second entries: {each.name}: {told['fired']:,} firings")
    return found


def _one(run: Run, scheduler: Scheduler, count: int, lasts_s: float) -> dict[str, Any]:
    server = run.fresh()
    with stage() as here, queue_of(server) as queue:
        here.write(scheduler, server, entries(count, "1.0"))
        here.beat(scheduler)
        all_fired = _warm_up(queue, count, run.pick(START_S, 40.0))
        end_us = queue.now_us() + int(run.pick(SETTLE_S, 1.0) * 1e6)
        drain(queue, lambda at, _: at > end_us)
        began_us = queue.now_us()
        end_us = began_us + int(lasts_s * 1e6)
        taken = follow(queue, end_us)
        ledger = _ledger(server, began_us // 1_000) if scheduler.is_habeat else []
    found = _told(taken, count, lasts_s)
    return {**found, "all_fired": all_fired, "ledger_ms": _quantiles(ledger)}


def _warm_up(queue: RedisQueue, count: int, within_s: float) -> bool:
    """Until each entry has fired once; False if that does not happen in time."""
    seen: set[int] = set()
    give_up_us = queue.now_us() + int(within_s * 1e6)
    while len(seen) < count:
        end_us = queue.now_us() + 200_000
        taken = drain(queue, lambda at, _, end=end_us: at > end)  # type: ignore[misc]
        seen |= {_entry(json.loads(message)) for _, message in taken}
        if queue.now_us() > give_up_us:
            return False
    return True


def _told(taken: list[tuple[int, bytes]], count: int, lasts_s: float) -> dict[str, Any]:
    by_entry: dict[int, list[int]] = defaultdict(list)
    by_slot: list[float] = []
    for at_us, raw in taken:
        message = json.loads(raw)
        by_entry[_entry(message)].append(at_us)
        if slot := message["headers"].get("habeat_slot"):
            by_slot.append(at_us / 1e3 - datetime.fromisoformat(slot).timestamp() * 1e3)
    late = [ms for seen in by_entry.values() for ms in figures.against_grid_ms(seen, PERIOD_US)]
    return {
        "fired": len(taken),
        "expected": round(count * lasts_s),
        "grid_ms": _quantiles(late),
        "slot_ms": _quantiles(by_slot),
        "curve": [[q, figures.quantile(late, q)] for q in _FRACTIONS],
    }


_FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)


def _entry(message: dict[str, Any]) -> int:
    """The entry's number, which headers carry as the repr of its arguments: "(17,)"."""
    return int(message["headers"]["argsrepr"].strip("(),[] "))


def _quantiles(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    names = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    return {name: figures.quantile(values, fraction) for name, fraction in names}


def _ledger(server: Server, since_ms: int) -> list[float]:
    """The `late` of each firing since then, as the claiming script has written it down."""
    records: Any = server.admin.xrange("{habeat:bench}:ledger", min=since_ms)
    return [float(told[b"late"]) for _, told in records if told[b"outcome"] in (b"sent", b"late")]


def tables(data: dict[str, Any]) -> list[Table]:
    """One for each number of entries."""
    return [_table(int(size), found, data["lasts_s"]) for size, found in data["sizes"].items()]


def _table(count: int, found: dict[str, Any], lasts_s: float) -> Table:
    title = f"{count:,} entries of one second, over {lasts_s:g} s (milliseconds)"
    columns = ("contender", "fired", "grid p50", "grid p99", "grid max",
               "slot p50", "slot p99", "slot max", "ledger p50", "ledger p99")  # fmt: skip
    table = Table(title, columns)
    for name, row in found.items():
        label = name if row["all_fired"] else f"{name} (not all entries fired at all)"
        cells = [_cell(row["grid_ms"], key) for key in ("p50", "p99", "max")]
        cells += [_cell(row["slot_ms"], key) for key in ("p50", "p99", "max")]
        cells += [_cell(row["ledger_ms"], key) for key in ("p50", "p99")]
        share = number(100 * row["fired"] / row["expected"], 1, " %")
        table.rows.append([label, share, *cells])
    return table


def _cell(found: dict[str, float] | None, key: str) -> str:
    return short(found[key] if found else None)


def plot(data: dict[str, Any]) -> str:
    """Lateness by quantile, at the largest number of entries."""
    count, found = max(data["sizes"].items(), key=lambda each: int(each[0]))
    curves = {
        name: [(100 * q, ms) for q, ms in row["curve"] if ms is not None]
        for name, row in found.items()
    }
    title = f"{int(count):,} entries of one second: lateness against the grid"
    return plotting.chart(title, "per cent of firings", "ms", curves, log_y=True)
