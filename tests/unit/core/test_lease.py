"""The trust period and the standby's watch: the rules of core/lease.py, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.core.lease import (
    ANSWER_GAP_MS,
    SECOND_LOOK_MS,
    Action,
    Observation,
    Token,
    Trust,
    Watch,
    margin_ms,
    renew_after_ms,
)

TTL_MS = 6_000
TOKEN = Token(17, "abc")


def seen(at_ms: int, **other: object) -> Observation:
    look = Observation(
        at_ms=at_ms,
        holder=str(TOKEN),
        pttl_ms=5_000,
        heartbeat=10,
        listeners=1,
        connection=0,
        holder_ttl_ms=TTL_MS,
    )
    return replace(look, **other)  # type: ignore[arg-type]


def conclude(*looks: Observation, ttl_ms: int = TTL_MS) -> list[Action]:
    """What a fresh watch concludes after each of these looks."""
    watch, found = Watch(), []
    for look in looks:
        watch, action = watch.after(look, ttl_ms=ttl_ms)
        found.append(action)
    return found


# -- the token ------------------------------------------------------------------------------


@given(st.integers(0, 2**53), st.text("0123456789abcdef:", min_size=1, max_size=30))
def test_a_token_reads_what_it_wrote(epoch: int, nonce: str) -> None:
    assert Token.parse(str(Token(epoch, nonce))) == Token(epoch, nonce)


@pytest.mark.parametrize(
    "text", ["", "abc", ":abc", "x:abc", "5", "5:", "\u0661:a", "-5:a", " 5:a", "9" * 5_000 + ":a"]
)
def test_garbage_in_place_of_a_token_is_none(text: str) -> None:
    assert Token.parse(text) is None


# -- trust ----------------------------------------------------------------------------------


@given(st.integers(1_000, 600_000), st.integers(0, 10**12), st.integers(0, 5_000))
def test_the_window_closes_before_the_lease_does(ttl: int, attempt: int, way_ms: int) -> None:
    """The request arrives `way_ms` after the attempt began: the lease ends that much later."""
    trust = Trust(TOKEN, attempt, ttl)
    lease_ends_ms = attempt + way_ms + ttl
    assert trust.until_ms <= lease_ends_ms - margin_ms(ttl)
    assert trust.left_ms(lease_ends_ms) == 0


@given(st.integers(1_000, 600_000))
def test_an_idle_leader_renews_well_inside_its_window(ttl: int) -> None:
    window_ms = ttl - margin_ms(ttl)
    assert 0 < renew_after_ms(ttl) * 2 < window_ms


def test_a_late_reply_to_an_early_attempt_does_not_shorten_the_window() -> None:
    trust = Trust(TOKEN, 1_000, TTL_MS).renewed(5_000)
    assert trust.renewed(4_000) == trust
    assert trust.renewed(6_000).until_ms == trust.until_ms + 1_000


def test_of_a_window_that_is_over_nothing_is_left() -> None:
    assert Trust(TOKEN, 0, TTL_MS).left_ms(10_000) == 0


# -- the watch: what is never a reason -------------------------------------------------------


def test_a_free_lease_is_acquired() -> None:
    assert conclude(seen(0, holder=None)) == [Action.ACQUIRE]


def test_a_living_holder_is_waited_for() -> None:
    looks = [seen(at, heartbeat=at) for at in range(0, 60_000, 250)]
    assert set(conclude(*looks)) == {Action.WAIT}


def test_a_zero_never_preceded_by_a_listener_proves_nothing() -> None:
    """If SUBSCRIBE is refused to all replicas, all would steal from each other."""
    looks = [seen(at, listeners=0, heartbeat=at) for at in range(0, 20_000, 55)]
    assert set(conclude(*looks)) == {Action.WAIT}


def test_the_listener_must_have_been_heard_over_this_connection() -> None:
    found = conclude(
        seen(0, listeners=1, connection=0),
        seen(250, listeners=0, connection=1),
        seen(310, listeners=0, connection=1),
    )
    assert set(found) == {Action.WAIT}


def test_the_listener_must_have_been_that_holders() -> None:
    found = conclude(
        seen(0, listeners=1),
        seen(250, listeners=0, holder="18:new"),
        seen(310, listeners=0, holder="18:new"),
    )
    assert set(found) == {Action.WAIT}


def test_one_zero_is_looked_at_again() -> None:
    found = conclude(seen(0), seen(250, listeners=0), seen(250 + SECOND_LOOK_MS - 1, listeners=0))
    assert found == [Action.WAIT, Action.LOOK_AGAIN, Action.LOOK_AGAIN]


def test_a_listener_between_the_two_looks_starts_again() -> None:
    found = conclude(
        seen(0), seen(250, listeners=0), seen(310, listeners=1), seen(370, listeners=0)
    )
    assert found == [Action.WAIT, Action.LOOK_AGAIN, Action.WAIT, Action.LOOK_AGAIN]


def test_a_heartbeat_between_the_two_looks_starts_again() -> None:
    found = conclude(
        seen(0),
        seen(250, listeners=0),
        seen(310, listeners=0, heartbeat=11),
        seen(330, listeners=0, heartbeat=11),
        seen(370, listeners=0, heartbeat=11),
    )
    assert found == [Action.WAIT] + [Action.LOOK_AGAIN] * 3 + [Action.STEAL_CRASHED]


def test_two_zeroes_apart_with_a_still_heartbeat_are_a_crash() -> None:
    found = conclude(seen(0), seen(250, listeners=0), seen(250 + SECOND_LOOK_MS, listeners=0))
    assert found[-1] is Action.STEAL_CRASHED


def test_where_numsub_cannot_be_had_the_ttl_alone_decides() -> None:
    looks = [seen(at, listeners=None, heartbeat=at) for at in range(0, 20_000, 250)]
    assert set(conclude(*looks)) == {Action.WAIT}


# -- the watch: a stuck holder ---------------------------------------------------------------


def still(until_ms: int, step_ms: int, **other: object) -> list[Observation]:
    return [seen(at, pttl_ms=64_000, **other) for at in range(0, until_ms + 1, step_ms)]


def test_a_still_heartbeat_for_one_and_a_half_ttl_is_stuck() -> None:
    """Redis' clock stepped back, so the lease does not run out."""
    found = conclude(*still(TTL_MS * 3 // 2, 250))
    assert found[-1] is Action.STEAL_STUCK
    assert set(found[:-1]) == {Action.WAIT}


def test_a_moving_heartbeat_is_never_stuck() -> None:
    found = conclude(*(replace(o, heartbeat=o.at_ms // 1_000) for o in still(60_000, 250)))
    assert set(found) == {Action.WAIT}


def test_the_longer_of_both_ttls_is_waited_for() -> None:
    found = conclude(*still(TTL_MS * 3 // 2, 250, holder_ttl_ms=4 * TTL_MS))
    assert set(found) == {Action.WAIT}


def test_time_without_answers_is_not_counted() -> None:
    """Redis was paused for a minute: the leader could not renew either."""
    before = still(2_000, 250)
    after = [replace(o, at_ms=o.at_ms + 60_000) for o in before]
    assert set(conclude(*before, *after)) == {Action.WAIT}


@pytest.mark.parametrize("ttl_ms", [1_000, 6_000, 9_000, 30_000, 120_000])
def test_who_polls_slowly_sees_a_stuck_holder_too(ttl_ms: int) -> None:
    """Those further back in the line look every third of a TTL, which may be long."""
    looks = still(ttl_ms * 3, ttl_ms // 3, holder_ttl_ms=ttl_ms)
    assert conclude(*looks, ttl_ms=ttl_ms)[-1] is Action.STEAL_STUCK


def test_the_gap_in_answers_is_longer_than_a_close_watchers_poll() -> None:
    assert ANSWER_GAP_MS > 2 * 250


looks_strategy = st.lists(
    st.builds(
        lambda at, holder, heartbeat, listeners, line: (at, holder, heartbeat, listeners, line),
        st.integers(1, 3_000),
        st.sampled_from(["1:a", "2:b", None]),
        st.integers(0, 2),
        st.sampled_from([0, 1, None]),
        st.integers(0, 1),
    ),
    max_size=60,
)


@given(looks_strategy)
def test_a_crash_is_only_concluded_from_what_the_rules_ask_for(
    rows: list[tuple[int, str | None, int, int | None, int]],
) -> None:
    """An oracle over the whole history, written without the watch's own state."""
    watch, history, at = Watch(), [], 1
    for step, holder, heartbeat, listeners, line in rows:
        at += step
        look = seen(at, holder=holder, heartbeat=heartbeat, listeners=listeners, connection=line)
        watch, action = watch.after(look, ttl_ms=TTL_MS)
        history.append(look)
        if action is Action.STEAL_CRASHED:
            same: list[Observation] = []
            for old in reversed(history):
                if (old.holder, old.connection) != (look.holder, look.connection):
                    break
                same.append(old)
            assert any(old.listeners for old in same)
            run = []
            for old in same:
                if old.listeners != 0 or old.heartbeat != look.heartbeat:
                    break
                run.append(old)
            assert run[0].at_ms - run[-1].at_ms >= SECOND_LOOK_MS
