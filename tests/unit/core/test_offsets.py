"""Spread and jitter: between a slot and the next one, and spread over that whole span."""

from __future__ import annotations

from collections import Counter

from habeat.core.entry import Entry
from habeat.schedules import cron, every

T0 = 1_767_225_600_000  # 2026-01-01 00:00 UTC
MINUTE_MS = 60_000


def test_a_spread_longer_than_the_period_does_not_gather_entries_at_its_end() -> None:
    schedule = cron("* * * * *", "UTC")
    entries = [Entry(f"e{n}", "t", schedule, spread_ms=10 * MINUTE_MS) for n in range(600)]
    offsets = [entry.effective_ms(T0) - T0 for entry in entries]
    assert all(0 <= offset < MINUTE_MS for offset in offsets)
    tenths = Counter(offset * 10 // MINUTE_MS for offset in offsets)
    assert len(tenths) == 10
    assert max(tenths.values()) < 120


def test_an_entry_keeps_its_spread_where_there_is_room() -> None:
    entry = Entry("e", "t", every(3600, align="epoch").bound("e", "UTC"), spread_ms=10 * MINUTE_MS)
    slots = [T0 + n * 60 * MINUTE_MS for n in range(50)]
    assert len({entry.effective_ms(slot) - slot for slot in slots}) == 1


def test_both_offsets_together_keep_the_order_of_slots() -> None:
    schedule = every(1)
    entry = Entry("e", "t", schedule, spread_ms=5_000, jitter_ms=5_000)
    slots = [T0 + n * 1_000 for n in range(500)]
    offsets = [entry.effective_ms(slot) - slot for slot in slots]
    assert all(0 <= offset < 1_000 for offset in offsets)
    assert len(set(offsets)) > 50
