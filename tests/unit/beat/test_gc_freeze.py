"""What is there to stay is made without the collector, and not looked through afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from habeat.beat.gc_freeze import gc_frozen


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    was_on = gc.isenabled()
    yield
    gc.unfreeze()
    (gc.enable if was_on else gc.disable)()


def test_it_pauses_and_continues_and_leaves_alone_what_was_made() -> None:
    gc.enable()
    with gc_frozen():
        assert not gc.isenabled()
        made = [{"entry": number} for number in range(10)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)


@pytest.mark.parametrize("on", [True, False])
def test_where_it_was_off_it_stays_off(on: bool) -> None:
    (gc.enable if on else gc.disable)()
    with pytest.raises(KeyError), gc_frozen():
        raise KeyError
    assert gc.isenabled() is on
