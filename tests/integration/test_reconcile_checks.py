"""Reconciling while another process acts between its read and its write; on a real server."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from habeat.beat.declared.reconcile import LOOK_EVERY_US
from habeat.entries.changes import removal
from habeat.entries.codec import encode
from habeat.ports.entries import Write
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
    """The others may not have declared their names yet."""
    old, new = deploy(1, kept=GOOD, gone=GOOD), deploy(2, kept=GOOD)
    for made in (old, new):
        made.announce()
    old.lead(lead)
    forget(bench, old)
    for _ in range(5):
        new.lead(lead)
    assert stored(bench, "gone").exists
    lead.ahead_us += LOOK_EVERY_US - 2_000_000
    new.lead(lead)
    assert stored(bench, "gone").exists
    lead.ahead_us += 3_000_000
    new.lead(lead)
    assert not stored(bench, "gone").exists


def test_what_cannot_be_read_is_created_again_once_it_was_removed(
    bench, lead, deploy, caplog
) -> None:
    made = deploy(a=GOOD, b=GOOD)
    made.lead(lead)
    bench.admin.hset(bench.keys.entries, "a", b"garbage")
    prune(made, lead)
    assert bench.admin.hget(bench.keys.entries, "a") == b"garbage"
    assert "seeding again" not in caplog.text
    bench.entries.remove([removal(stored(bench, "a"), bench.now_ms)])
    prune(made, lead)
    made.lead(lead)
    assert entry(bench, "a").owner == "config"
    assert caplog.text.count("seeding again") == 1


def test_what_was_taken_over_through_the_api_is_looked_at_once(bench, lead, deploy, caplog) -> None:
    """Redis has one entry of the code less, permanently."""
    made = deploy(a=GOOD, b=GOOD)
    made.lead(lead)
    replaced = replace(entry(bench, "a"), owner="api", fingerprint="")
    write = Write("a", stored(bench, "a").digest, encode(replaced), owned=False)
    assert bench.entries.write([write]) is None
    for _ in range(3):
        prune(made, lead)
    assert entry(bench, "a").owner == "api"
    assert made.reconcile.clashes == {"a"}
    assert caplog.text.count("seeding again") == 1


@pytest.mark.parametrize("in_the_way", ["api", "garbage"])
def test_what_stood_in_its_way_is_gone_and_the_entry_is_made(
    bench, lead, deploy, caplog, in_the_way: str
) -> None:
    """A clash that was renamed away, or bytes without a known owner."""
    if in_the_way == "api":
        bench.place("a")
    else:
        bench.admin.hset(bench.keys.entries, "a", b"garbage")
    made = deploy(a=GOOD, b=GOOD)
    for _ in range(3):
        prune(made, lead)
    assert "seeding again" not in caplog.text
    bench.entries.remove([removal(stored(bench, "a"), bench.now_ms)])
    prune(made, lead)
    made.lead(lead)
    assert entry(bench, "a").owner == "config"
    assert made.reconcile.clashes == set()


def test_pruning_is_no_reason_to_seed_again(bench, lead, deploy, caplog) -> None:
    old, new = deploy(1, kept=GOOD, gone=GOOD), deploy(2, kept=GOOD)
    for made in (old, new):
        made.announce()
        made.lead(lead)
    forget(bench, old)
    for _ in range(3):
        prune(new, lead)
    assert not stored(bench, "gone").exists
    assert "seeding again" not in caplog.text
