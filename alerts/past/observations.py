"""What a rule would have seen at each of many evaluations of the past, in a few reads whatever their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from django.utils import timezone

from alerts.models import AlertRule, RuleKind
from alerts.rules.evaluation import Observation
from alerts.rules.observing import baseline_of, counts_as_week, is_resting, judged_window, period_of, window_before, with_gaps
from alerts.rules.version_guard import observe_past_versions
from tracestore.clickhouse.client import Store
from tracestore.intake.reception import Gaps, find_gaps
from tracestore.language import parse_query
from tracestore.queries.metrics.groups import Answer, Question
from tracestore.queries.metrics.windows import Windows, read_windows
from tracestore.timerange import NS_PER_S, TimeRange, moment_of, ns_of

# Evaluations of one backtest at most, and of that of a version guard, whose test takes a while.
_EVALUATIONS, _GUARD_EVALUATIONS = 4000, 1000
_GROUPS = 20
# A trace is counted in as many windows at most.
_OVERLAP = 12
_MINUTE_S, _WEEK_S = 60, 7 * 86_400
# They divide an hour, and the quarters of one by which time zones differ: budgets begin at midnight somewhere.
_BUDGET_STEPS_S = (60, 300, 900)


@dataclass(frozen=True)
class Group:
    """What one group of a rule showed, oldest first; `labels` is {} for a rule without groups."""

    labels: dict[str, str]
    observations: list[Observation]


def step_of(rule: AlertRule, time_range: TimeRange) -> int:
    """Return how many seconds apart a rule is evaluated over the past: as often as in life, or as often as can be afforded."""
    usual_s = max(rule.interval_s, _MINUTE_S)
    if rule.kind == RuleKind.VERSION:
        return max(usual_s, _whole_minutes(time_range.duration_s / _GUARD_EVALUATIONS))
    least_s = max(usual_s, time_range.duration_s / _EVALUATIONS)
    if rule.kind == RuleKind.BUDGET:
        return next((step for step in _BUDGET_STEPS_S if step >= least_s), _BUDGET_STEPS_S[-1])
    # Windows are whole numbers of steps.
    parts = next(
        (parts for parts in range(_OVERLAP, 0, -1) if rule.window_s % parts == 0 and rule.window_s // parts >= least_s), 1
    )
    return rule.window_s // parts


def observe_past(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    """Return each group with an observation for each step of the range. Raises StoreError, QueryError or MetricError.

    Groups begin with the first trace that they have; hours in which the rule rests are left out.
    """
    readers = {RuleKind.VERSION.value: _guard, RuleKind.BUDGET.value: _add_up, RuleKind.BASELINE.value: _compare}
    groups = readers.get(rule.kind, _read)(store, rule, time_range, step_s)
    return [Group(group.labels, _while_awake(rule, group.observations)) for group in groups]


def _while_awake(rule: AlertRule, observations: list[Observation]) -> list[Observation]:
    if not rule.schedule:
        return observations
    return [seen for seen in observations if not is_resting(rule, moment_of(seen.at_ns))]


def _windows(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int, window_s: int) -> dict[tuple[str, ...], Windows]:
    found = read_windows(
        store, project_id=rule.project_id, time_range=time_range, question=Question(parse_query(rule.query), rule.metric),
        group_by=rule.group_by, window_s=window_s, step_s=step_s, max_groups=_GROUPS,
    )  # fmt: skip
    return {group: _since_first_trace(windows) if rule.group_by else windows for group, windows in found.items()}


def _since_first_trace(windows: Windows) -> Windows:
    first = next((place for place, (_, _, samples) in enumerate(windows) if samples), len(windows))
    return windows[first:]


def _read(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    grace_ns, gaps = rule.grace_s * NS_PER_S, _find_gaps(rule, time_range)
    return [
        Group(
            _labels(rule, group),
            [
                with_gaps(rule, Observation(value, samples, at_ns + grace_ns), _window(rule, at_ns), gaps)
                for at_ns, value, samples in windows
            ],
        )
        for group, windows in _windows(store, rule, time_range, step_s, rule.window_s).items()
    ]


def _find_gaps(rule: AlertRule, time_range: TimeRange) -> Gaps:
    weeks = rule.baseline_weeks if rule.kind == RuleKind.BASELINE else 0
    start_ns = time_range.start_ns - (weeks * _WEEK_S + 2 * rule.window_s) * NS_PER_S
    return find_gaps(TimeRange(max(0, start_ns), time_range.end_ns), timezone.now())


def _window(rule: AlertRule, end_ns: int) -> TimeRange:
    return window_before(moment_of(end_ns), rule.window_s)


def _compare(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    """Read the range and the same of the weeks before; a step that does not divide a week looks at the nearest windows."""
    gaps = _find_gaps(rule, time_range)
    earlier: dict[tuple[str, ...], dict[int, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for week in range(1, rule.baseline_weeks + 1):
        shift_ns = week * _WEEK_S // step_s * step_s * NS_PER_S
        if time_range.start_ns <= shift_ns:
            break
        before = TimeRange(time_range.start_ns - shift_ns, time_range.end_ns - shift_ns)
        for group, windows in _windows(store, rule, before, step_s, rule.window_s).items():
            for at_ns, value, samples in windows:
                if not counts_as_week(rule, _window(rule, at_ns), gaps):
                    continue
                earlier[group][at_ns + shift_ns].append(Answer(value, samples))
    groups = []
    for group, windows in _windows(store, rule, time_range, step_s, rule.window_s).items():
        observations = []
        for at_ns, value, samples in windows:
            base, margin = baseline_of(rule, earlier[group][at_ns], samples)
            seen = Observation(value, samples, at_ns + rule.grace_s * NS_PER_S, base, margin)
            observations.append(with_gaps(rule, seen, _window(rule, at_ns), gaps))
        groups.append(Group(_labels(rule, group), observations))
    return groups


def _add_up(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    """What is spent of a period is the sum of its steps so far; read from the start of the range's first period on."""
    first_ns = ns_of(period_of(rule, moment_of(time_range.start_ns))[0])
    grace_ns = rule.grace_s * NS_PER_S
    groups = []
    for group, windows in _windows(store, rule, TimeRange(first_ns, time_range.end_ns), step_s, step_s).items():
        observations = []
        for period in _by_period(rule, windows):
            sums = zip(accumulate(value or 0.0 for _, value, _ in period), accumulate(n for _, _, n in period), strict=True)
            observations += [
                Observation(spent, samples, at_ns + grace_ns)
                for (at_ns, _, _), (spent, samples) in zip(period, sums, strict=True)
                if at_ns > time_range.start_ns
            ]
        groups.append(Group(_labels(rule, group), observations))
    return groups


