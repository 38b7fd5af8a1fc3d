"""The newest version against the one before it, by tests that stay valid while they are looked at all the time."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.evaluation import Observation
from alerts.models import AlertRule
from tracestore.clickhouse.client import Store
from tracestore.language import Query, parse_query
from tracestore.queries.version_samples import (
    QUANTILES,
    SHARES,
    Sample,
    find_duration_quantiles,
    find_newest_version,
    sample_versions,
)
from tracestore.sequential import ALPHA, least_for_quantile, mean_margin, quantile_reach, share_margin
from tracestore.timerange import TimeRange


@dataclass(frozen=True)
class VersionSight:
    """What the newest version showed since it came, with the value of the version `against` which it is held as baseline."""

    version: str
    against: str
    observation: Observation
    time_range: TimeRange


def observe_newest_version(store: Store, rule: AlertRule, window: TimeRange, at_ns: int) -> VersionSight | None:
    """Return None when no version came within the window, or none before it. Raises StoreError, QueryError or MetricError.

    A version is new for as long as the rule's window, and compared by all its traces since it came.
    """
    query = parse_query(rule.query)
    lookback = TimeRange(max(0, 2 * window.start_ns - window.end_ns), window.end_ns)
    newest = find_newest_version(store, project_id=rule.project_id, time_range=lookback, query=query)
    if newest is None:
        return None
    enough = least_for_quantile(QUANTILES[rule.metric], ALPHA / 2) if rule.metric in QUANTILES else 0
    samples = sample_versions(
        store, project_id=rule.project_id, time_range=lookback, query=query, newest=newest, metric=rule.metric,
        least=max(rule.min_samples, enough),
    )  # fmt: skip
    if samples is None:
        return None
    new, old = samples
    if rule.metric in QUANTILES:
        observation = _compare_quantiles(store, rule, query, new, old, at_ns)
    else:
        margin = (
            share_margin(new.total, old.count, old.total)
            if rule.metric in SHARES
            else mean_margin(new.variance, new.total, old.mean, old.variance, old.total)
        )
        observation = Observation(new.mean, new.total, at_ns, old.mean, margin)
    if old.total < rule.min_samples:
        observation = Observation(None, new.total, at_ns)
    return VersionSight(new.version, old.version, observation, new.time_range)


def _compare_quantiles(store: Store, rule: AlertRule, query: Query, new: Sample, old: Sample, at_ns: int) -> Observation:
    """Each side's quantile is bounded at half of alpha: when the bounds part, the quantiles differ."""
    level = QUANTILES[rule.metric]
    low = max(0.0, level - quantile_reach(new.total, level, ALPHA / 2))
    high = level + quantile_reach(old.total, level, ALPHA / 2)
    new_low, value = find_duration_quantiles(store, project_id=rule.project_id, query=query, sample=new, levels=(low, level))
    base, old_high = find_duration_quantiles(
        store, project_id=rule.project_id, query=query, sample=old, levels=(level, min(1.0, high))
    )
    bounded = high < 1 and low > 0
    return Observation(value, new.total, at_ns, base, (value - new_low) + (old_high - base) if bounded else float("inf"))
