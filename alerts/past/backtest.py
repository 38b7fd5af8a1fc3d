"""A rule over the past by the real state machine: pages, flaps, what was noticed when, and which threshold would do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db.models import Q

from alerts.models import AlertRule, Incident, IncidentMark
from alerts.past.observations import Group, observe_past, step_of
from alerts.rules.evaluation import (
    FLAP_WINDOW_S,
    Comparison,
    Condition,
    Episode,
    Level,
    Observation,
    absolute_threshold,
    has_data,
    judge,
    replay,
)
from alerts.rules.units import round_off, threshold_unit
from tracestore.clickhouse.client import Store
from tracestore.timerange import NS_PER_S, TimeRange, moment_of, ns_of

_WEEK_S = 7 * 86_400
# Of the values seen, these parts lie below the thresholds that are tried: finer where alerts are rare.
_QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995, 0.9999, 1.0)
# A rule that fires for more of the time than this says how things are, not what has happened.
_MOST_FIRING = 0.1


@dataclass(frozen=True)
class Mark:
    """[start_ns, end_ns) in which something was wrong, as a person has marked (`mark_id`) or acknowledged (`incident_id`)."""

    name: str
    start_ns: int
    end_ns: int
    mark_id: int | None = None
    incident_id: int | None = None

    def overlaps(self, episode: Episode, slack_ns: int) -> bool:
        """True when the episode lies in it, or begins no later than `slack_ns` after it."""
        return episode.start_ns < self.end_ns + slack_ns and (episode.end_ns is None or episode.end_ns > self.start_ns)


@dataclass(frozen=True)
class Page:
    """One alert: who is on call would have been told at its start. A flap comes soon after the same group's last one ended."""

    labels: dict[str, str]
    episode: Episode
    is_flap: bool
    mark: Mark | None

    def fired_s(self, until_ns: int) -> float:
        """Seconds from its start to its end, or to `until_ns` while it fires."""
        return ((self.episode.end_ns or until_ns) - self.episode.start_ns) / NS_PER_S

    @property
    def lasted_s(self) -> float | None:
        """None while it fires."""
        return None if self.episode.end_ns is None else self.fired_s(self.episode.end_ns)


@dataclass(frozen=True)
class Detection:
    """How long after a mark's start the rule fired, 0 when it fired already; None when it did not."""

    mark: Mark
    delay_s: float | None


@dataclass(frozen=True)
class Suggestion:
    """With this threshold (in the unit of the rule's own) there are so many pages a week beside those of marks.

    `detected` marks are noticed with it.
    """

    threshold: float
    pages_per_week: float
    detected: int


@dataclass(frozen=True)
class Backtest:
    """What a rule would have done in `time_range`, evaluated every `step_s`; pages oldest first."""

    rule: AlertRule
    time_range: TimeRange
    step_s: int
    groups: list[Group]
    pages: list[Page]
    detections: list[Detection]
    suggestion: Suggestion | None

    @property
    def evaluations(self) -> int:
        return max((len(group.observations) for group in self.groups), default=0)

    @property
    def has_data(self) -> bool:
        return any(seen.value is not None for group in self.groups for seen in group.observations)

    @property
    def flaps(self) -> int:
        return sum(page.is_flap for page in self.pages)

    @property
    def false_pages(self) -> int:
        """Pages that no mark explains; it says something only when all that was wrong is marked."""
        return sum(page.mark is None for page in self.pages)

    @property
    def pages_per_week(self) -> float:
        return len(self.pages) / self.time_range.duration_s * _WEEK_S

    @property
    def fired_s(self) -> float:
        """Seconds spent firing, of all groups together."""
        return sum(page.fired_s(self.time_range.end_ns) for page in self.pages)

    @property
    def detected(self) -> int:
        return sum(detection.delay_s is not None for detection in self.detections)


def find_marks(project_id: int, time_range: TimeRange) -> list[Mark]:
    """Return what people know of the range, oldest first: what they have marked, and incidents that someone acknowledged."""
    start, end = moment_of(time_range.start_ns), moment_of(time_range.end_ns)
    marked = IncidentMark.objects.filter(project_id=project_id, started_at__lt=end, ended_at__gt=start)
    marks = [Mark(mark.name, ns_of(mark.started_at), ns_of(mark.ended_at), mark_id=mark.pk) for mark in marked]
    lasted = Q(resolved_at=None) | Q(resolved_at__gt=start)
    incidents = Incident.objects.filter(lasted, project_id=project_id, started_at__lt=end, first_acked_at__isnull=False)
    marks += [
        Mark(str(incident), ns_of(incident.started_at), ns_of(incident.resolved_at or end), incident_id=incident.pk)
        for incident in incidents
    ]
    return sorted(marks, key=lambda mark: mark.start_ns)


