"""Task ids."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from habeat.core.firing import Firing

names = st.text(min_size=1, max_size=20)


@given(names, st.integers(0, 10**13), st.integers(0, 10**6), st.sampled_from(["", "latest"]))
def test_the_id_depends_on_cluster_entry_and_slot_alone(
    name: str, slot: int, late: int, how: str
) -> None:
    plain, other = Firing(name, slot, slot), Firing(name, slot, slot + late, how)
    assert plain.task_id("c") == other.task_id("c")
    assert uuid.UUID(plain.task_id("c")).version == 5


@given(st.sets(st.tuples(st.sampled_from(["a", "b", "a/1", "é"]), st.integers(0, 99)), min_size=2))
def test_different_firings_have_different_ids(firings: set[tuple[str, int]]) -> None:
    ids = {Firing(name, slot, slot).task_id("c") for name, slot in firings}
    assert len(ids) == len(firings)
    assert ids.isdisjoint(Firing(name, slot, slot).task_id("d") for name, slot in firings)
