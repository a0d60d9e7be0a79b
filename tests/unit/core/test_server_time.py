"""Redis' clock, estimated: never early, and a wait for an instant is long enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from habeat.core.server_time import ServerTime

moments = st.integers(0, 10**13)


@given(moments, moments, st.integers(0, 10**9), st.integers(-(10**6), 10**6))
def test_waiting_it_out_suffices_and_is_less_than_a_millisecond_too_long(
    server_us: int, local_us: int, passed_us: int, ahead_ms: int
) -> None:
    clock, now_us = ServerTime(server_us, local_us), local_us + passed_us
    instant_ms = clock.now_ms(now_us) + ahead_ms
    wait_ms = clock.until_ms(instant_ms, now_us)
    assert wait_ms >= 0
    assert clock.now_ms(now_us + wait_ms * 1_000) >= instant_ms
    if wait_ms:
        assert clock.now_us(now_us + (wait_ms - 1) * 1_000) < instant_ms * 1_000


@given(moments, moments, st.integers(0, 10**6), st.integers(0, 10**6))
def test_i6_the_estimate_is_never_ahead(
    server_us: int, local_us: int, back_us: int, passed_us: int
) -> None:
    """The answer took `back_us` to arrive, so the server is at least that much further."""
    anchored = ServerTime(server_us, local_us + back_us)
    really_us = server_us + back_us + passed_us
    assert anchored.now_us(local_us + back_us + passed_us) <= really_us
