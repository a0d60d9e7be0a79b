"""Reconciling where somebody else acts between its look and its write; on a real server."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from typing import Any

import pytest

from habeat.beat.reconcile import PRUNE_EVERY_MS
from habeat.store.entries import Write
from tests.integration.test_reconcile import (
    GOOD,
    app,
    bench,
    deploy,
    entry,
    forget,
    lead,
    prune,
    stored,
)

__all__ = ["app", "bench", "deploy", "lead"]  # fixtures


def test_an_entry_that_the_api_took_over_before_the_pruning_stays(
    bench, lead, deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = deploy(1, kept=GOOD, gone=GOOD), deploy(2, kept=GOOD)
    for made in (old, new):
        made.announce()
        made.lead(lead)
    forget(bench, old)
    whole = bench.entries.orphans

    def overtaken(*given: Any) -> Any:
        found = whole(*given)
        if "gone" in found:
            placed = bench.place("other")
            bench.admin.hset(bench.keys.entries, "gone", placed.stored)
        return found

    monkeypatch.setattr(bench.entries, "orphans", overtaken)
    prune(new, lead)
    assert stored(bench, "gone").exists
    assert entry(bench, "gone").owner == "api"


def test_an_entry_edited_between_look_and_removal_is_looked_at_again(
    bench, lead, deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = deploy(1, kept=GOOD, gone=GOOD), deploy(2, kept=GOOD)
    for made in (old, new):
        made.announce()
        made.lead(lead)
    forget(bench, old)
    whole, edits = bench.entries.remove, []

    def overtaken(*given: Any, **options: Any) -> Any:
        if not edits:
            edits.append(1)
            found = stored(bench, "gone")
            bench.entries.write([Write("gone", found.digest, found_text(bench) + b" ", owned=True)])
        return whole(*given, **options)

    monkeypatch.setattr(bench.entries, "remove", overtaken)
    prune(new, lead)
    assert stored(bench, "gone").exists
    prune(new, lead)
    assert not stored(bench, "gone").exists


def found_text(bench) -> bytes:
    raw: bytes = bench.admin.hget(bench.keys.entries, "gone")
    return raw


def test_pruning_waits_after_a_change_of_leader(bench, lead, deploy) -> None:
    """The others may not have said yet what they declare."""
    old, new = deploy(1, kept=GOOD, gone=GOOD), deploy(2, kept=GOOD)
    for made in (old, new):
        made.announce()
    old.lead(lead)
    forget(bench, old)
    for _ in range(5):
        new.lead(lead)
    assert stored(bench, "gone").exists
    lead.ahead_ms += PRUNE_EVERY_MS - 2_000
    new.lead(lead)
    assert stored(bench, "gone").exists
    lead.ahead_ms += 3_000
    new.lead(lead)
    assert not stored(bench, "gone").exists
