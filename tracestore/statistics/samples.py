"""Statistics of two samples, by published formulas: shares, means and quantiles with intervals, tests, many tests at once.

Pure functions over counts and sums that the store has computed; nothing here samples or simulates. `confidence` is two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
# Beyond this many observations a binomial is a normal distribution for any purpose here.
_EXACT_BINOMIAL = 1000
# Below this expected count in a cell the chi-squared distribution is not to be trusted (Campbell 2007).
_LEAST_EXPECTED = 1.0


@dataclass(frozen=True)
class Interval:
    """`value` lies between `low` and `high`; None is a bound that the data do not give."""

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """True when the data speak for a difference."""
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)

    @property
    def least(self) -> float:
        """The smallest distance from zero that the interval allows, 0 when it holds zero: what is certain of a difference."""
        return max(self.low or 0.0, -(self.high or 0.0), 0.0) if self.excludes_zero else 0.0


def normal_quantile(confidence: float) -> float:
    """Return z of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def share_interval(count: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Return count / total with Wilson's score interval, which holds for small samples and shares near 0 and 1.

    E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference. JASA 22, 209-212.
    A share of nothing is 0 and may be anything.
    """
    return _wilson(count / total, total, confidence) if total else Interval(0.0, 0.0, 1.0)


def _wilson(share: float, total: float, confidence: float) -> Interval:
    z = normal_quantile(confidence)
    middle = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # Rounding must not part a share of exactly 0 or 1 from its bound.
    return Interval(share, (middle - reach) / scale if share > 0 else 0.0, (middle + reach) / scale if share < 1 else 1.0)


def combine(terms: Sequence[tuple[float, Interval]]) -> Interval:
    """Return the interval of a weighted sum of independent estimates from their own intervals.

    MOVER, the method of variance estimates recovery: G. Y. Zou, A. Donner (2008), Construction of confidence limits about effect
    measures. Statistics in Medicine 27, 1693-1702. With Wilson intervals of two shares and weights 1 and -1 it is Newcombe's
    difference. A bound that no term gives is None.
    """
    value = sum(weight * term.value for weight, term in terms)
    return Interval(value, _reach(terms, value, -1), _reach(terms, value, 1))


def _reach(terms: Sequence[tuple[float, Interval]], value: float, direction: int) -> float | None:
    squares = 0.0
    for weight, term in terms:
        bound = term.high if (weight > 0) == (direction > 0) else term.low
        if bound is None:
            return None
        squares += (weight * (bound - term.value)) ** 2
    return value + direction * math.sqrt(squares)


def share_difference(count: int, total: int, other_count: int, other_total: int, confidence: float = CONFIDENCE) -> Interval:
    """Return count / total - other_count / other_total with Newcombe's hybrid score interval (his method 10).

    R. G. Newcombe (1998), Interval estimation for the difference between independent proportions: comparison of eleven methods.
    Statistics in Medicine 17, 873-890.
    """
    return combine(
        [(1.0, share_interval(count, total, confidence)), (-1.0, share_interval(other_count, other_total, confidence))]
    )


def mean_interval(mean: float, variance: float, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Return a mean with Student's interval (The probable error of a mean, Biometrika 6, 1908), unbounded for a single value."""
    if total < 2:
        return Interval(mean, None, None)
    reach = student_quantile(confidence, total - 1) * math.sqrt(variance / total)
    return Interval(mean, mean - reach, mean + reach)


def mean_difference(
    mean: float, variance: float, total: int, other_mean: float, other_variance: float, other_total: int,
    confidence: float = CONFIDENCE,
) -> Interval:  # fmt: skip
    """Return mean - other_mean with Welch's interval; `variance` is that of a sample (divided by n - 1).

    B. L. Welch (1947), The generalization of "Student's" problem when several different population variances are involved.
    Biometrika 34, 28-35. Without two values on each side the interval has no bounds.
    """
    value = mean - other_mean
    if min(total, other_total) < 2:
        return Interval(value, None, None)
    part, other_part = variance / total, other_variance / other_total
    if part + other_part == 0:
        return Interval(value, value, value)
    degrees = (part + other_part) ** 2 / (part**2 / (total - 1) + other_part**2 / (other_total - 1))
    reach = student_quantile(confidence, degrees) * math.sqrt(part + other_part)
    return Interval(value, value - reach, value + reach)


def clustered_share_interval(
    clusters: int, hits: float, total: float, hits_squared: float, total_squared: float, products: float,
    confidence: float = CONFIDENCE,
) -> Interval:  # fmt: skip
    """Return hits / total where both add up over `clusters`, such as successful tool calls over traces with several calls each.

    Calls of one trace are alike, so they count for less than independent ones: the variance of the ratio (W. G. Cochran, 1977,
    Sampling Techniques, 3rd ed., section 6.4) gives an effective number of calls (E. L. Korn, B. I. Graubard, 1998, Survey
    Methodology 24, 193-201) and that Wilson's interval. The last three are sums over clusters of hits², total² and hits·total.
    """
    share = hits / total
    effective = min(float(clusters), total)
    if clusters > 1:
        residuals = max(0.0, hits_squared - 2 * share * products + share**2 * total_squared) / (clusters - 1)
        variance = residuals * clusters / total**2
        if variance > 0:
            effective = min(total, share * (1 - share) / variance)
    return _wilson(share, effective, confidence)


def student_quantile(confidence: float, degrees: float) -> float:
    """Return t of a two-sided interval, to three digits from 5 degrees of freedom on.

    The expansion of Cornish and Fisher in M. Abramowitz, I. A. Stegun (1964), Handbook of Mathematical Functions, 26.7.5.
    """
    z = normal_quantile(confidence)
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92_160 * degrees**4)
    )


