"""Tests that may be looked at all the time must stay silent where there is no difference, and find one where there is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracestore.statistics.sequential import ALPHA, least_for_quantile, mean_margin, quantile_reach, share_margin

RUNS = 200


def most_false_alarms() -> float:
    """So many of RUNS are still likely (less than one in a thousand is more) when the chance is ALPHA each time."""
    return RUNS * ALPHA + 3.3 * math.sqrt(RUNS * ALPHA * (1 - ALPHA))


def looks(length: int) -> set[int]:
    """Look at every new trace at first, then at every tenth: as often as costs allow."""
    return {*range(2, 60), *range(60, length + 1, 10)}


def one_look_margin(total: int, old_count: int, old_total: int) -> float:
    """The ordinary one-sided test at 5%, which is right for a single look."""
    share = old_count / old_total if old_total else 0.0
    return 1.645 * math.sqrt(share * (1 - share) * (1 / total + 1 / max(1, old_total)))


def count_false_alarms(share: float, part: float, margin: Callable[[int, int, int], float]) -> int:
    """Return how many of RUNS ever raise one; `part` of the traffic goes to the new version, which is no worse."""
    alarms, watched = 0, looks(800)
    for seed in range(RUNS):
        chance = random.Random(seed)
        counts, totals = [0, 0], [0, 0]
        for at in range(1, 801):
            side = int(chance.random() < part)
            totals[side] += 1
            counts[side] += chance.random() < share
            old = counts[0] / max(1, totals[0])
            if at in watched and totals[1] and counts[1] / totals[1] > old + margin(totals[1], counts[0], totals[0]):
                alarms += 1
                break
    return alarms


@pytest.mark.parametrize(("share", "part"), [(0.01, 0.5), (0.05, 0.05), (0.3, 0.2)])
def test_equal_shares_raise_few_false_alarms_however_often_one_looks(share: float, part: float) -> None:
    assert count_false_alarms(share, part, share_margin) <= most_false_alarms()
    assert count_false_alarms(share, part, one_look_margin) > most_false_alarms()  # so the simulation can tell


def test_share_that_tripled_at_five_percent_of_the_traffic_is_found() -> None:
    chance = random.Random(7)
    counts, totals = [0, 0], [0, 0]
    found = 0
    for at in range(1, 20_001):
        side = int(chance.random() < 0.05)
        totals[side] += 1
        counts[side] += chance.random() < (0.15 if side else 0.05)
        if totals[1] and counts[1] / totals[1] > counts[0] / max(1, totals[0]) + share_margin(totals[1], counts[0], totals[0]):
            found = at
            break

    assert 0 < found < 10_000


@given(st.integers(1, 400), st.integers(0, 400), st.integers(1, 400))
def test_margin_of_shares_is_the_smallest_that_is_evidence(total: int, old_count: int, old_total: int) -> None:
    old_count = min(old_count, old_total)
    share, margin = old_count / old_total, share_margin(total, old_count, old_total)

    assert margin >= 0
    if margin < math.inf:
        assert share + margin < 1
        # Ten times as many on each side tell the same shares apart at least as well.
        assert share_margin(10 * total, 10 * old_count, 10 * old_total) <= margin


@pytest.mark.parametrize(
    ("total", "old_count", "old_total", "least"), [(100, 5, 100, 25), (400, 20, 400, 56), (50, 0, 50, 11), (30, 3, 100, 9)]
)
def test_least_count_that_is_evidence_passes_the_margin(total: int, old_count: int, old_total: int, least: int) -> None:
    """Counts from the log of the e-value, worked out with the beta function beside the code."""
    limit = old_count / old_total + share_margin(total, old_count, old_total)

    assert (least - 1) / total < limit < least / total


def test_nothing_is_found_without_samples() -> None:
    assert share_margin(0, 1, 10) == math.inf
    assert share_margin(10, 0, 0) == math.inf
    assert share_margin(1, 0, 5) == math.inf
    assert mean_margin(1.0, 1, 1.0, 1.0, 100) == math.inf


def test_equal_costs_raise_few_false_alarms_from_fifty_traces_on() -> None:
    alarms = 0
    for seed in range(RUNS):
        chance = random.Random(seed)
        sums = [[0, 0.0, 0.0], [0, 0.0, 0.0]]
        for at in range(1, 801):
            side = sums[at % 2]
            cost = chance.lognormvariate(-4, 1)
            side[0] += 1
            side[1] += cost
            side[2] += cost * cost
            if sums[1][0] >= 50 and at % 10 == 0 and sums[0][0] > 1:
                (old_n, old_sum, old_squares), (n, total, squares) = sums
                variance, old_variance = (
                    (q - s * s / m) / (m - 1) for m, s, q in ((n, total, squares), (old_n, old_sum, old_squares))
                )
                if total / n > old_sum / old_n + mean_margin(variance, int(n), old_sum / old_n, old_variance, int(old_n)):
                    alarms += 1
                    break

    assert alarms <= most_false_alarms()


def test_quantile_is_bounded_at_all_times_together() -> None:
    level, missed = 0.95, 0
    for seed in range(RUNS):
        chance = random.Random(seed)
        below = 0
        for at in range(1, 1001):
            below += chance.random() < level  # values below the true quantile: their share is its level
            reach = quantile_reach(at, level)
            if not level - reach <= below / at <= level + reach:
                missed += 1
                break

    assert missed <= most_false_alarms()


def test_bound_of_a_quantile_narrows() -> None:
    assert quantile_reach(100, 0.5) > quantile_reach(10_000, 0.5) > quantile_reach(10_000, 0.99) > 0


def test_enough_values_bound_a_quantile_from_above() -> None:
    enough = least_for_quantile(0.95)

    assert 0.95 + quantile_reach(enough, 0.95) < 1
    assert 0.95 + quantile_reach(enough // 2, 0.95) >= 1
