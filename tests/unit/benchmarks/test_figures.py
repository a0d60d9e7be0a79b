"""The arithmetic of the benchmarks, by figures that can be checked by hand."""

from __future__ import annotations

import math

import pytest
from benchmarks import figures

DUE_US = 1_000_000_000


def at(ms: float, length: int) -> figures.Sample:
    return DUE_US + int(ms * 1_000), length


def test_a_quantile_is_one_of_the_values_by_nearest_rank() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert figures.quantile(values, 0.5) == 50
    assert figures.quantile(values, 0.99) == 99
    assert figures.quantile(values, 1.0) == 100
    assert figures.quantile(values, 0.0) == 1
    assert figures.quantile([7.0], 0.99) == 7
    assert math.isnan(figures.quantile([], 0.5))


def test_the_kth_message_is_late_by_the_first_sample_that_saw_so_many() -> None:
    samples = [at(2, 1), at(3, 4), at(9, 5)]
    assert figures.lateness_ms(samples, DUE_US, 5) == [2, 3, 3, 3, 9]


def test_what_never_came_is_infinitely_late() -> None:
    late = figures.lateness_ms([at(2, 2)], DUE_US, 4)
    assert late == [2, 2, math.inf, math.inf]
    assert figures.quantile(late, 0.5) == 2
    assert figures.quantile(late, 0.99) == math.inf


def test_messages_beyond_those_expected_make_no_lateness() -> None:
    assert figures.lateness_ms([at(1, 5)], DUE_US, 2) == [1, 1]


def test_the_rate_counts_from_the_due_instant_to_the_last_message() -> None:
    samples = [at(500, 1), at(2_000, 100)]
    assert figures.rate_per_s(samples, DUE_US, 100) == pytest.approx(50)
    assert figures.first_to_last_ms(samples, 100) == 1_500


def test_the_rate_of_an_unfinished_burst_is_that_of_what_came() -> None:
    samples = [at(1_000, 10), at(4_000, 20)]
    assert figures.rate_per_s(samples, DUE_US, 100) == pytest.approx(5)
    assert figures.first_to_last_ms(samples, 100) == math.inf
    assert figures.rate_per_s([], DUE_US, 100) == 0


def test_thinning_keeps_the_end() -> None:
    samples = [at(n, n) for n in range(1, 1_001)]
    kept = figures.thinned(samples, 50)
    assert len(kept) == 50
    assert kept[0] == samples[0]
    assert kept[-1] == samples[-1]
    assert kept == sorted(kept)
    assert figures.thinned(samples[:50], 50) == samples[:50]


def test_a_slip_adds_up_against_the_grid_of_the_first_arrival() -> None:
    drifting = [n * 1_003_000 for n in range(4)]
    assert figures.against_grid_ms(drifting, 1_000_000) == [3, 6, 9]
    steady = [0, 1_002_000, 1_999_000]
    assert figures.against_grid_ms(steady, 1_000_000) == [2, -1]
    assert figures.against_grid_ms([5], 1_000_000) == []


def test_the_formula_of_firings() -> None:
    learned = figures.Footprint(10, 2_000, 20, 3_000, 5, 500)
    assert learned.each() == (200, 150, 100)
    assert learned.total == 5_500
    assert figures.added_bytes(learned.each(), 10, 20, 5) == learned.total
    assert figures.added_bytes(learned.each(), 1, 2, 3) == 200 + 300 + 300


def test_no_firing_is_no_division_by_nought() -> None:
    assert figures.Footprint(0, 0, 0, 0, 0, 0).each() == (0, 0, 0)


def test_what_is_kept_is_bounded() -> None:
    assert figures.kept(2, 300) == 600
    assert figures.kept(100, 86_400, 1_000_000) == 1_000_000


def test_capacity_is_that_of_the_busier_side() -> None:
    found = figures.capacity(leader_us=100, redis_us=50, bytes_per_entry=1_024)
    assert found.leader_per_s == 10_000
    assert found.redis_per_s == 20_000
    assert found.entries_per_gib == 2**20
    assert found.second_shard_from_per_s == pytest.approx(6_000)


@pytest.mark.parametrize(
    ("points", "exponent"),
    [
        ([(1_000, 5.0), (100_000, 5.0)], 0),
        ([(1_000, 1.0), (10_000, 7.0), (100_000, 100.0)], 1),
        ([(10, 1.0), (1_000, 10_000.0)], 2),
    ],
)
def test_growth_is_the_exponent(points: list[tuple[float, float]], exponent: float) -> None:
    assert figures.growth(points) == pytest.approx(exponent)


def test_growth_of_one_point_is_unknown() -> None:
    assert math.isnan(figures.growth([(1_000, 5.0)]))
    assert math.isnan(figures.growth([(1_000, 0.0), (2_000, 5.0)]))


def test_the_middle_run_is_one_of_the_runs() -> None:
    assert figures.middle([9, 1, 5]) == 2
    assert figures.middle([9, math.inf]) == 0
    assert figures.middle([3]) == 0
