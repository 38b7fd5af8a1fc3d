"""A rule over the past: its metric per window, and when it would have fired."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.utils import timezone

from alerts.models import AlertRule
from alerts.rules.evaluation import Episode, Observation, absolute_threshold, has_data, replay
from alerts.rules.observing import Sight, observe_rule, with_gaps
from tracestore.clickhouse.client import Store
from tracestore.intake.reception import find_gaps
from tracestore.language import parse_query
from tracestore.queries.metrics.series import MAX_POINTS, metric_series
from tracestore.timerange import NS_PER_S, TimeRange


@dataclass(frozen=True)
class Preview:
    """One point per window that has ended, oldest first; `time_range` may be shorter than asked for when windows are short."""

    rule: AlertRule
    time_range: TimeRange
    points: list[tuple[int, float | None]]
    episodes: list[Episode]

    @property
    def has_data(self) -> bool:
        return any(value is not None for _, value in self.points)

    @property
    def fired_s(self) -> float:
        """Seconds spent firing, counting up to the end of the range."""
        return sum(((episode.end_ns or self.time_range.end_ns) - episode.start_ns) / NS_PER_S for episode in self.episodes)


@dataclass(frozen=True)
class Guarded:
    """What a version guard sees now; `threshold` is what the value must exceed, None while there are too few traces to tell."""

    sight: Sight
    threshold: float | None

    @property
    def would_fire(self) -> bool:
        value = self.sight.observation.value
        return value is not None and self.threshold is not None and value > self.threshold


def find_guarded(store: Store, rule: AlertRule) -> Guarded | None:
    """Return None when no version is new. Raises StoreError, QueryError or MetricError."""
    sights = observe_rule(store, rule, timezone.now())
    if not sights:
        return None
    observation, condition = sights[0].observation, rule.condition()
    limit = absolute_threshold(condition.levels[0].threshold, observation, condition)
    told = has_data(observation, condition) and limit is not None and math.isfinite(limit)
    return Guarded(sights[0], limit if told else None)


def preview_rule(store: Store, rule: AlertRule, time_range: TimeRange) -> Preview:
    """Replay a rule, saved or draft, one evaluation per window. Raises StoreError, QueryError or MetricError.

    Windows of the replay lie side by side and the live evaluation's slide, so a short breach across a border can differ.
    """
    window_ns = rule.window_s * NS_PER_S
    # Whole windows only: one that is cut off shows a lower count than it had.
    end_ns = time_range.end_ns - time_range.end_ns % window_ns
    start_ns = max(time_range.start_ns - time_range.start_ns % window_ns, end_ns - (MAX_POINTS - 1) * window_ns, 0)
    whole = TimeRange(start_ns, max(end_ns, start_ns + window_ns))
    values, samples = (
        metric_series(
            store,
            project_id=rule.project_id,
            time_range=whole,
            query=parse_query(rule.query),
            metric=metric,
            step_s=rule.window_s,
        )[0].points
        for metric in (rule.metric, "requests")
    )
    gaps = find_gaps(whole, timezone.now())
    observations = [
        with_gaps(
            rule, Observation(value, int(count or 0), start_ns + window_ns), TimeRange(start_ns, start_ns + window_ns), gaps
        )
        for (start_ns, value), (_, count) in zip(values, samples, strict=True)
    ]
    return Preview(rule, whole, values, replay(observations, rule.condition().stepping(rule.window_s)))
