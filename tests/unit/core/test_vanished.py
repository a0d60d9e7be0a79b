"""A lease that is gone before its time: its holder may still trust it (see core/lease.py)."""

from __future__ import annotations

from habeat.core.lease import NOT_SEEN, Action, Observation, Watch
from tests.unit.core.test_lease import TOKEN, TTL_MS, seen

PTTL_MS = 5_000


def gone(at_ms: int, heartbeat: int = 10) -> Observation:
    return seen(at_ms, holder=None, pttl_ms=-2, heartbeat=heartbeat, listeners=None)


def watched(*looks: Observation) -> Watch:
    watch = Watch()
    for look in looks:
        watch, _ = watch.after(look, ttl_ms=TTL_MS)
    return watch


def test_a_lease_that_has_run_out_has_not_vanished() -> None:
    watch, action = watched(seen(0)).after(gone(PTTL_MS), ttl_ms=TTL_MS)
    assert action is Action.ACQUIRE
    assert watch == Watch(heartbeat=10)


def test_a_lease_that_is_gone_before_its_time_is_trusted_for_a_ttl_from_then() -> None:
    watch, action = watched(seen(0)).after(gone(PTTL_MS - 1), ttl_ms=TTL_MS)
    assert action is Action.ACQUIRE
    assert (watch.vanished, watch.trusted_until_ms) == (str(TOKEN), PTTL_MS - 1 + TTL_MS)


def test_a_holder_that_has_moved_since_the_last_look_had_renewed() -> None:
    watch = watched(seen(0), gone(PTTL_MS, heartbeat=11))
    assert watch.vanished == str(TOKEN)


def test_an_end_that_moves_nearer_is_not_the_holders() -> None:
    """An extension was lost in a failover, or the clock of Redis has stepped forward."""
    shortened = watched(seen(0), seen(500, pttl_ms=1_000))
    assert shortened.after(gone(1_500), ttl_ms=TTL_MS)[0].vanished == str(TOKEN)
    assert shortened.after(gone(PTTL_MS), ttl_ms=TTL_MS)[0].vanished == ""


def test_two_looks_at_the_same_end_need_not_agree_to_the_millisecond() -> None:
    watch = watched(seen(0), seen(500, pttl_ms=PTTL_MS - 500 - 60))
    assert watch.after(gone(PTTL_MS - 60), ttl_ms=TTL_MS)[0].vanished == ""


def test_the_end_of_another_holders_lease_says_nothing_of_this_ones() -> None:
    watch = watched(seen(0), seen(500, holder="99:next", pttl_ms=1_000))
    assert watch.after(gone(1_500), ttl_ms=TTL_MS)[0].vanished == ""


def test_the_longer_of_two_ttls_counts() -> None:
    watch = watched(seen(0), seen(10, holder=None, holder_ttl_ms=2 * TTL_MS))
    assert watch.trusted_until_ms == 10 + 2 * TTL_MS


def test_it_is_remembered_until_somebody_holds_the_lease_again() -> None:
    watch = watched(seen(0), gone(100), gone(300))
    assert (watch.vanished, watch.trusted_until_ms) == (str(TOKEN), 100 + TTL_MS)
    assert watched(seen(0), gone(100), seen(300, holder="99:next")).vanished == ""


def test_who_looks_for_the_first_time_cannot_tell() -> None:
    watch = watched(gone(0), gone(100))
    assert (watch.vanished, watch.trusted_until_ms) == (NOT_SEEN, TTL_MS)


def test_who_came_and_went_between_two_looks_at_a_free_lease_has_vanished() -> None:
    ended = (seen(0), gone(PTTL_MS))
    assert watched(*ended, gone(PTTL_MS + 250)).vanished == ""
    watch = watched(*ended, gone(PTTL_MS + 250, heartbeat=11))
    assert (watch.vanished, watch.trusted_until_ms) == (NOT_SEEN, PTTL_MS + 250 + TTL_MS)
