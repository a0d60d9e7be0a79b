"""A mergeable histogram of lateness, in milliseconds.

Buckets are exact up to 256 ms; above, each power of two is cut into 128 parts, so a bucket's
value is at most 0.8 % below what was recorded. Histograms add up bucket by bucket, whichever
replica counted. `bucket_of` is also written in Lua, in ``store/scripts/common.lua``: a
conformance test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EXACT_BELOW_MS = 256
PARTS = 128


def bucket_of(lateness_ms: int) -> int:
    """The lower bound of the bucket that counts `lateness_ms`; negative counts as 0."""
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
        """The smallest bucket at or below which `fraction` of the firings lie; 0 if none."""
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
