"""What a rule would have seen at each of many evaluations of the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alerts.evaluation import Observation
from alerts.models import AlertRule, RuleKind, instance_key
from alerts.observing import observe_rule
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.metric_groups import Question
from tracestore.queries.metric_windows import read_windows
from tracestore.timerange import NS_PER_S, TimeRange

# Evaluations of one backtest at most: of rules whose windows are read at once, and of those that are read one by one.
_EVALUATIONS, _SINGLE_EVALUATIONS = 4000, 300
_GROUPS = 20
# A trace is counted in as many windows at most.
_OVERLAP = 12
MINUTE_S = 60


@dataclass(frozen=True)
class Group:
    """What one group of a rule showed, oldest first; `labels` is {} for a rule without groups."""

    labels: dict[str, str]
    observations: list[Observation]


def step_of(rule: AlertRule, time_range: TimeRange) -> int:
    """Return how many seconds apart a rule is evaluated over the past: as often as in life, or as often as can be afforded.

    For windows that are read at once it divides the window.
    """
    usual_s = max(rule.interval_s, MINUTE_S)
    if not _is_read_at_once(rule):
        return max(usual_s, _whole_minutes(time_range.duration_s / _SINGLE_EVALUATIONS))
    least_s = max(usual_s, time_range.duration_s / _EVALUATIONS)
    parts = next(
        (parts for parts in range(_OVERLAP, 0, -1) if rule.window_s % parts == 0 and rule.window_s // parts >= least_s), 1
    )
    return rule.window_s // parts


def observe_past(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    """Return each group with an observation for each step of the range. Raises StoreError, QueryError or MetricError."""
    if _is_read_at_once(rule):
        return _read_at_once(store, rule, time_range, step_s)
    return _read_one_by_one(store, rule, time_range, step_s)


def _is_read_at_once(rule: AlertRule) -> bool:
    return rule.kind in (RuleKind.THRESHOLD, RuleKind.RUN)


def _read_at_once(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    found = read_windows(
        store, project_id=rule.project_id, time_range=time_range, question=Question(parse_query(rule.query), rule.metric),
        group_by=rule.group_by, window_s=rule.window_s, step_s=step_s, max_groups=_GROUPS,
    )  # fmt: skip
    grace_ns = rule.grace_s * NS_PER_S
    return [
        Group(
            dict(zip(rule.group_by, values, strict=True)),
            [Observation(value, samples, at_ns + grace_ns) for at_ns, value, samples in windows],
        )
        for values, windows in found.items()
    ]


def _read_one_by_one(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    groups: dict[str, Group] = {}
    at = datetime.fromtimestamp(time_range.start_ns // NS_PER_S // step_s * step_s, UTC)
    end = datetime.fromtimestamp(time_range.end_ns // NS_PER_S, UTC)
    while (at := at + timedelta(seconds=step_s)) <= end:
        for sight in observe_rule(store, rule, at):
            group = groups.setdefault(instance_key(sight.labels), Group(sight.labels, []))
            group.observations.append(sight.observation)
    return list(groups.values())


def _whole_minutes(seconds: float) -> int:
    return int(-(-seconds // MINUTE_S) * MINUTE_S)
