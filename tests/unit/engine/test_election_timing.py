"""When the election's windows begin and end, at the millisecond."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.lease import margin_ms
from habeat.engine.election import Election, LeaseLost
from habeat.ports import Known, Refused, Won
from tests.unit.engine.test_election import TTL_MS, Field


def slow_acquire(field: Field, ms: int) -> None:
    whole = field.store.acquire

    def acquire(nonce: str, ttl_ms: int, known: Known, *_: object) -> Won | Refused:
        reply = whole(nonce, ttl_ms, known)
        field.clock.advance(ms)
        return reply

    field.store.acquire = acquire  # type: ignore[method-assign]


def test_the_first_window_is_anchored_before_the_request_that_won_it() -> None:
    field = Field()
    slow_acquire(field, 3_000)
    one, started_ms = field.replica("a"), field.clock.us // 1_000
    assert one.step()
    assert one.trust is not None
    assert one.trust.until_ms == started_ms + TTL_MS - margin_ms(TTL_MS)


def test_who_waited_longer_for_the_lease_than_it_lasts_does_not_lead_by_it() -> None:
    field = Field()
    slow_acquire(field, TTL_MS)
    one = field.replica("a")
    one.step()
    assert not one.leading


def test_the_window_ends_at_the_millisecond() -> None:
    field = Field()
    one = field.replica("a")
    assert one.step()
    field.clock.advance(TTL_MS - margin_ms(TTL_MS) - 1)
    assert one.leading
    field.clock.advance(1)
    assert not one.leading
    with pytest.raises(LeaseLost):
        one.fenced(lambda fence: pytest.fail("it was sent"))


def test_a_fork_that_forgot_does_not_release_its_parents_lease() -> None:
    field = Field()
    parent = field.replica("a")
    assert parent.step()
    child: Election = field.replica("a")
    child.trust = parent.trust
    child.forget()
    child.resign()
    assert parent.leading
    assert field.store.lease == str(parent.trust.token if parent.trust else "")


def test_a_leader_does_not_look_at_the_lease_again() -> None:
    field = Field()
    one = field.replica("a")
    for _ in range(5):
        assert one.step()
    assert field.store.count("observe") == field.store.count("acquire") == 1


def test_a_standby_looks_when_it_is_time_and_not_at_each_step() -> None:
    field = Field()
    assert field.replica("a").step()
    other = field.replica("b")
    other.step()
    looks = field.store.count("observe")
    for _ in range(5):
        other.step()
    assert field.store.count("observe") == looks
    other.look_now()
    other.step()
    assert field.store.count("observe") == looks + 1
    assert other.looks == 2


def test_who_stalled_past_its_window_and_was_succeeded_does_not_say_it_leads() -> None:
    field = Field()
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    field.clock.advance(TTL_MS)
    assert other.step()
    assert not one.step()
    assert one.trust is None
    assert one.holder == field.store.lease


def test_the_second_look_is_soon_and_not_at_once() -> None:
    field = Field()
    assert field.replica("a").step()
    other = field.replica("b")
    other.step()
    field.store.listeners = 0
    field.clock.advance(other.wait_ms())
    other.step()
    assert 50 <= other.wait_ms() < 100


def test_a_leader_remembers_its_heartbeat_for_the_case_that_redis_does_not() -> None:
    field = Field()
    one = field.replica("a")
    assert one.step()
    field.store.heartbeat = 77
    one.fenced(lambda fence: field.store.tick(fence, 1))
    assert one.known.heartbeat == 78


def test_who_resigns_or_forgets_looks_again_at_its_next_step() -> None:
    field = Field()
    one = field.replica("a")
    for give_up in (one.resign, one.forget):
        field.run(one, 2 * TTL_MS)
        assert one.leading
        give_up()
        assert one.wait_ms() == 0


def test_an_older_timeline_in_place_of_ours_is_not_taken_for_it() -> None:
    """A snapshot may bring back the cluster that was there before Redis was emptied."""
    field = Field()
    leader, other = field.replica("a"), field.replica("b")
    assert leader.step()
    other.step()
    mine = other.known
    look = field.store._observe()
    older = replace(look, known=Known("older cluster", mine.epoch - 1, 10**6))
    field.store.observe = lambda: older  # type: ignore[method-assign]
    other.look_now()
    other.step()
    assert other.known == mine
    newer = replace(look, known=Known("newer cluster", mine.epoch + 1, 3))
    field.store.observe = lambda: newer  # type: ignore[method-assign]
    other.look_now()
    other.step()
    assert other.known == newer.known
