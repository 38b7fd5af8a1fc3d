"""Tests of two samples that may be looked at as often as one likes, while the samples grow.

An ordinary test allows one look: who tests after every trace finds a difference sooner or later where there is none. Each of
these keeps the chance of ever being wrong, over all looks together, at or below `alpha`. Each returns the margin: how far the new
value must lie above the old one for the difference to be real. Pure functions over counts and sums.
"""

from __future__ import annotations

import math

ALPHA = 0.05
# Of the prior of the mixture: the share of effects that are looked for, relative to the old mean.
_EXPECTED_EFFECT = 0.2


def share_margin(total: int, old_count: int, old_total: int, alpha: float = ALPHA) -> float:
    """Return how far above the old share a share of `total` must lie; infinite when not even all of them would do.

    For every true share p, the likelihood of each sample mixed over Jeffreys' prior and divided by that under p is a martingale
    (H. Robbins, 1970, Statistical methods related to the law of the iterated logarithm, Annals of Math. Stat. 41, 1397-1409), and
    so is the product of both samples'. Its least value over p is thus an e-process for "both shares are equal", also for "the new
    one is no greater" once it is greater, and by Ville's inequality it ever exceeds 1 / alpha with a chance of at most alpha
    (A. Ramdas, P. Grünwald, V. Vovk, G. Shafer, 2023, Game-theoretic statistics and safe anytime-valid inference, Statistical
    Science 38, 576-601). Exact for any sample sizes and any rule for looking and stopping.
    """
    if not total or not old_total:
        return math.inf
    share = old_count / old_total
    low, high = math.ceil(share * total), total  # the evidence grows with the count from where the shares are equal
    if _log_evidence(high, total, old_count, old_total) < -math.log(alpha):
        return math.inf
    while low < high:
        middle = (low + high) // 2
        if _log_evidence(middle, total, old_count, old_total) >= -math.log(alpha):
            high = middle
        else:
            low = middle + 1
    # That count itself is enough, and values must exceed a threshold.
    return max(0.0, (low - 0.5) / total - share)


def _log_evidence(count: int, total: int, old_count: int, old_total: int) -> float:
    hits, everything = count + old_count, total + old_total
    pooled = _log_power(hits, hits / everything) + _log_power(everything - hits, 1 - hits / everything)
    return _log_mixture(count, total) + _log_mixture(old_count, old_total) - pooled


def _log_mixture(count: int, total: int) -> float:
    """Log of the likelihood of one sample, mixed over Jeffreys' prior Beta(1/2, 1/2)."""
    return math.lgamma(count + 0.5) + math.lgamma(total - count + 0.5) - math.lgamma(total + 1) - math.log(math.pi)


def _log_power(exponent: int, base: float) -> float:
    return exponent * math.log(base) if exponent else 0.0


def mean_margin(variance: float, total: int, old_mean: float, old_variance: float, old_total: int, alpha: float = ALPHA) -> float:
    """Return how far above the old mean a mean of `total` values must lie.

    The mixture sequential probability ratio test with a normal prior on the difference: R. Johari, P. Koomen, L. Pekelis,
    D. Walsh (2022), Always valid inference: continuous monitoring of A/B tests, Operations Research 70, 1806-1821; as an
    asymptotic confidence sequence I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas (2024), Time-uniform central
    limit theory and asymptotic confidence sequences, Annals of Statistics 52, 2613-2640. It wants some dozens of values a side.
    """
    if min(total, old_total) < 2:
        return math.inf
    of_difference = variance / total + old_variance / old_total
    prior = (_EXPECTED_EFFECT * old_mean) ** 2
    if of_difference == 0 or prior == 0:
        return math.sqrt(of_difference) and math.inf
    ratio = 1 + of_difference / prior
    return math.sqrt(of_difference * ratio * (2 * math.log(1 / alpha) + math.log(prior / of_difference + 1)))


def quantile_reach(total: int, quantile: float, alpha: float = ALPHA) -> float:
    """Return by how much a quantile's level must be moved, down or up, to bound it at all times together.

    S. R. Howard, A. Ramdas (2022), Sequential estimation of quantiles with applications to A/B testing and best-arm
    identification, Bernoulli 28, 1704-1728, theorem 1. Exact for any distribution.
    """
    if total < 2:
        return 1.0
    scaled = (1.4 * math.log(math.log(2.1 * total)) + math.log(10 / alpha)) / total
    return 1.5 * math.sqrt(quantile * (1 - quantile) * scaled) + 0.8 * scaled


def least_for_quantile(quantile: float, alpha: float = ALPHA) -> int:
    """Return a number of values that bounds a quantile from above, at most twice the smallest such number."""
    total = 2
    while quantile + quantile_reach(total, quantile, alpha) >= 1:
        total *= 2
    return total
