"""What rules see: each rule's metric over its window, of each of its groups, with the number of samples behind it."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.models import AlertRule, Period, RuleKind
from alerts.rules.evaluation import Comparison, Observation
from alerts.rules.version_guard import observe_newest_version
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError
from tracestore.intake.reception import Gaps, find_gaps
from tracestore.language import QueryError, parse_query
from tracestore.queries.metrics.definitions import METRICS, READ_APART, MetricError
from tracestore.queries.metrics.groups import MAX_GROUPS, Answer, Question, answer_questions, find_groups, reads_spans
from tracestore.queries.metrics.rollups import ROLLUPS_FROM_S
from tracestore.storable import storable
from tracestore.timerange import NS_PER_S, TimeRange, ns_of

_WEEK = timedelta(days=7)
# The pace of the first moments of a period foretells nothing.
_PACE_FROM = 1 / 48
# Of so much time in which spans could be received silence says something, also of a longer window.
_TELLING_S = 15 * 60
# A week of which more of the window could not be received is none to compare amounts with.
_MOST_LOST = 0.05
_MINUTE_S = 60


@dataclass(frozen=True)
class Sight:
    """What one group of a rule showed in `time_range`; `labels` is {} for a rule without groups.

    `trace_id` is the run that a single-run rule saw, `spent_at` when a budget will be spent at the present pace, `compared_with`
    where the baseline comes from.
    """

    observation: Observation
    time_range: TimeRange
    labels: dict[str, str] = field(default_factory=dict)
    trace_id: str = ""
    spent_at: datetime | None = None
    compared_with: str = ""


def observe_rule(store: Store, rule: AlertRule, now: datetime) -> list[Sight]:
    """Return what one rule sees now. Raises StoreError, QueryError or MetricError."""
    seen = observe_rules(store, [rule], now)[0]
    if isinstance(seen, Exception):
        raise seen
    return seen


def observe_rules(store: Store, rules: Sequence[AlertRule], now: datetime) -> list[list[Sight] | Exception]:
    """Return for each rule of one project what it sees now, or why it sees nothing. Raises StoreUnavailable.

    Rules without groups share one read per window; the others ask by themselves.
    """
    gaps = gaps_of(rules, now)
    seen: dict[int, list[Sight] | Exception] = {}
    asked: dict[TimeRange, list[int]] = defaultdict(list)
    for index, rule in enumerate(rules):
        try:
            if rule.kind == RuleKind.VERSION:
                seen[index] = _observe_version(store, rule, now)
            elif rule.group_by:
                seen[index] = _observe_groups(store, rule, now, gaps)
            else:
                parse_query(rule.query)
                for time_range in _compared_ranges(rule, now, gaps):
                    asked[time_range].append(index)
        except (StoreError, QueryError, MetricError) as error:
            seen[index] = error
    answers: dict[int, list[Answer | Exception]] = defaultdict(list)
    # In the order in which a rule names its ranges: its own window first.
    for time_range, indexes in sorted(asked.items(), key=lambda item: -item[0].end_ns):
        questions = [Question(parse_query(rules[index].query), rules[index].metric) for index in indexes]
        found = answer_questions(store, project_id=rules[0].project_id, time_range=time_range, questions=questions)
        for index, answer in zip(indexes, found, strict=True):
            answers[index].append(answer)
    for index, of_rule in answers.items():
        failure = next((answer for answer in of_rule if isinstance(answer, Exception)), None)
        known = [answer for answer in of_rule if isinstance(answer, Answer)]
        seen[index] = failure or [_sight(rules[index], now, known[0], known[1:], gaps)]
    return [seen[index] for index in range(len(rules))]


def is_alone(rule: AlertRule) -> bool:
    """Tell whether a rule asks the store by itself, so that a slow one must not hold up others."""
    if rule.group_by or rule.kind == RuleKind.VERSION or rule.metric in READ_APART:
        return True
    try:
        return reads_spans(parse_query(rule.query))
    except QueryError:
        return False  # fails before anything is asked


def absent(rule: AlertRule, labels: dict[str, str], now: datetime, gaps: Gaps) -> Sight:
    """Return the sight of a group that has vanished: nothing where nothing adds up to 0, no data elsewhere."""
    window = _ranges(rule, now)[0]
    seen = Observation(0.0 if adds_up(rule) else None, 0, ns_of(now))
    return Sight(with_gaps(rule, seen, window, gaps), window, labels)


def gaps_of(rules: Sequence[AlertRule], now: datetime) -> Gaps:
    """Return what could not be received of the windows that the rules look at."""
    weeks = max((rule.baseline_weeks for rule in rules if rule.kind == RuleKind.BASELINE), default=0)
    longest_s = max((rule.window_s + rule.grace_s for rule in rules), default=0) + _MINUTE_S
    return find_gaps(window_before(now, weeks * int(_WEEK.total_seconds()) + longest_s), now)


def with_gaps(rule: AlertRule, seen: Observation, window: TimeRange, gaps: Gaps) -> Observation:
    """Say what the value might have been had all of its window been received.

    A number that adds up grows with the time. The others are as they are, unless nothing came of a window of which too little was
    received for that to say anything. Budgets and guards of versions look at far more than a window.
    """
    lost_ns = gaps.lost_ns(window)
    if not lost_ns or rule.kind in (RuleKind.BUDGET, RuleKind.VERSION):
        return seen
    received_s = window.duration_s - lost_ns / NS_PER_S
    is_telling = received_s >= min(window.duration_s, _TELLING_S)
    settled_at_ns = None
    if not gaps.goes_on:
        enough_s = rule.window_s if is_telling else min(rule.window_s, _TELLING_S)
        settled_at_ns = gaps.last_end_ns(window) + (rule.grace_s + enough_s) * NS_PER_S
    if adds_up(rule):
        value = seen.value or 0.0
        might_be = value * window.duration_s / received_s if is_telling else math.inf
        return replace(seen, might_be=might_be, settled_at_ns=settled_at_ns)
    has_value = seen.value is not None and seen.samples >= rule.min_samples
    return seen if is_telling or has_value else replace(seen, might_be=0.0, settled_at_ns=settled_at_ns)


def counts_as_week(rule: AlertRule, window: TimeRange, gaps: Gaps) -> bool:
    """Tell whether the window of a past week can be compared with: an amount of which much was not received is none."""
    return gaps.lost_ns(window) <= _MOST_LOST * window.duration_s * NS_PER_S or not adds_up(rule)


def adds_up(rule: AlertRule) -> bool:
    """Tell whether the rule's metric is 0 where there are no traces."""
    if rule.kind not in (RuleKind.THRESHOLD, RuleKind.BASELINE, RuleKind.BUDGET):
        return False
    return rule.metric in METRICS and METRICS[rule.metric].additive


