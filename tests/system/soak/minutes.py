"""What is seen at each scrape, a minute of it in a row of the table, and what grows with time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: This much more in the last third than in the first counts as growth; less is noise.
GROWTH_ALLOWED = 1.25
#: What a process and a server may take on before it counts at all.
GROWTH_FLOOR = {"rss": 16 << 20, "redis": 32 << 20}


@dataclass(frozen=True, slots=True)
class Scrape:
    """One look, read from Redis in one script. `rss` is that of the largest beat, in bytes."""

    at_s: float
    claimed: int
    settled: int
    abandoned: int
    in_flight: int
    entries: int
    due: int
    overdue: int
    leader: str
    redis: int
    queue: int
    rss: int = 0

    @property
    def difference(self) -> int:
        """I7: claimed = settled + abandoned + in flight."""
        return self.claimed - self.settled - self.abandoned - self.in_flight


@dataclass
class Minute:
    """A minute in figures."""

    number: int
    scrapes: list[Scrape] = field(default_factory=list)
    late_ms: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unseen: int = 0

    def row(self) -> dict[str, Any]:
        """The figures of its row in the table."""
        seen = self.scrapes
        return {
            "minute": self.number,
            "fired": len(self.late_ms),
            "p50_ms": percentile(self.late_ms, 50),
            "p99_ms": percentile(self.late_ms, 99),
            "max_ms": max(self.late_ms, default=0),
            "overdue": max((scrape.overdue for scrape in seen), default=0),
            "in_flight": max((scrape.in_flight for scrape in seen), default=0),
            "leaders, one after another": len({scrape.leader for scrape in seen if scrape.leader}),
            "rss_mb": round(max((scrape.rss for scrape in seen), default=0) / 2**20, 1),
            "redis_mb": round(max((scrape.redis for scrape in seen), default=0) / 2**20, 1),
            "scrapes": len(seen),
            "unseen": self.unseen,
            "faults": "; ".join(self.faults),
        }


@dataclass(frozen=True, slots=True)
class Growth:
    """The median of the first third against that of the last."""

    what: str
    first: float
    last: float

    @property
    def grows(self) -> bool:
        allowed = max(self.first * GROWTH_ALLOWED, self.first + GROWTH_FLOOR[self.what])
        return self.last > allowed


def growth(scrapes: Sequence[Scrape]) -> list[Growth]:
    """Of the beats' memory and of Redis'. A beat that has just started is small and says little:
    what counts is the largest."""
    third = len(scrapes) // 3
    if not third:
        return []
    found = []
    for what in ("rss", "redis"):
        figures = [getattr(scrape, what) for scrape in scrapes]
        found.append(Growth(what, _median(figures[:third]), _median(figures[-third:])))
    return found


def percentile(values: Sequence[int], percent: int) -> int:
    """The value that this many per cent do not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else 0


def _median(values: Sequence[int]) -> float:
    ordered = sorted(value for value in values if value)
    return float(ordered[len(ordered) // 2]) if ordered else 0.0
