"""The arithmetic of the measurements: pure functions, held by tests of their own.

A firing that never came counts as infinitely late, so that a scheduler which did not finish in
the time given to it does not look better for it; in JSON infinity is written as null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

Sample = tuple[int, int]

#: The share of a core that a leader, and a Redis, may be busy with before there should be two.
BUSY = 0.6


def quantile(values: Iterable[float], fraction: float) -> float:
    """The smallest value at or below which `fraction` of them lie (nearest rank); nan of none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def lateness_ms(samples: Sequence[Sample], due_us: int, count: int) -> list[float]:
    """How late each of `count` messages was, by the first sample that has seen so many.

    `samples` are (server's clock in us, length of the queue), in order. What never came is
    infinitely late.
    """
    found: list[float] = []
    for at_us, length in samples:
        while len(found) < min(length, count):
            found.append((at_us - due_us) / 1_000)
    return found + [math.inf] * (count - len(found))


def first_to_last_ms(samples: Sequence[Sample], count: int) -> float:
    """From the sample that saw the first message to that which saw the last one."""
    first = next((at for at, length in samples if length > 0), None)
    last = next((at for at, length in samples if length >= count), None)
    return math.inf if first is None or last is None else (last - first) / 1_000


def rate_per_s(samples: Sequence[Sample], due_us: int, count: int) -> float:
    """Messages a second from the instant at which they were due to the last one seen."""
    arrived = min(count, max((length for _, length in samples), default=0))
    last = next((at for at, length in samples if length >= arrived), due_us)
    return arrived / ((last - due_us) / 1e6) if arrived and last > due_us else 0.0


def thinned(samples: Sequence[Sample], most: int = 400) -> list[Sample]:
    """At most so many of the samples, evenly taken, the last one always among them."""
    if len(samples) <= most:
        return list(samples)
    step = len(samples) / (most - 1)
    return [samples[int(i * step)] for i in range(most - 1)] + [samples[-1]]


def against_grid_ms(arrivals_us: Sequence[int], period_us: int) -> list[float]:
    """Lateness of an entry's firings after the first, against the grid that the first began.

    The k-th arrival belongs at first + k periods. So what slips from firing to firing adds up,
    as it does for whoever waits for the task; an arrival that comes early counts as negative.
    """
    return [
        (at - arrivals_us[0] - k * period_us) / 1_000 for k, at in enumerate(arrivals_us) if k > 0
    ]


@dataclass(frozen=True)
class Footprint:
    """Redis bytes that firings leave behind, each kind with how many there are."""

    fired_keys: int
    fired_bytes: int
    records: int
    ledger_bytes: int
    histograms: int
    histogram_bytes: int

    def each(self) -> tuple[float, float, float]:
        """Bytes of one fired key, one ledger record and one entry's histogram."""
        return (
            self.fired_bytes / max(1, self.fired_keys),
            self.ledger_bytes / max(1, self.records),
            self.histogram_bytes / max(1, self.histograms),
        )

    @property
    def total(self) -> int:
        return self.fired_bytes + self.ledger_bytes + self.histogram_bytes


def added_bytes(
    each: Sequence[float], fired_keys: float, records: float, histograms: float
) -> float:
    """The formula: so much do firings add, by the bytes that one of each kind takes."""
    return each[0] * fired_keys + each[1] * records + each[2] * histograms


def kept(rate_per_s: float, span_s: float, most: float = math.inf) -> float:
    """How many there are at most of what comes at this rate and is kept for so long."""
    return min(rate_per_s * span_s, most)


@dataclass(frozen=True)
class Capacity:
    """What one leader and one Redis carry, from what a firing and an entry cost."""

    leader_per_s: float
    redis_per_s: float
    entries_per_gib: float

    @property
    def second_shard_from_per_s(self) -> float:
        """Firings a second, all day long, from which a second shard is worth its trouble."""
        return BUSY * min(self.leader_per_s, self.redis_per_s)


def capacity(leader_us: float, redis_us: float, bytes_per_entry: float) -> Capacity:
    """CPU microseconds that a firing costs the leader and the server; bytes of an idle entry."""
    return Capacity(
        1e6 / leader_us if leader_us > 0 else math.inf,
        1e6 / redis_us if redis_us > 0 else math.inf,
        2**30 / bytes_per_entry if bytes_per_entry > 0 else math.inf,
    )


def growth(points: Sequence[tuple[float, float]]) -> float:
    """The exponent b of cost ~ n**b between the first and the last point (0 flat, 1 linear)."""
    usable = [(n, cost) for n, cost in points if n > 0 and cost > 0]
    if len(usable) < 2 or usable[0][0] == usable[-1][0]:
        return math.nan
    (n0, c0), (n1, c1) = usable[0], usable[-1]
    return math.log(c1 / c0) / math.log(n1 / n0)


def middle(runs: Sequence[float]) -> int:
    """The place of the run whose figure is the median (the lower one of two)."""
    ordered = sorted(range(len(runs)), key=lambda i: runs[i])
    return ordered[(len(ordered) - 1) // 2]


def typical(values: Sequence[float]) -> float:
    """The median; nan of none."""
    return median(values) if values else math.nan
