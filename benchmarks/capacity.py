"""How large a Redis and how much CPU: by entries and rate, computed from what two tables measured.

Nothing is measured here. Redis bytes follow the formula of the module `memory`, whose predictions
it holds against a second run. CPU is that of the module `steady`, for the same rates.
"""

from __future__ import annotations

from typing import Any

from benchmarks import figures
from benchmarks.memory import AGE_S, DEDUP_S, LENGTH
from benchmarks.steady import percent
from benchmarks.tables import Table, number, short

NAME = "capacity"
#: The tables whose newest results this one is computed from.
SOURCES = ("memory", "steady")
ENTRIES = (1_000, 10_000, 100_000)
PER_S = ("1", "10", "100", "1000")
MIB = 2**20


def tables(data: dict[str, Any]) -> list[Table]:
    """One row for each number of entries and rate; `data` has the data of each source."""
    columns = ("entries", "firings/s", "Redis MiB", "of it ledger", "ledger covers, h",
               "leader CPU %", "Redis CPU %")  # fmt: skip
    table = Table("What a schedule takes, with default settings", columns)
    cost = _costs(data)
    rates = data["steady"]["rates"]
    table.rows = [_row(n, rate, rates[rate], cost) for n in ENTRIES for rate in PER_S]
    table.notes = [
        "CPU is in per cent of one core. At more than 60 % of either, give part of the schedule "
        "a beat and a key prefix of its own."
    ]
    return [table]


def _costs(data: dict[str, Any]) -> dict[str, Any]:
    learned = data["memory"]["firings"][0]
    names = figures.Footprint.__dataclass_fields__
    idle = max(data["memory"]["idle"].values(), key=lambda row: row["count"])
    return {
        "entry": idle["all_bytes"] / idle["count"],
        "each": figures.Footprint(**{name: learned[name] for name in names}).each(),
    }


def _row(entries: int, rate: str, cpu: dict[str, float], cost: dict[str, Any]) -> list[str]:
    per_s = float(rate)
    keys, records = figures.kept(per_s, DEDUP_S), figures.kept(per_s, AGE_S, LENGTH)
    fired = min(entries, per_s * AGE_S)
    stored = entries * cost["entry"] + figures.added_bytes(cost["each"], keys, records, fired)
    ledger = records * cost["each"][1]
    return [
        f"{entries:,}",
        f"{int(per_s):,}",
        short(stored / MIB),
        short(ledger / MIB),
        short(records / per_s / 3600),
        *(number(percent(cpu, who), 1) for who in ("leader", "server")),
    ]
