"""Thousands of entries in one call of the Client: how long it holds up the server.

What is measured. On an empty server, scripts loaded: ``client.add_many`` of N new entries. "call"
is all of it, checking and reading included. "held up" is the longest command of the call by the
server's own account (SLOWLOG), and nobody else is answered meanwhile: it is the script that writes
one batch. Of several calls, each on an emptied server, the median and the longest.

Caveats. Entries have a definition of some 200 bytes and do not replace others. A leader is one of
those who wait meanwhile.
"""

from __future__ import annotations

from typing import Any

from benchmarks import figures
from benchmarks.filling import AT_ONCE, fill, warm_up
from benchmarks.running import Run, wall_s
from benchmarks.tables import Table, number, short

NAME = "bulk"
SLOW_US = 500
#: More than the slow commands of one call: one for each batch, and one for each page that is read.
LOOKED_AT = 1_000


def measure(run: Run) -> dict[str, Any]:
    """Milliseconds of each call, by number of entries."""
    found: dict[str, Any] = {"sizes": {}}
    for count in (n for n in run.entries((1_000, 5_000, AT_ONCE), (200,)) if n <= AT_ONCE):
        calls = [_one(run, count) for _ in range(run.times(9, 2))]
        found["sizes"][str(count)] = {
            "call_ms": [each[0] for each in calls],
            "held_up_ms": [each[1] for each in calls],
        }
        run.say(f"{count:,} entries in one call: {len(calls)} calls")
    return found


def _one(run: Run, count: int) -> tuple[float, float]:
    server = run.fresh()
    warm_up(server)
    usual = server.admin.config_get("slowlog-log-slower-than")
    server.admin.config_set("slowlog-log-slower-than", SLOW_US)
    server.admin.config_set("slowlog-max-len", LOOKED_AT)
    server.admin.slowlog_reset()
    began_s = wall_s()
    fill(server, count)
    call_ms = (wall_s() - began_s) * 1e3
    slow: Any = server.admin.slowlog_get(LOOKED_AT)
    server.admin.config_set("slowlog-log-slower-than", *usual.values())
    return call_ms, max((each["duration"] for each in slow), default=0) / 1e3


def tables(data: dict[str, Any]) -> list[Table]:
    """One table: a row for each number of entries."""
    columns = ("entries", "calls", "call p50", "call max", "held up p50", "held up max")
    table = Table("New entries in one call of add_many (milliseconds)", columns)
    for size, row in data["sizes"].items():
        cells = [
            short(figures.quantile(row[key], q))
            for key in ("call_ms", "held_up_ms")
            for q in (0.5, 1)
        ]
        table.rows.append([number(int(size)), number(len(row["call_ms"])), *cells])
    return [table]