def quantile_ranks(total: int, quantile: float, confidence: float = CONFIDENCE) -> tuple[int | None, int | None]:
    """Return the ranks (1 to `total`) of the sorted values that bound a quantile, None where the sample is too small for a bound.

    How many values lie below a quantile is binomial, whatever their distribution: G. J. Hahn, W. Q. Meeker (1991), Statistical
    Intervals, section 5.2; W. J. Conover (1999), Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    tail = (1 - confidence) / 2
    if total <= _EXACT_BINOMIAL:
        below = _binomial_cumulative(total, quantile)
        low = max((rank for rank in range(1, total + 1) if below[rank - 1] <= tail), default=None)
        high = min((rank for rank in range(1, total + 1) if below[rank - 1] >= 1 - tail), default=None)
        return low, high
    middle, reach = total * quantile, normal_quantile(confidence) * math.sqrt(total * quantile * (1 - quantile))
    first, last = math.floor(middle - reach), math.ceil(middle + reach) + 1
    return first if first >= 1 else None, last if last <= total else None


def _binomial_cumulative(total: int, chance: float) -> list[float]:
    """P(count <= k) for k from 0 to `total`."""
    sums, so_far = [], 0.0
    for count in range(total + 1):
        so_far += math.exp(_log_choose(total, count) + count * math.log(chance) + (total - count) * math.log1p(-chance))
        sums.append(so_far)
    return sums


def _log_choose(total: int, count: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)


def share_test(count: int, total: int, other_count: int, other_total: int) -> float:
    """Return the two-sided p-value of two equal shares.

    The "N - 1" chi-squared test where every expected count is at least 1, else the Fisher-Irwin test by Irwin's rule: I. Campbell
    (2007), Chi-squared and Fisher-Irwin tests of two-by-two tables with small sample recommendations. Statistics in Medicine 26,
    3661-3675.
    """
    everything, hits = total + other_total, count + other_count
    misses = everything - hits
    if not total or not other_total or not hits or not misses:
        return 1.0
    if min(total, other_total) * min(hits, misses) / everything < _LEAST_EXPECTED:
        return _fisher_irwin(count, total, hits, everything)
    product = count * (other_total - other_count) - other_count * (total - count)
    chi_squared = (everything - 1) * (product / total / other_total) * (product / hits / misses)
    return math.erfc(math.sqrt(chi_squared / 2))


def _fisher_irwin(count: int, total: int, hits: int, everything: int) -> float:
    """The sum of the probabilities of all tables with the same margins that are no likelier than this one."""

    def probability(cell: int) -> float:
        return math.exp(_log_choose(total, cell) + _log_choose(everything - total, hits - cell) - _log_choose(everything, hits))

    observed = probability(count) * (1 + 1e-7)  # tables as likely as this one count, however they round
    cells = range(max(0, hits + total - everything), min(total, hits) + 1)
    return min(1.0, sum(chance for cell in cells if (chance := probability(cell)) <= observed))


def find_discoveries(p_values: Sequence[float], *, tests: int = 0, rate: float = 1 - CONFIDENCE) -> list[bool]:
    """Tell for each p-value whether it stands when so many were looked at: of those that do, at most `rate` are chance.

    Y. Benjamini, Y. Hochberg (1995), Controlling the false discovery rate. J. R. Statist. Soc. B 57, 289-300. `tests` says how
    many were made when only the best are given: the others then count as failed, which errs on the side of silence.
    """
    number = max(tests, len(p_values))
    ranked = sorted(p_values)
    threshold = max((p for rank, p in enumerate(ranked, 1) if p <= rate * rank / number), default=-1.0)
    return [p <= threshold for p in p_values]


def kolmogorov_smirnov(counts: Sequence[int], other_counts: Sequence[int]) -> tuple[float, float]:
    """Return (D, p): the largest distance of two cumulative distributions over the same bins, and its two-sided p-value.

    N. Smirnov (1948), Table for estimating the goodness of fit of empirical distributions. Annals of Math. Stat. 19, 279-281,
    with the correction of M. A. Stephens (1970), J. R. Statist. Soc. B 32, 115-122. Over bins D is at most what single values
    would give, so p errs upwards.
    """
    total, other_total = sum(counts), sum(other_counts)
    if not total or not other_total:
        return 0.0, 1.0
    distance = so_far = other_so_far = 0.0
    for count, other_count in zip(counts, other_counts, strict=True):
        so_far += count
        other_so_far += other_count
        distance = max(distance, abs(so_far / total - other_so_far / other_total))
    effective = math.sqrt(total * other_total / (total + other_total))
    scaled = (effective + 0.12 + 0.11 / effective) * distance
    return distance, _kolmogorov_tail(scaled)


def _kolmogorov_tail(scaled: float) -> float:
    if scaled < 0.2:  # the series does not converge there, and nothing is certain
        return 1.0
    terms = ((2 if index % 2 else -2) * math.exp(-2 * index**2 * scaled**2) for index in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))
