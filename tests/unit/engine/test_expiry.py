"""A firing whose time is over is not sent; it is in the ledger as skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from habeat.core.catchup import has_expired
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.schedules import Interval
from tests.unit.engine.world import World

EFFECTIVE_MS = 1_750_000_000_000
AFTER = datetime.fromtimestamp(EFFECTIVE_MS / 1_000 + 30, UTC)


def expired(after_ms: int, **given: Any) -> bool:
    entry = Entry("a", "task", Interval(1_000, 0), **given)
    firing = Firing("a", EFFECTIVE_MS - 500, EFFECTIVE_MS)
    return has_expired(entry, firing, EFFECTIVE_MS + after_ms)


@pytest.mark.parametrize(
    "given",
    [
        {"deadline_ms": 30_000},
        {"options": {"expires": 30}},
        {"options": {"expires": 30.0}},
        {"options": {"expires": timedelta(seconds=30)}},
        {"options": {"expires": AFTER}},
        {"deadline_ms": 30_000, "options": {"expires": 60}},
        {"deadline_ms": 60_000, "options": {"expires": 30}},
    ],
    ids=str,
)
def test_it_is_over_from_its_last_instant_on_counted_from_the_effective_time(
    given: dict[str, Any],
) -> None:
    assert not expired(29_999, **given)
    assert expired(30_000, **given)


@pytest.mark.parametrize("never", [None, True, False, datetime(2020, 1, 1), "soon"])
def test_what_says_no_time_never_ends(never: object) -> None:
    assert not expired(10**12, options={"expires": never})


@pytest.mark.parametrize("atomic", [True, False])
def test_expired_slots_are_skipped_with_a_record_and_later_ones_fire(atomic: bool) -> None:
    world = World(atomic=atomic)
    world.add("a", ago_ms=20_000, every_ms=10_000, deadline_ms=5_000)
    world.run(1_000)
    assert [what for _, what in world.store.outcomes("a")] == ["skipped", "skipped", "sent"]
    assert {reason for _, _, what, reason, _ in world.store.ledger if what == "skipped"} == {
        "expired"
    }
    sent = world.publisher.rendered if atomic else world.publisher.names
    assert sent == ["a"]


def test_an_entry_all_of_whose_slots_have_expired_continues() -> None:
    world = World()
    world.add("a", ago_ms=25_000, every_ms=10_000, deadline_ms=1_000)
    world.run(6_000)
    outcomes = world.store.outcomes("a")
    assert [what for _, what in outcomes] == ["skipped", "skipped", "skipped", "sent"]
    assert outcomes[-1][0] - outcomes[0][0] == 30_000
