"""The watch when a look shows nothing, or two things at once."""

from __future__ import annotations

import pytest

from habeat.core.lease import ANSWER_GAP_MS, SECOND_LOOK_MS, Action, Watch
from tests.unit.core.test_lease import TTL_MS, conclude, seen

STEP_MS = 1_000


def test_a_count_that_cannot_be_had_any_more_is_no_zero() -> None:
    """An ACL was changed under a holder that had been heard."""
    looks = [seen(0), *(seen(100 * n, listeners=None) for n in range(1, 5))]
    assert conclude(*looks) == [Action.WAIT] * 5


def test_a_count_that_cannot_be_had_between_two_zeroes_starts_again() -> None:
    found = conclude(
        seen(0), seen(100, listeners=0), seen(200, listeners=None), seen(300, listeners=0)
    )
    assert found == [Action.WAIT, Action.LOOK_AGAIN, Action.WAIT, Action.LOOK_AGAIN]


def test_the_second_look_counts_from_the_first_zero() -> None:
    apart = SECOND_LOOK_MS - 1
    assert conclude(seen(0), seen(9, listeners=0), seen(9 + apart, listeners=0))[-1] is (
        Action.LOOK_AGAIN
    )
    found = conclude(
        seen(0),
        seen(9, listeners=0),
        seen(9 + apart, listeners=0),
        seen(9 + SECOND_LOOK_MS, listeners=0),
    )
    assert found[-1] is Action.STEAL_CRASHED


def test_another_holder_with_the_same_heartbeat_starts_again() -> None:
    """After a loss of data numbers repeat."""
    looks = [seen(STEP_MS * n) for n in range(10)]
    other = [seen(STEP_MS * n, holder="18:other") for n in range(10, 18)]
    assert set(conclude(*looks[:9], *other)) == {Action.WAIT}


@pytest.mark.parametrize(("gap_ms", "stuck"), [(ANSWER_GAP_MS + 1, False), (ANSWER_GAP_MS, True)])
def test_only_a_gap_between_answers_that_is_too_long_goes_uncounted(
    gap_ms: int, stuck: bool
) -> None:
    ttl_ms = 2 * ANSWER_GAP_MS
    times = [0, gap_ms, 2 * gap_ms, 3 * gap_ms]
    looks = [seen(at_ms, holder_ttl_ms=ttl_ms) for at_ms in times]
    found = conclude(*looks, ttl_ms=ttl_ms)
    assert (found[-1] is Action.STEAL_STUCK) is stuck


def test_stuck_is_exactly_one_and_a_half_ttl() -> None:
    def after(last_ms: int) -> Action:
        return conclude(*(seen(at_ms) for at_ms in [*range(0, 9_000, STEP_MS), last_ms]))[-1]

    assert TTL_MS * 3 // 2 == 9_000
    assert after(8_999) is Action.WAIT
    assert after(9_000) is Action.STEAL_STUCK


def test_a_lease_that_has_run_out_is_forgotten() -> None:
    look = seen(0, pttl_ms=TTL_MS)
    watch, _ = Watch().after(look, ttl_ms=TTL_MS)
    watch, action = watch.after(seen(look.pttl_ms, holder=None), ttl_ms=TTL_MS)
    assert (watch, action) == (Watch(heartbeat=look.heartbeat), Action.ACQUIRE)


def test_a_garbage_holder_is_watched_like_any_other() -> None:
    """Written by hand, without a TTL: the rule for a stuck holder ends it."""
    looks = [seen(STEP_MS * n, holder="\xff no token", pttl_ms=-1, listeners=0) for n in range(20)]
    found = conclude(*looks)
    assert found.index(Action.STEAL_STUCK) * STEP_MS == TTL_MS * 3 // 2
    assert set(found[: found.index(Action.STEAL_STUCK)]) == {Action.WAIT}
