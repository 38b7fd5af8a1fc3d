"""Statistics against the values that their papers and the common tables print."""

from __future__ import annotations

import pytest

from tracestore.statistics.samples import (
    Interval,
    clustered_share_interval,
    combine,
    find_discoveries,
    kolmogorov_smirnov,
    mean_difference,
    mean_interval,
    quantile_ranks,
    share_difference,
    share_interval,
    share_test,
    student_quantile,
)


# Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3.
@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_that_of_newcombes_table(count: int, total: int, low: float, high: float) -> None:
    interval = share_interval(count, total)

    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


# Newcombe (1998), Interval estimation for the difference between independent proportions, table II, method 10.
@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((10, 10, 0, 10), 0.6075, 1.0),
        ((10, 10, 0, 20), 0.6791, 1.0),
    ],
)
def test_difference_of_shares_is_that_of_newcombes_table(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    interval = share_difference(*counts)

    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_share_of_nothing_may_be_anything() -> None:
    assert share_interval(0, 0) == Interval(0.0, 0.0, 1.0)
    assert not share_difference(3, 3, 0, 0).excludes_zero


def test_bound_that_one_term_lacks_is_missing_in_the_sum() -> None:
    total = combine([(1.0, Interval(5.0, 4.0, None)), (-1.0, Interval(2.0, 1.0, 3.0))])

    assert total.low == pytest.approx(3.0 - 2**0.5)
    assert total.high is None
    assert total.excludes_zero


def test_what_is_certain_of_a_difference_is_its_bound_towards_zero() -> None:
    assert [Interval(0.5, 0.2, 0.7).least, Interval(-0.5, -0.7, -0.2).least, Interval(0.1, -0.1, 0.3).least] == [0.2, 0.2, 0.0]


# Fisher's twins (1935): of 13 monozygotic and 17 dizygotic twins of convicts 10 and 2 were convicted too. Pearson's chi-squared
# is 13.032, times 29 / 30 it is 12.597.
def test_two_shares_are_tested_by_the_chi_squared_of_n_minus_one() -> None:
    assert share_test(10, 13, 2, 17) == pytest.approx(0.000386, rel=0.005)


def test_rare_values_are_tested_exactly() -> None:
    # One table of 1 hit in 2 against 0 in 1,000 more: 2 of 1,002 places of the hit.
    assert share_test(1, 2, 0, 1000) == pytest.approx(2 / 1002)


@pytest.mark.parametrize("counts", [(0, 0, 1, 5), (0, 5, 0, 7), (5, 5, 7, 7)])
def test_shares_that_cannot_differ_are_no_discovery(counts: tuple[int, int, int, int]) -> None:
    assert share_test(*counts) == 1.0


# Benjamini and Hochberg (1995), section 4: of fifteen hypotheses about thrombolysis the first four are rejected.
HOSPITAL = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
]  # fmt: skip


def test_discoveries_are_those_of_benjamini_and_hochbergs_example() -> None:
    assert find_discoveries(HOSPITAL) == [True] * 4 + [False] * 11
    assert find_discoveries(HOSPITAL[::-1]) == [False] * 11 + [True] * 4


def test_tests_that_are_not_shown_count_all_the_same() -> None:
    assert find_discoveries(HOSPITAL[:4], tests=15) == [True] * 4
    assert find_discoveries(HOSPITAL[:4], tests=150) == [True, True, False, False]
    assert find_discoveries([]) == []


@pytest.mark.parametrize(("degrees", "t"), [(5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_students_quantiles_are_those_of_the_tables(degrees: int, t: float) -> None:
    assert student_quantile(0.95, degrees) == pytest.approx(t, abs=8e-4)


# Campbell and Gardner (1988), BMJ 296, 1454-1456: ranks of the 95 % interval of a median.
@pytest.mark.parametrize(("total", "ranks"), [(6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (50, (18, 33)), (100, (40, 61))])
def test_median_lies_between_the_ranks_of_the_tables(total: int, ranks: tuple[int, int]) -> None:
    assert quantile_ranks(total, 0.5) == ranks


def test_small_sample_bounds_no_high_quantile() -> None:
    assert quantile_ranks(5, 0.5) == (None, None)
    assert quantile_ranks(20, 0.95)[1] is None


def test_large_sample_is_ranked_like_a_small_one() -> None:
    low, high = quantile_ranks(1_000_000, 0.95)

    assert (low, high) == (949_572, 950_429)


# Welch's example with unequal variances in its usual form: t = -2.46 with 25 degrees of freedom.
def test_difference_of_means_is_welchs() -> None:
    interval = mean_difference(20.82, 7.93, 15, 22.98, 3.82, 15)

    assert interval.low is not None
    assert interval.high is not None
    assert (interval.high - interval.low) / 2 == pytest.approx(2.06 * (7.93 / 15 + 3.82 / 15) ** 0.5, rel=0.002)
    assert interval.excludes_zero


def test_mean_of_ten_has_students_interval() -> None:
    interval = mean_interval(100.0, 25.0, 10)

    assert interval.low == pytest.approx(96.42, abs=0.01)
    assert interval.high == pytest.approx(103.58, abs=0.01)
    assert mean_interval(1.0, float("nan"), 1) == Interval(1.0, None, None)
    assert mean_difference(1.0, float("nan"), 1, 2.0, 1.0, 10) == Interval(-1.0, None, None)


def test_calls_that_succeed_or_fail_together_count_as_one() -> None:
    # Ten traces of ten calls each, five of them all good and five all bad: ten observations (times 9/10), not a hundred.
    clustered = clustered_share_interval(10, 50, 100, 500, 1000, 500)
    independent = share_interval(50, 100)

    assert clustered.value == 0.5
    assert clustered.low == pytest.approx(share_interval(450, 900).value - (0.5 - (share_interval(5, 10).low or 0)), abs=0.02)
    assert (clustered.low or 0) < (independent.low or 0)


def test_calls_that_all_succeed_are_as_many_as_their_traces() -> None:
    assert clustered_share_interval(3, 12, 12, 48, 48, 48).low == pytest.approx(share_interval(3, 3).low)


# Smirnov (1948): with large samples D·sqrt(nm / (n + m)) passes 1.36 by chance once in twenty, 1.63 once in a hundred.
@pytest.mark.parametrize(("scaled", "p_value"), [(1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01)])
def test_distance_of_distributions_has_smirnovs_probability(scaled: float, p_value: float) -> None:
    total = 2_000_000
    shifted = round(scaled * (2 * total) ** 0.5)

    distance, p = kolmogorov_smirnov([total // 2 + shifted, total // 2 - shifted], [total // 2, total // 2])

    assert distance == pytest.approx(shifted / total)
    assert p == pytest.approx(p_value, rel=0.02)


def test_equal_or_empty_samples_have_no_distance() -> None:
    assert kolmogorov_smirnov([5, 5], [50, 50]) == (0.0, 1.0)
    assert kolmogorov_smirnov([0, 0], [1, 1]) == (0.0, 1.0)
