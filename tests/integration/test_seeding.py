"""A slice is prepared while the previous one is written: what may happen in between."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from habeat.beat.declared.seeding import COMPARED, SLICE, Seeding, Terms
from habeat.engine.election import LeaseLost
from habeat.ports import StoreUnavailable
from habeat.ports.entries import Position, Write
from tests.integration.test_reconcile import GOOD, Deploy, app, bench, deploy, lead, stored

__all__ = ["app", "bench", "deploy", "lead"]  # fixtures

CHANGED = {**GOOD, "args": (9,)}
NAMES = [f"e{number:04}" for number in range(COMPARED + SLICE)]


@pytest.fixture
def seeding(bench, deploy) -> Seeding:
    made: Deploy = deploy(**dict.fromkeys(NAMES, GOOD))
    begun = Seeding(bench.entries, made.declared)
    begun.begin(Terms(generation=1))
    return begun


def finish(seeding: Seeding, lead: Any) -> int:
    """In how many steps the rest is done."""
    for number in range(1, 50):
        if not seeding.step(lead):
            return number
    raise AssertionError("seeding goes round and round")


def all_stored(bench: Any) -> bool:
    return all(bench.entries.definitions(NAMES))


def test_each_step_writes_one_slice(seeding, bench, lead) -> None:
    for number in range(1, len(NAMES) // SLICE + 1):
        assert seeding.step(lead) is (number < len(NAMES) // SLICE)
        assert bench.admin.hlen(bench.keys.entries) == number * SLICE
    assert seeding.is_done


def test_an_entry_of_a_prepared_slice_is_changed_before_it_is_written(seeding, bench, lead) -> None:
    seeding.step(lead)
    other = bench.place(NAMES[SLICE]).stored  # a client adds it, through the API
    finish(seeding, lead)
    assert all_stored(bench)
    assert bench.entries.definitions([NAMES[SLICE]]) == [other]
    assert seeding.clashes == {NAMES[SLICE]}


@pytest.mark.parametrize("call", ["definitions", "absent"])
def test_redis_fails_while_the_next_page_is_prepared(
    seeding, bench, lead, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    for _ in range(COMPARED // SLICE - 1):
        seeding.step(lead)

    def fails(*_: Any) -> Any:
        raise StoreUnavailable("unreachable", "for this test")

    with monkeypatch.context() as patch:
        patch.setattr(bench.entries, call, fails)
        with pytest.raises(StoreUnavailable):
            seeding.step(lead)
    assert not seeding.is_done
    finish(seeding, lead)
    assert all_stored(bench)


def test_a_page_that_always_fails_fails_with_every_step(
    seeding, bench, lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, each failure would count as the first, and be logged again."""
    whole = bench.entries.definitions

    def fails(names: Any) -> Any:
        if NAMES[COMPARED] in names:
            raise StoreUnavailable("unreachable", "for this test")
        return whole(names)

    monkeypatch.setattr(bench.entries, "definitions", fails)
    for _ in range(COMPARED // SLICE - 1):
        seeding.step(lead)
    result = []
    for _ in range(6):
        try:
            seeding.step(lead)
            result.append("fine")
        except StoreUnavailable:
            result.append("failed")
    # What was under way when it failed first is compared once more.
    assert result == ["failed", "fine", "failed", "failed", "failed", "failed"]


def test_what_is_stored_is_read_and_written_in_one_step(seeding, bench, lead, deploy) -> None:
    """The leader claims slots between the steps, and each claim would spoil what was prepared."""
    finish(seeding, lead)
    slower = {**GOOD, "schedule": 90}
    changed = Seeding(bench.entries, deploy(**dict.fromkeys(NAMES, slower)).declared)
    changed.begin(Terms(generation=2))
    steps = 1
    while changed.step(lead):
        steps += 1
        claim_all(bench)
    assert steps == len(NAMES) // SLICE


def claim_all(bench: Any) -> None:
    """Every cursor moves."""
    writes = [
        Write(
            found.name,
            found.digest,
            owned=True,
            position=Position(
                found.state.cursor_ms + 1, found.state.next_slot_ms, found.state.due_ms
            ),
        )
        for found in bench.entries.pages(NAMES)
    ]
    assert bench.entries.write(writes) is None


def test_redis_fails_while_entries_that_have_changed_are_read(
    seeding, bench, lead, deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(seeding, lead)
    changed = Seeding(bench.entries, deploy(**dict.fromkeys(NAMES, CHANGED)).declared)
    changed.begin(Terms(generation=2))
    whole, calls = bench.entries.read, count()

    def fails_now_and_then(names: Any) -> Any:
        if next(calls) % 3 == 0:
            raise StoreUnavailable("unreachable", "for this test")
        return whole(names)

    monkeypatch.setattr(bench.entries, "read", fails_now_and_then)
    for _ in range(50):
        with suppress(StoreUnavailable):
            if not changed.step(lead):
                break
    assert all(b"[9]" in raw for raw in bench.entries.definitions(NAMES))


def test_the_lease_goes_while_the_next_slice_is_prepared(seeding, bench, lead) -> None:
    seeding.step(lead)
    bench.admin.delete(bench.keys.lease)
    with pytest.raises(LeaseLost):
        seeding.step(lead)
    assert bench.admin.hlen(bench.keys.entries) == SLICE
    assert not seeding.is_done


def test_other_terms_drop_what_was_prepared_under_the_old_ones(seeding, bench, lead) -> None:
    seeding.step(lead)
    seeding.begin(Terms(generation=7))
    finish(seeding, lead)
    assert stored(bench, NAMES[0]).entry.generation == 1
    assert stored(bench, NAMES[-1]).entry.generation == 7