def is_resting(rule: AlertRule, now: datetime) -> bool:
    """Tell whether `now` lies outside the rule's weekly hours. Hours that end before they start end on the next day."""
    if not rule.schedule:
        return False
    local = now.astimezone(ZoneInfo(rule.time_zone))
    clock, today, yesterday = local.strftime("%H:%M"), local.weekday(), (local.weekday() - 1) % 7
    start, end, days = rule.schedule["start"], rule.schedule["end"], rule.schedule["days"]
    if start < end:
        return not (today in days and start <= clock < end)
    return not (today in days and clock >= start) and not (yesterday in days and clock < end)


def period_of(rule: AlertRule, now: datetime) -> tuple[datetime, datetime]:
    """Return the calendar day or month of a budget, from its start to the start of the next."""
    start = now.astimezone(ZoneInfo(rule.time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    if rule.budget_period == Period.DAY:
        return start, start + timedelta(days=1)
    start = start.replace(day=1)
    return start, (start + timedelta(days=32)).replace(day=1)


def span_s(rule: AlertRule) -> int:
    """Return about how much of the past a rule reads."""
    if rule.kind == RuleKind.BUDGET:
        return 86_400 if rule.budget_period == Period.DAY else 30 * 86_400
    return rule.window_s


def judged_window(now: datetime, rule: AlertRule) -> TimeRange:
    """Return the window that an evaluation judges. One of many hours ends with a whole minute, so that rollups answer."""
    end = now - timedelta(seconds=rule.grace_s)
    if rule.window_s >= ROLLUPS_FROM_S:
        end = end.replace(second=0, microsecond=0)
    return window_before(end, rule.window_s)


def window_before(now: datetime, window_s: int) -> TimeRange:
    """Return the window_s seconds that end now."""
    end_ns = ns_of(now)
    return TimeRange(max(0, end_ns - window_s * NS_PER_S), end_ns)


def _ranges(rule: AlertRule, now: datetime) -> list[TimeRange]:
    """Return what a rule reads: its window or period, and for a baseline the same of the weeks before, newest first."""
    if rule.kind == RuleKind.BUDGET:
        start_ns, end_ns = ns_of(period_of(rule, now)[0]), ns_of(now - timedelta(seconds=rule.grace_s))
        if end_ns - start_ns >= ROLLUPS_FROM_S * NS_PER_S:
            end_ns -= end_ns % (60 * NS_PER_S)
        return [TimeRange(start_ns, max(end_ns, start_ns + NS_PER_S))]
    window = judged_window(now, rule)
    if rule.kind != RuleKind.BASELINE:
        return [window]
    week_ns = int(_WEEK.total_seconds()) * NS_PER_S
    shifts = [week * week_ns for week in range(rule.baseline_weeks + 1)]
    return [TimeRange(window.start_ns - shift, window.end_ns - shift) for shift in shifts]


def _compared_ranges(rule: AlertRule, now: datetime, gaps: Gaps) -> list[TimeRange]:
    """Return the window, and of the weeks before those that count."""
    window, *weeks = _ranges(rule, now)
    return [window, *(week for week in weeks if counts_as_week(rule, week, gaps))]


def _sight(
    rule: AlertRule, now: datetime, answer: Answer, past: Sequence[Answer], gaps: Gaps, labels: dict[str, str] | None = None
) -> Sight:
    observation = Observation(answer.value, answer.samples, ns_of(now))
    spent_at, compared_with = None, ""
    if rule.kind == RuleKind.BASELINE:
        base, margin = baseline_of(rule, past, answer.samples)
        observation = replace(observation, baseline=base, margin=margin)
        weeks = rule.baseline_weeks
        compared_with = f"the same hours of the past {weeks} weeks" if weeks > 1 else "the same hours of the past week"
    elif rule.kind == RuleKind.BUDGET:
        spent_at = forecast(rule, answer.value, now)
    window = _ranges(rule, now)[0]
    return Sight(with_gaps(rule, observation, window, gaps), window, labels or {}, answer.trace_id, spent_at, compared_with)


def baseline_of(rule: AlertRule, past: Sequence[Answer], samples: int) -> tuple[float | None, float]:
    """Return the mean of past weeks and how far from it chance alone leads: (None, 0) when no past week has data.

    The margin is `baseline_deviations` standard deviations, both of the weeks among each other and of a number made of so few
    `samples`: of a share by the binomial, of a count by Poisson's distribution. So one failure after weeks without is no news.
    """
    values = [answer.value for answer in past if answer.value is not None and answer.samples]
    if not values:
        return None, 0.0
    mean = statistics.fmean(values)
    past_samples = sum(answer.samples for answer in past)
    metric = METRICS[rule.metric]
    noise = 0.0
    if metric.unit == "ratio":
        share = (mean * past_samples + 0.5) / (past_samples + 1)  # a share of 0 among few is not known to be 0
        noise = math.sqrt(max(0.0, share * (1 - share)) / max(1, samples))
    elif metric.unit in ("traces", "calls", "spans"):
        noise = math.sqrt(max(1.0, mean))
    elif metric.additive:
        noise = mean / math.sqrt(max(1.0, past_samples / len(values)))
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return mean, rule.baseline_deviations * math.hypot(spread, noise)


def forecast(rule: AlertRule, spent: float | None, now: datetime) -> datetime | None:
    """Return when a budget will be spent at the present pace; None when not within its period, or it is, or nobody can tell."""
    start, end = period_of(rule, now)
    elapsed = (now - start).total_seconds()
    if not spent or spent > rule.threshold or elapsed < _PACE_FROM * (end - start).total_seconds():
        return None
    left_s = (rule.threshold - spent) / spent * elapsed
    return (now + timedelta(seconds=left_s)).astimezone(UTC) if left_s < (end - now).total_seconds() else None


def _observe_groups(store: Store, rule: AlertRule, now: datetime, gaps: Gaps) -> list[Sight]:
    question = Question(parse_query(rule.query), rule.metric)
    window, *earlier = _compared_ranges(rule, now, gaps)
    descending = rule.comparison == Comparison.ABOVE
    found = find_groups(
        store, project_id=rule.project_id, time_range=window, question=question, group_by=rule.group_by, descending=descending
    )
    past: dict[tuple[str, ...], list[Answer]] = defaultdict(list)
    for time_range in earlier:
        for answer in find_groups(
            store, project_id=rule.project_id, time_range=time_range, question=question, group_by=rule.group_by,
            descending=descending, limit=5 * MAX_GROUPS,
        ):  # fmt: skip
            past[answer.labels].append(answer)
    if adds_up(rule) and len(found) < MAX_GROUPS:  # what had traffic in past weeks and has none now has dropped to 0
        known = {answer.labels for answer in found}
        found += [Answer(0.0, 0, labels) for labels in list(past) if labels not in known][: MAX_GROUPS - len(found)]
    return [
        _sight(rule, now, answer, past[answer.labels], gaps, storable(dict(zip(rule.group_by, answer.labels, strict=True))))
        for answer in found
    ]


def _observe_version(store: Store, rule: AlertRule, now: datetime) -> list[Sight]:
    seen = observe_newest_version(store, rule, judged_window(now, rule), ns_of(now))
    if seen is None:
        return []
    return [Sight(seen.observation, seen.time_range, storable({"version": seen.version}), compared_with=storable(seen.against))]
