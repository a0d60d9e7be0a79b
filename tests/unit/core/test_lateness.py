"""The histogram: exact where it is small, within a hundredth where it is not, and it adds up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from habeat.core.lateness import EXACT_BELOW_MS, Lateness, bucket_of

late_ms = st.integers(-1_000, 10**9)


@given(late_ms)
def test_a_bucket_is_at_most_a_hundredth_below(late: int) -> None:
    bucket = bucket_of(late)
    assert 0 <= bucket <= max(0, late)
    assert max(0, late) - bucket <= max(0, late) / 100


@given(st.integers(-5, EXACT_BELOW_MS - 1))
def test_small_lateness_is_exact(late: int) -> None:
    assert bucket_of(late) == max(0, late)


@given(late_ms, late_ms)
def test_buckets_keep_the_order(one: int, other: int) -> None:
    if one <= other:
        assert bucket_of(one) <= bucket_of(other)


@given(late_ms)
def test_a_bucket_is_its_own_bucket(late: int) -> None:
    assert bucket_of(bucket_of(late)) == bucket_of(late)


def histogram(lates: list[int]) -> Lateness:
    return Lateness(Counter(map(bucket_of, lates)), max(lates, default=0))


@given(st.lists(late_ms, max_size=50), st.lists(late_ms, max_size=50))
def test_histograms_add_up(one: list[int], other: list[int]) -> None:
    total = histogram(one) + histogram(other)
    assert total.counts == histogram(one + other).counts
    assert total.count == len(one) + len(other)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_quantile_is_that_of_the_numbers(lates: list[int], fraction: float) -> None:
    rank = -(-(fraction * len(lates)) // 1)  # ceil
    exact = sorted(lates)[max(1, int(rank)) - 1]
    assert histogram(lates).quantile_ms(fraction) == bucket_of(exact)


def test_nothing_recorded_is_no_lateness() -> None:
    assert Lateness({}, 0).quantile_ms(0.99) == 0
