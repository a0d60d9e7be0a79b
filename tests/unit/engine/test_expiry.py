"""A firing that has expired is not sent; it is in the ledger as skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from habeat.core.entry import Entry
from habeat.core.expiry import has_expired
from habeat.core.firing import Firing
from habeat.ports import PublishRefused
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


def skipped(world: World, name: str) -> bool:
    return [what for _, what in world.store.outcomes(name)] == ["skipped"]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_message_that_expires_while_it_is_built_is_not_sent(atomic: bool) -> None:
    world = World(atomic=atomic)
    world.publisher.render_takes_ms = 300
    world.add("a", every_ms=3_600_000, options={"expires": 0.2})
    world.run(3_000)
    assert world.publisher.rendered == ["a"]
    assert (world.publisher.sent, world.store.inflight) == ([], {})
    assert skipped(world, "a")


def test_a_claimed_message_that_expires_behind_others_is_not_sent() -> None:
    world = World()
    world.publisher.takes_ms = 400
    for name in "abcd":
        world.add(name, every_ms=3_600_000, deadline_ms=1_000)
    world.run(5_000)
    assert world.publisher.names == ["a", "b", "c"]
    assert skipped(world, "d")
    assert skipped(world, "c")  # the broker has answered after its expiry
    assert world.store.inflight == {}


def test_a_packet_is_sent_without_what_has_expired() -> None:
    world = World()
    world.publisher.render_takes_ms = 30
    for number in range(40):
        world.add(f"a{number}", every_ms=3_600_000, deadline_ms=1_000 if number % 2 else None)
    world.run(20_000)
    sent = {name for name in world.publisher.names if world.store.outcomes(name)[-1][1] == "sent"}
    over = {f"a{number}" for number in range(40) if skipped(world, f"a{number}")}
    assert sent | over == {f"a{number}" for number in range(40)}
    assert over
    assert not over & sent
    assert {f"a{number}" for number in range(0, 40, 2)} <= sent


def test_a_refused_message_is_not_sent_again_after_its_expiry() -> None:
    world = World()
    world.publisher.fails["a"] = [PublishRefused("no")]
    world.add("a", every_ms=3_600_000, deadline_ms=500)
    world.run(10_000)
    assert (world.publisher.sent, world.store.inflight) == ([], {})
    assert skipped(world, "a")


def test_what_the_broker_accepts_after_its_expiry_is_skipped() -> None:
    world = World()
    world.publisher.confirms_later, world.publisher.confirm_takes_ms = True, 900
    world.add("a", every_ms=3_600_000, deadline_ms=500)
    world.run(3_000)
    assert world.publisher.confirmed == ["a"]
    assert skipped(world, "a")


def test_a_message_that_only_this_process_can_send_expires_too() -> None:
    world = World()
    world.publisher.takes_ms = 700
    world.publisher.unrepeatable = {"b"}
    world.add("a", every_ms=3_600_000)
    world.add("b", every_ms=3_600_000, deadline_ms=500)
    world.run(3_000)
    assert world.publisher.names == ["a"]
    assert skipped(world, "b")


def test_the_last_run_of_an_entry_is_not_used_up_by_what_expired() -> None:
    world = World(atomic=True)
    world.publisher.render_takes_ms = 300
    world.add("a", every_ms=2_000, max_runs=1, options={"expires": 0.2})
    world.run(1_000)
    assert skipped(world, "a")
    world.publisher.render_takes_ms = 0
    world.run(5_000)
    assert [what for _, what in world.store.outcomes("a")] == ["skipped", "sent"]
