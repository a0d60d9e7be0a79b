"""A lease that is gone before its time: its holder may still trust it (see core/lease.py)."""

from __future__ import annotations

from habeat.core.lease import NOT_SEEN, Action, Observation, Watch
from tests.unit.core.test_lease import TOKEN, TTL_MS, seen

PTTL_MS = 5_000


def held(at_ms: int, **other: object) -> Observation:
    """A lease that was just extended, for as long as it ever is."""
    return seen(at_ms, **{"holder_ttl_ms": PTTL_MS, **other})


def gone(at_ms: int, heartbeat: int = 10) -> Observation:
    return seen(at_ms, holder=None, pttl_ms=-2, heartbeat=heartbeat, listeners=None)


def watched(*looks: Observation) -> Watch:
    watch = Watch()
    for look in looks:
        watch, _ = watch.after(look, ttl_ms=TTL_MS)
    return watch


def test_a_lease_that_has_run_out_has_not_vanished() -> None:
    watch, action = watched(held(0)).after(gone(PTTL_MS), ttl_ms=TTL_MS)
    assert action is Action.ACQUIRE
    assert watch == Watch(heartbeat=10)


def test_a_lease_that_is_gone_before_its_time_is_trusted_for_a_ttl_from_then() -> None:
    watch, action = watched(held(0)).after(gone(PTTL_MS - 1), ttl_ms=TTL_MS)
    assert action is Action.ACQUIRE
    assert (watch.vanished, watch.trusted_until_ms) == (str(TOKEN), PTTL_MS - 1 + TTL_MS)


def test_a_holder_that_has_moved_since_the_last_look_had_renewed() -> None:
    watch = watched(held(0), gone(PTTL_MS, heartbeat=11))
    assert watch.vanished == str(TOKEN)


def test_an_end_that_moves_nearer_is_not_the_holders() -> None:
    """An extension was lost in a failover, or the clock of Redis has stepped forward."""
    shortened = watched(held(0), seen(500, pttl_ms=1_000))
    assert shortened.after(gone(1_500), ttl_ms=TTL_MS)[0].vanished == str(TOKEN)
    assert shortened.after(gone(PTTL_MS), ttl_ms=TTL_MS)[0].vanished == ""


def test_who_sees_a_holder_for_the_first_time_allows_for_all_of_its_ttl() -> None:
    """The clock of Redis may have stepped forward just before: what is left there says little."""
    watch = watched(held(0, pttl_ms=1_000))
    assert watch.after(gone(1_000), ttl_ms=TTL_MS)[0].vanished == str(TOKEN)
    assert watch.after(gone(PTTL_MS), ttl_ms=TTL_MS)[0].vanished == ""


def test_whose_intents_to_leave_alone_if_the_lease_is_free_by_now() -> None:
    """It may vanish between the look and the request that acquires."""
    assert watched(held(0)).distrusts(2_000, "other") == (str(TOKEN), PTTL_MS - 2_000)
    assert watched(held(0)).distrusts(PTTL_MS, "other") == ("", 0)
    assert watched(held(0)).distrusts(2_000, TOKEN.nonce) == ("", 0), "that is ourselves"
    assert watched(held(0), gone(100)).distrusts(300, "other") == (str(TOKEN), TTL_MS - 200)
    assert watched(held(0), gone(100)).distrusts(100 + TTL_MS, "other") == ("", 0)


def test_two_looks_at_the_same_end_need_not_agree_to_the_millisecond() -> None:
    watch = watched(held(0), seen(500, pttl_ms=PTTL_MS - 500 - 60))
    assert watch.after(gone(PTTL_MS - 60), ttl_ms=TTL_MS)[0].vanished == ""


def test_the_end_of_another_holders_lease_says_nothing_of_this_ones() -> None:
    watch = watched(held(0), held(500, holder="99:next", pttl_ms=1_000, holder_ttl_ms=1_000))
    assert watch.after(gone(1_500), ttl_ms=TTL_MS)[0].vanished == ""


def test_the_longer_of_two_ttls_counts() -> None:
    watch = watched(held(0), seen(10, holder=None, holder_ttl_ms=2 * TTL_MS))
    assert watch.trusted_until_ms == 10 + 2 * TTL_MS


def test_it_is_remembered_until_somebody_holds_the_lease_again() -> None:
    watch = watched(held(0), gone(100), gone(300))
    assert (watch.vanished, watch.trusted_until_ms) == (str(TOKEN), 100 + TTL_MS)
    assert watched(held(0), gone(100), held(300, holder="99:next")).vanished == ""


def test_who_looks_for_the_first_time_cannot_tell() -> None:
    watch = watched(gone(0), gone(100))
    assert (watch.vanished, watch.trusted_until_ms) == (NOT_SEEN, TTL_MS)


def test_who_came_and_went_between_two_looks_at_a_free_lease_has_vanished() -> None:
    ended = (held(0), gone(PTTL_MS))
    assert watched(*ended, gone(PTTL_MS + 250)).vanished == ""
    watch = watched(*ended, gone(PTTL_MS + 250, heartbeat=11))
    assert (watch.vanished, watch.trusted_until_ms) == (NOT_SEEN, PTTL_MS + 250 + TTL_MS)
