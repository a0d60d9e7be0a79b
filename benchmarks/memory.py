"""What an entry and a firing take: bytes in Redis, and resident memory of the leader.

An idle entry. N entries are made through the Client, none due for weeks. ``MEMORY USAGE key
SAMPLES 0`` over all keys is the whole, with names, hash tables and all; the definitions are the
bytes of the stored JSON alone, without any of Redis' overhead. "Beside the definition" is the
whole minus that, by N. `used_memory` before and after is beside it: it also counts Redis' own
tables of keys, and what the allocator rounds up.

Firings. What fires leaves three things behind: a key for each firing (`fired:…`, kept for
`habeat_dedup_ttl`), a record in the ledger (kept for `habeat_ledger_age`, at most
`habeat_ledger_length` of them) and a histogram of lateness for each entry that ever fired. So

    bytes = a * min(rate * dedup_ttl, all) + b * min(rate * ledger_age, ledger_length) + c * entries

with rate in firings a second. a, b and c are taken from one run of one-second entries; the formula
is then held against another run, with another number of entries for another time: "predicted" and
"measured". (a and b grow with the length of the names, which have twelve characters here; c grows
up to its bound with the number of different latenesses that an entry has seen.)

Resident memory (RSS) of the leader, when it has taken in N entries and sleeps: once where the
entries are made through the Client, once where all are declared in `beat_schedule`, beside
RedBeat and celery; and after the firings of the run above. An empty schedule is the first row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

import redis

from benchmarks import figures, plotting
from benchmarks.filling import fill, warm_up
from benchmarks.running import Run, Stage, all_stored, rss_mib, stage, wait_until_quiet
from benchmarks.schedulers import CELERY, HABEAT, REDBEAT, Scheduler, available, entries, far
from benchmarks.tables import Table, number, short

NAME = "memory"
BASE = "{habeat:bench}:"
DEDUP_S, AGE_S, LENGTH = 300, 86_400, 1_000_000
READY_S = 600.0


def measure(run: Run) -> dict[str, Any]:
    """Bytes of idle entries, bytes of firings (two runs), RSS."""
    sizes = run.entries((1_000, 10_000, 100_000), (200,))
    found: dict[str, Any] = {"idle": {}, "rss": {}, "firings": []}
    for count in (0, *sizes):
        found["rss"][str(count)] = of_rss = {}
        told = _of_client(run, count)
        of_rss["habeat (through the Client)"] = told["rss_mib"]
        if count:
            found["idle"][str(count)] = told
        for each in run.wanted(available(run.pick((HABEAT, REDBEAT, CELERY), (HABEAT,)))):
            declared = run.tried(each.name, partial(_declared, run, each, count))
            of_rss[f"{each.name}, declared"] = declared
        run.say(f"memory of {count:,} idle entries: done")
    for count, lasts_s in run.pick(((1_000, 30.0), (300, 100.0)), ((100, 3.0), (30, 5.0))):
        found["firings"].append(_firings(run, count, lasts_s))
        run.say(f"memory of the firings of {count:,} entries: done")
    return found


def _of_client(run: Run, count: int) -> dict[str, Any]:
    server = run.fresh()
    with stage() as here:
        here.write(HABEAT, server)
        warm_up(server)  # scripts and buffers, which are no entry's
        before = used(server.admin)
        fill(server, count)
        filled = used(server.admin) - before
        told = idle_bytes(server.admin) if count else {}
        return {**told, "used_bytes": filled, "rss_mib": _rss(run, here, HABEAT, count)}


def _declared(run: Run, scheduler: Scheduler, count: int) -> float | None:
    run.fresh()
    with stage() as here:
        here.write(scheduler, run.server, entries(count, far(scheduler)))
        return _rss(run, here, scheduler, count)


def _rss(run: Run, here: Stage, scheduler: Scheduler, count: int) -> float | None:
    beat = here.beat(scheduler)
    stored = all_stored(run.server, scheduler, count)
    ready = wait_until_quiet(beat, run.pick(READY_S, 60.0), stored=stored)
    return rss_mib(beat.pid) if ready else None


def used(client: redis.Redis) -> int:
    """What the server says it uses."""
    told: Any = client.info("memory")
    return int(told["used_memory"])


def idle_bytes(client: redis.Redis) -> dict[str, int]:
    """Bytes of all keys of the schedule, and of the definitions alone."""
    keys = list(client.scan_iter(f"{BASE}*", count=1_000))
    values = (value for _, value in client.hscan_iter(f"{BASE}entries", count=1_000))
    return {
        "count": int(client.hlen(f"{BASE}entries")),  # type: ignore[arg-type]
        "all_bytes": sum(usages(client, keys)),
        "definition_bytes": sum(map(len, values)),
    }


def usages(client: redis.Redis, keys: list[bytes]) -> Iterator[int]:
    """MEMORY USAGE of each key, counted out, not estimated from samples."""
    for start in range(0, len(keys), 1_000):
        pipe = client.pipeline(transaction=False)
        for key in keys[start : start + 1_000]:
            pipe.memory_usage(key, samples=0)
        yield from (int(found or 0) for found in pipe.execute())


def _firings(run: Run, count: int, lasts_s: float) -> dict[str, Any]:
    server = run.fresh()
    with stage() as here:
        here.write(HABEAT, server)
        fill(server, count, every=timedelta(seconds=1))
        beat = here.beat(HABEAT)
        wait_until_some(server.admin)
        time.sleep(lasts_s)
        rss = rss_mib(beat.pid)
        beat.kill()
        found, buckets = footprint(server.admin), histogram_fields(server.admin)
    return {
        "entries": count,
        "lasts_s": lasts_s,
        "rss_mib": rss,
        "buckets": buckets,
        **asdict(found),
    }


def wait_until_some(client: redis.Redis, timeout_s: float = 60.0) -> None:
    """Until the first firing."""
    deadline = time.monotonic() + timeout_s
    while not client.hget(f"{BASE}meta", "claimed"):
        if time.monotonic() > deadline:
            raise RuntimeError("nothing fires")
        time.sleep(0.05)


def footprint(client: redis.Redis) -> figures.Footprint:
    """What the firings so far have left behind."""
    fired = list(client.scan_iter(f"{BASE}fired:*", count=1_000))
    histograms = list(client.scan_iter(f"{BASE}lateness:*", count=1_000))
    (ledger,) = usages(client, [f"{BASE}ledger".encode()])
    return figures.Footprint(
        fired_keys=len(fired),
        fired_bytes=sum(usages(client, fired)),
        records=int(client.xlen(f"{BASE}ledger")),  # type: ignore[arg-type]
        ledger_bytes=ledger,
        histograms=len(histograms),
        histogram_bytes=sum(usages(client, histograms)),
    )


def histogram_fields(client: redis.Redis) -> int:
    """How many different latenesses all histograms of entries hold."""
    return sum(int(client.hlen(key)) for key in client.scan_iter(f"{BASE}lateness:*", count=1_000))  # type: ignore[arg-type]


def tables(data: dict[str, Any]) -> list[Table]:
    """Bytes of idle entries, RSS, and the formula beside what was measured."""
    return [_idle(data), _rss_table(data), _formula(data)]


def _idle(data: dict[str, Any]) -> Table:
    columns = ("entries", "all keys", "definitions", "beside the definition", "used_memory")
    table = Table("Redis bytes of an idle entry", columns)
    for size, row in data["idle"].items():
        n = row["count"]
        beside = (row["all_bytes"] - row["definition_bytes"]) / n
        table.rows.append([f"{int(size):,}", number(row["all_bytes"] / n),
                           number(row["definition_bytes"] / n), number(beside),
                           number(row["used_bytes"] / n)])  # fmt: skip
    return table


def _rss_table(data: dict[str, Any]) -> Table:
    sizes = list(data["rss"])
    table = Table("RSS of the leader (MiB)", ("contender", *(f"{int(n):,}" for n in sizes)))
    for name in data["rss"][sizes[0]]:
        table.rows.append([name, *(short(data["rss"][size].get(name)) for size in sizes)])
    fired = [f"after {row['records']:,} firings of {row['entries']:,} entries: "
             f"{row['rss_mib']:.1f} MiB" for row in data["firings"]]  # fmt: skip
    table.notes = [f"habeat (through the Client): {'; '.join(fired)}."]
    return table


def _formula(data: dict[str, Any]) -> Table:
    learned, other = (
        figures.Footprint(**{k: row[k] for k in figures.Footprint.__dataclass_fields__})
        for row in data["firings"]
    )
    each = learned.each()
    columns = ("kind", "how many", "bytes each", "predicted", "measured", "measured ÷ predicted")
    table = Table("Redis bytes that firings add: formula of one run, held against another", columns)
    kinds = (("fired key (a)", other.fired_keys, other.fired_bytes),
             ("ledger record (b)", other.records, other.ledger_bytes),
             ("histogram of an entry (c)", other.histograms, other.histogram_bytes))  # fmt: skip
    for (kind, count, measured), one in zip(kinds, each, strict=True):
        table.rows.append(_line(kind, count, one, one * count, measured))
    total = figures.added_bytes(each, other.fired_keys, other.records, other.histograms)
    table.rows.append(_line("all", None, None, total, other.total))
    buckets = ", ".join(
        f"{row['buckets'] / max(1, row['histograms']):.1f}" for row in data["firings"]
    )
    table.notes.append(f"An entry's histogram held {buckets} different latenesses on average.")
    for rate in (1, 100):
        keys, records = figures.kept(rate, DEDUP_S), figures.kept(rate, AGE_S, LENGTH)
        mib = figures.added_bytes(each, keys, records, rate) / 2**20
        table.notes.append(
            f"By the formula and the default settings, {rate} a second (as many entries of one "
            f"second) take {short(mib)} MiB in the end."
        )
    return table


def _line(
    kind: str, count: int | None, one: float | None, predicted: float, real: float
) -> list[str]:
    share = number(real / predicted, 3) if predicted else number(None)
    return [kind, number(count), number(one), number(predicted), number(real), share]


def plot(data: dict[str, Any]) -> str:
    """RSS over the number of entries."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for size, row in data["rss"].items():
        for name, value in row.items():
            if int(size) and value is not None:
                curves.setdefault(name, []).append((int(size), value))
    return plotting.chart("RSS of the leader", "entries", "MiB", curves, log_x=True)
