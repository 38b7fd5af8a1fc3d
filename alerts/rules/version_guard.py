"""The newest version against the one before it, by tests that stay valid while they are looked at all the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alerts.models import AlertRule
from alerts.rules.evaluation import Observation
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.version_history import read_version_history
from tracestore.queries.version_samples import (
    QUANTILES,
    SHARES,
    Sample,
    find_duration_quantiles,
    find_newest_version,
    sample_versions,
)
from tracestore.statistics.sequential import ALPHA, least_for_quantile, mean_margin, quantile_reach, share_margin
from tracestore.timerange import TimeRange


@dataclass(frozen=True)
class VersionSight:
    """What the newest version showed since it came, with the value of the version `against` which it is held as baseline."""

    version: str
    against: str
    observation: Observation
    time_range: TimeRange


# Of a sample and levels: the quantiles of its durations, in seconds.
_Quantiles = Callable[[Sample, tuple[float, ...]], list[float]]


def observe_newest_version(store: Store, rule: AlertRule, window: TimeRange, at_ns: int) -> VersionSight | None:
    """Return None when no version came within the window, or none before it. Raises StoreError, QueryError or MetricError.

    A version is new for as long as the rule's window, and compared by all its traces since it came.
    """
    query, lookback = parse_query(rule.query), _look_back(window)
    newest = find_newest_version(store, project_id=rule.project_id, time_range=lookback, query=query)
    if newest is None:
        return None
    samples = sample_versions(
        store, project_id=rule.project_id, time_range=lookback, query=query, newest=newest, metric=rule.metric, least=_least(rule)
    )

    def quantiles(sample: Sample, levels: tuple[float, ...]) -> list[float]:
        return find_duration_quantiles(store, project_id=rule.project_id, query=query, sample=sample, levels=levels)

    return samples and _compare(rule, *samples, at_ns, quantiles)


def observe_past_versions(
    store: Store, rule: AlertRule, windows: Sequence[TimeRange], ats_ns: Sequence[int]
) -> list[VersionSight | None]:
    """Return what the guard would have seen at each moment, oldest first, of which `windows` are what it judges there.

    Quantiles of durations are at most 0.5% off. Raises StoreError, QueryError or MetricError.
    """
    history = read_version_history(
        store, project_id=rule.project_id, time_ranges=[_look_back(window) for window in windows], query=parse_query(rule.query),
        metric=rule.metric, least=_least(rule),
    )  # fmt: skip
    return [
        samples and _compare(rule, *samples, at_ns, history.find_quantiles)
        for samples, at_ns in zip(history.samples, ats_ns, strict=True)
    ]


def _look_back(window: TimeRange) -> TimeRange:
    """Return as much again before the window: what was there then is not new."""
    return TimeRange(max(0, 2 * window.start_ns - window.end_ns), window.end_ns)


def _least(rule: AlertRule) -> int:
    """Return how many traces of the version before suffice."""
    enough = least_for_quantile(QUANTILES[rule.metric], ALPHA / 2) if rule.metric in QUANTILES else 0
    return max(rule.min_samples, enough)


def _compare(rule: AlertRule, new: Sample, old: Sample, at_ns: int, quantiles: _Quantiles) -> VersionSight:
    if old.total < rule.min_samples:
        observation = Observation(None, new.total, at_ns)
    elif rule.metric in QUANTILES:
        observation = _compare_quantiles(rule.metric, new, old, at_ns, quantiles)
    else:
        margin = (
            share_margin(new.total, old.count, old.total)
            if rule.metric in SHARES
            else mean_margin(new.variance, new.total, old.mean, old.variance, old.total)
        )
        observation = Observation(new.mean, new.total, at_ns, old.mean, margin)
    return VersionSight(new.version, old.version, observation, new.time_range)


def _compare_quantiles(metric: str, new: Sample, old: Sample, at_ns: int, quantiles: _Quantiles) -> Observation:
    """Each side's quantile is bounded at half of alpha: when the bounds part, the quantiles differ."""
    level = QUANTILES[metric]
    low = max(0.0, level - quantile_reach(new.total, level, ALPHA / 2))
    high = level + quantile_reach(old.total, level, ALPHA / 2)
    new_low, value = quantiles(new, (low, level))
    base, old_high = quantiles(old, (level, min(1.0, high)))
    bounded = high < 1 and low > 0
    return Observation(value, new.total, at_ns, base, (value - new_low) + (old_high - base) if bounded else float("inf"))