def _by_period(rule: AlertRule, windows: Windows) -> Iterator[Windows]:
    """Cut steps into calendar periods; a step that ends with a period belongs to it."""
    period: Windows = []
    end_ns = 0
    for window in windows:
        if window[0] > end_ns:
            if period:
                yield period
            period, end_ns = [], ns_of(period_of(rule, moment_of(window[0] - 1))[1])
        period.append(window)
    if period:
        yield period


def _guard(store: Store, rule: AlertRule, time_range: TimeRange, step_s: int) -> list[Group]:
    moments = list(_moments(time_range, step_s))
    windows = [judged_window(at, rule) for at in moments]
    groups: dict[str, Group] = {}
    for sight in observe_past_versions(store, rule, windows, [ns_of(at) for at in moments]):
        if sight is not None:
            group = groups.setdefault(sight.version, Group({"version": sight.version}, []))
            group.observations.append(sight.observation)
    return list(groups.values())


def _moments(time_range: TimeRange, step_s: int) -> Iterator[datetime]:
    at = moment_of(time_range.start_ns // NS_PER_S // step_s * step_s * NS_PER_S)
    while ns_of(at := at + timedelta(seconds=step_s)) <= time_range.end_ns:
        yield at


def _labels(rule: AlertRule, group: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(rule.group_by, group, strict=True))


def _whole_minutes(seconds: float) -> int:
    return int(-(-seconds // _MINUTE_S) * _MINUTE_S)
