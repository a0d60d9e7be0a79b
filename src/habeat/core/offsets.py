"""Deliberate offsets: spread, hashed from the entry, and jitter, hashed from (entry, slot).

Every replica computes the same offsets. Together they are always less than the time to the next
slot, so effective times keep the order of the slots.
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
    """Both offsets of one slot, together at most `room_ms`, the time before the next slot.

    It limits the range to choose from and not the result. Otherwise all entries whose spread is
    much longer than their period would fire at the same instant, just before their next slot.
    """
    # Spread first; jitter then chooses from the room that is left.
    always_ms = spread_ms(entry, min(most_spread_ms, room_ms))
    return always_ms + jitter_ms(entry, slot_ms, min(most_jitter_ms, room_ms - always_ms))


def _hashed(subject: str, at_most_ms: int) -> int:
    if at_most_ms <= 0:
        return 0
    digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % (at_most_ms + 1)
