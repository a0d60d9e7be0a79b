"""A mergeable histogram of lateness, in milliseconds.

Buckets are exact up to 256 ms; above that, each power of two is split into 128 parts, so a
bucket's value is at most 0.8 % below the recorded one. Histograms from different replicas add up
bucket by bucket. `bucket_of` also exists in Lua, in ``store/scripts/common.lua``; a conformance
test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EXACT_BELOW_MS = 256
PARTS = 128


def bucket_of(lateness_ms: int) -> int:
    """The lower bound of the bucket for `lateness_ms`; a negative value counts as 0."""
    if lateness_ms < EXACT_BELOW_MS:
        return max(0, lateness_ms)
    width = 1 << (lateness_ms.bit_length() - PARTS.bit_length())
    return lateness_ms - lateness_ms % width


@dataclass(frozen=True, slots=True)
class Lateness:
    """The distribution of one entry's lateness, or of all entries'."""

    counts: Mapping[int, int]
    max_ms: int

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def quantile_ms(self, fraction: float) -> int:
        """The smallest bucket such that `fraction` of the firings are in or below it; 0 if none."""
        wanted = fraction * self.count
        reached = 0
        for bucket in sorted(self.counts):
            reached += self.counts[bucket]
            if reached >= wanted:
                return bucket
        return 0

    def __add__(self, other: Lateness) -> Lateness:
        total = dict(self.counts)
        for bucket, count in other.counts.items():
            total[bucket] = total.get(bucket, 0) + count
        return Lateness(total, max(self.max_ms, other.max_ms))