def run_backtest(
    store: Store, rule: AlertRule, time_range: TimeRange, marks: Sequence[Mark], *, pages_per_week: float = 1.0
) -> Backtest:
    """Replay a rule, saved or draft, over what is stored. Raises StoreError, QueryError or MetricError.

    Past windows are complete while live ones may lack what arrives late, so a replay can be a little earlier than life.
    """
    step_s = step_of(rule, time_range)
    groups = observe_past(store, rule, time_range, step_s)
    condition = rule.condition().stepping(step_s)
    slack_ns = (rule.window_s + rule.hold_s + rule.grace_s) * NS_PER_S
    pages = _find_pages(groups, condition, marks, slack_ns)
    return Backtest(
        rule=rule,
        time_range=time_range,
        step_s=step_s,
        groups=groups,
        pages=pages,
        detections=[_detect(mark, pages, slack_ns) for mark in marks],
        suggestion=_suggest(
            groups, condition, marks, slack_ns, time_range, pages_per_week, is_rate=threshold_unit(rule.metric) == "%"
        ),
    )


def _find_pages(groups: Iterable[Group], condition: Condition, marks: Sequence[Mark], slack_ns: int) -> list[Page]:
    pages = []
    for group in groups:
        ended_ns = -math.inf
        if all((judge(seen, condition) or 0) < 2 for seen in group.observations):
            continue  # nothing is past a level: several times as quick as a replay that finds nothing
        for episode in replay(group.observations, condition):
            mark = next((mark for mark in marks if mark.overlaps(episode, slack_ns)), None)
            pages.append(Page(group.labels, episode, episode.start_ns - ended_ns <= FLAP_WINDOW_S * NS_PER_S, mark))
            ended_ns = math.inf if episode.end_ns is None else episode.end_ns
    return sorted(pages, key=lambda page: page.episode.start_ns)


def _detect(mark: Mark, pages: Iterable[Page], slack_ns: int) -> Detection:
    # By time and not by the page's own mark: of an outage that is marked twice both marks are noticed.
    starts_ns = [page.episode.start_ns for page in pages if mark.overlaps(page.episode, slack_ns)]
    return Detection(mark, max(0.0, (min(starts_ns) - mark.start_ns) / NS_PER_S) if starts_ns else None)


def _suggest(
    groups: Sequence[Group], condition: Condition, marks: Sequence[Mark], slack_ns: int, time_range: TimeRange, most: float,
    *, is_rate: bool,
) -> Suggestion | None:  # fmt: skip
    """Return the most sensitive threshold among quantiles of the past that keeps to `most` pages a week; None without data.

    Found by halving: the more sensitive a threshold, the more pages, until it hardly ever stops firing, which counts as too many.
    """
    changes = sorted(
        change for group in groups for seen in group.observations if (change := _measure(seen, condition)) is not None
    )
    if not changes:
        return None
    ordered = changes if condition.comparison == Comparison.ABOVE or condition.relative else changes[::-1]
    rounded = dict.fromkeys(_round_up(_quantile(ordered, part), condition) for part in _QUANTILES)
    candidates = [threshold for threshold in rounded if _can_fire(threshold, condition, is_rate)]
    found = None
    low, high = 0, len(candidates) - 1
    while low <= high:
        middle = (low + high) // 2
        suggestion = _try(candidates[middle], groups, condition, marks, slack_ns, time_range)
        if suggestion and suggestion.pages_per_week <= most:
            found, high = suggestion, middle - 1
        else:
            low = middle + 1
    return found


def _can_fire(threshold: float, condition: Condition, is_rate: bool) -> bool:
    """Tell whether any value lies past a threshold: a rate is at most 1, nothing is less than 0, and no change is no change."""
    is_above = condition.comparison == Comparison.ABOVE
    if condition.relative:
        return threshold > 0 and (is_above or threshold < 1)
    return not is_rate or threshold < 1 if is_above else threshold > 0


def _try(
    threshold: float, groups: Sequence[Group], condition: Condition, marks: Sequence[Mark], slack_ns: int, time_range: TimeRange
) -> Suggestion | None:
    """Return None when it would fire most of the time."""
    tried = replace(condition, levels=(Level(condition.levels[-1].severity, threshold),), recovery_threshold=None)
    pages = _find_pages(groups, tried, marks, slack_ns)
    fired_s = sum(page.fired_s(time_range.end_ns) for page in pages if page.mark is None)
    if fired_s > _MOST_FIRING * time_range.duration_s * len(groups):
        return None
    detected = sum(_detect(mark, pages, slack_ns).delay_s is not None for mark in marks)
    unexplained = sum(page.mark is None for page in pages)
    return Suggestion(threshold, unexplained / time_range.duration_s * _WEEK_S, detected)


def _measure(seen: Observation, condition: Condition) -> float | None:
    """Return the value on the scale of the rule's threshold; None when it says nothing."""
    if not has_data(seen, condition) or seen.value is None:
        return None
    if not condition.relative:
        return seen.value
    if absolute_threshold(0.0, seen, condition) is None or not seen.baseline:
        return None
    change = seen.value / seen.baseline - 1
    return max(0.0, change if condition.comparison == Comparison.ABOVE else -change)


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]


def _round_up(threshold: float, condition: Condition) -> float:
    """Return it rounded on its less sensitive side."""
    return round_off(threshold, up=condition.comparison == Comparison.ABOVE or condition.relative) if threshold > 0 else 0.0
