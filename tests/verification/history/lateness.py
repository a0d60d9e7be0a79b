"""How late firings were, by what was being done to the system meanwhile.

The lateness of a firing is the moment its first message was in the broker, less its effective
time, both by the clock of Redis. It is counted under every kind of fault that was active between
the two, or under None if there was none: so the row None is what an undisturbed firing takes.
A fault counts as active for a while after its end (one TTL and a second: a lease has to run out,
a successor to be found), or what a SIGKILL delays would be called undisturbed.

Histograms add up, so that a million runs can be one table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.verification.history.events import Fault, Kind

EXACT_BELOW_MS = 1_000


def _bucket(late_ms: int) -> int:
    """Exact below a second; above that, at most 1 % too low."""
    if late_ms < EXACT_BELOW_MS:
        return max(0, late_ms)
    width: int = 10 ** (len(str(late_ms)) - 3)
    return late_ms - late_ms % width


@dataclass
class Lateness:
    """Counted firings by kind of fault; None for those without."""

    counts: dict[Kind | None, Counter[int]] = field(default_factory=dict)

    def add(self, late_ms: int, kinds: Iterable[Kind | None]) -> None:
        """One firing, under each of the kinds."""
        bucket = _bucket(late_ms)
        for kind in kinds:
            found = self.counts.get(kind)
            if found is None:
                found = self.counts[kind] = Counter()
            found[bucket] += 1

    def __iadd__(self, other: Lateness) -> Lateness:
        for kind, counted in other.counts.items():
            self.counts.setdefault(kind, Counter()).update(counted)
        return self

    def count(self, kind: Kind | None) -> int:
        """How many firings were counted under this kind."""
        return sum(self.counts.get(kind, Counter()).values())

    def quantile_ms(self, kind: Kind | None, fraction: float) -> int:
        """The least value at or below which this fraction lies; 0 if nothing was counted."""
        counted = self.counts.get(kind, Counter())
        wanted, reached = fraction * sum(counted.values()), 0
        for bucket in sorted(counted):
            reached += counted[bucket]
            if reached >= wanted:
                return bucket
        return 0

    def table(self) -> dict[Kind | None, dict[str, int]]:
        """Per kind: count, p50, p99 and max, in milliseconds."""
        return {
            kind: {
                "count": sum(counted.values()),
                "p50": self.quantile_ms(kind, 0.5),
                "p99": self.quantile_ms(kind, 0.99),
                "max": max(counted),
            }
            for kind, counted in self.counts.items()
        }

    def __str__(self) -> str:
        rows = sorted(self.table().items(), key=lambda row: row[0].value if row[0] else 0)
        return "\n".join(
            f"{kind.name if kind else 'no fault':14} {fields['count']:>9} firings  "
            f"p50 {fields['p50']:>6} ms  p99 {fields['p99']:>6} ms  max {fields['max']:>6} ms"
            for kind, fields in rows
        )


def active(faults: Iterable[Fault], from_us: int, to_us: int, lingers_us: int) -> set[Kind | None]:
    """The kinds of fault that may have delayed what was due then and came then."""
    return {
        fault.kind
        for fault in faults
        if fault.start_us <= to_us and fault.end_us + lingers_us >= from_us
    } or {None}
