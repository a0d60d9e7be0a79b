"""Deliberate offsets: spread, hashed from the entry, and jitter, hashed from (entry, slot).

Every replica computes the same ones. Together they are always less than the gap to the next
slot, so effective times keep the order of their slots.
"""

from __future__ import annotations

import hashlib


def spread_ms(entry: str, at_most_ms: int) -> int:
    """The entry's own offset, the same for all its slots: 0 to `at_most_ms`."""
    return _hashed(f"spread\0{entry}", at_most_ms)


def jitter_ms(entry: str, slot_ms: int, at_most_ms: int) -> int:
    """The offset of one slot: 0 to `at_most_ms`."""
    return _hashed(f"jitter\0{entry}\0{slot_ms}", at_most_ms)


def offset_ms(
    entry: str, slot_ms: int, most_spread_ms: int, most_jitter_ms: int, room_ms: int
) -> int:
    """Both offsets of one slot, at most `room_ms`, which is what there is before the next slot.

    What is cut is the range to choose from: were it the result, all entries with a spread much
    longer than their period would meet in one instant, just before their next slot.
    """
    always_ms = spread_ms(entry, min(most_spread_ms, room_ms))
    return always_ms + jitter_ms(entry, slot_ms, min(most_jitter_ms, room_ms - always_ms))


def _hashed(subject: str, at_most_ms: int) -> int:
    if at_most_ms <= 0:
        return 0
    digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % (at_most_ms + 1)
