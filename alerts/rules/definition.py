"""What a rule's definition must fulfil beyond the bounds of its fields: the same for editor, API and ready-made rules."""

from __future__ import annotations

import math
import re

from alerts.models import MAX_GROUP_FIELDS, AlertRule, RuleKind, Severity, Side
from alerts.rules.evaluation import is_past
from tracestore.queries.metrics.definitions import METRICS, MetricError
from tracestore.queries.metrics.groups import RUN_METRICS, check_groups
from tracestore.queries.version_samples import GUARDED

MAX_LABELS = 20
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_MOST_CHANGE = 1000.0


def find_problems(rule: AlertRule) -> dict[str, str]:
    """Return a sentence for each field that does not fit the others; empty when the rule makes sense."""
    problems = {
        "metric": _metric_problem(rule),
        "group_by": _group_problem(rule),
        "comparison": _side_problem(rule),
        "threshold": _number_problem(rule, rule.threshold),
        "warning_threshold": _warning_problem(rule),
        "recovery_threshold": _recovery_problem(rule),
        "breaches_needed": "That is more than the evaluations looked at." if rule.breaches_needed > rule.of_evaluations else "",
        "baseline_deviations": "" if math.isfinite(rule.baseline_deviations) else "This must be a number.",
        "schedule": _schedule_problem(rule),
        "labels": _labels_problem(rule),
    }
    return {name: problem for name, problem in problems.items() if problem}


def metrics_of(kind: str) -> list[str]:
    """Return the names of the metrics that a kind of rule can watch."""
    if kind == RuleKind.RUN:
        return list(RUN_METRICS)
    if kind == RuleKind.VERSION:
        return list(GUARDED)
    return [metric.name for metric in METRICS.values() if metric.additive or kind != RuleKind.BUDGET]


def _metric_problem(rule: AlertRule) -> str:
    known = metrics_of(rule.kind)
    if rule.metric in known:
        return ""
    what = RuleKind(rule.kind).label
    if rule.metric not in METRICS and rule.metric not in RUN_METRICS:
        return f"There is no metric '{rule.metric}'; there are {', '.join(known)}."
    return f"“{what}” cannot watch {rule.metric}; it can watch {', '.join(known)}."


def _group_problem(rule: AlertRule) -> str:
    if not isinstance(rule.group_by, list) or not all(isinstance(name, str) for name in rule.group_by):
        return "This must be a list of fields."
    if rule.group_by and rule.kind == RuleKind.VERSION:
        return "A version guard watches the newest version of all traces of its query; give each agent a guard of its own."
    if len(rule.group_by) > MAX_GROUP_FIELDS or len(set(rule.group_by)) < len(rule.group_by):
        return f"At most {MAX_GROUP_FIELDS} different fields can be grouped by."
    try:
        check_groups(rule.metric, rule.group_by)
    except MetricError as error:
        return error.message
    return ""


def _side_problem(rule: AlertRule) -> str:
    if rule.comparison == Side.BELOW and rule.kind in (RuleKind.BUDGET, RuleKind.RUN, RuleKind.VERSION):
        return f"“{RuleKind(rule.kind).label}” watches for values above its threshold."
    return ""


def _number_problem(rule: AlertRule, number: float) -> str:
    if not (0 <= number < math.inf):
        return "A threshold is a number from 0 up."
    if rule.is_relative:
        if rule.comparison == Side.BELOW and number >= 1:
            return "Nothing falls by more than 100%: write 0.5 for half as much."
        return "" if number <= _MOST_CHANGE else "A change of that size is a mistake: write 0.5 for half as much again."
    if number > 1 and rule.metric in METRICS and METRICS[rule.metric].unit == "ratio":
        return f"{rule.metric} is a ratio from 0 to 1: write 0.05 for 5%."
    return ""


def _warning_problem(rule: AlertRule) -> str:
    warning = rule.warning_threshold
    if warning is None:
        return ""
    if rule.severity != Severity.CRITICAL:
        return "Only a critical rule has a warning threshold beside its own."
    if problem := _number_problem(rule, warning):
        return problem
    if not is_past(rule.threshold, warning, _side_of_change(rule)):
        return "The warning threshold must be met before the critical one."
    return ""


def _recovery_problem(rule: AlertRule) -> str:
    recovery = rule.recovery_threshold
    if recovery is None:
        return ""
    if problem := _number_problem(rule, recovery):
        return problem
    mildest = rule.threshold if rule.warning_threshold is None else rule.warning_threshold
    if is_past(recovery, mildest, _side_of_change(rule)):
        return "The recovery threshold must lie on the good side of the thresholds."
    return ""


def _side_of_change(rule: AlertRule) -> str:
    """A greater change is a worse one, whichever its direction."""
    return Side.ABOVE.value if rule.is_relative else rule.comparison


def _schedule_problem(rule: AlertRule) -> str:
    hours = rule.schedule
    if hours == {}:
        return ""
    if not isinstance(hours, dict) or set(hours) != {"days", "start", "end"}:
        return 'Hours are {} or {"days": [0, 1, 2, 3, 4], "start": "08:00", "end": "18:00"}, Monday being 0.'
    days = hours["days"]
    if not isinstance(days, list) or not days or len(set(map(str, days))) < len(days) or any(day not in range(7) for day in days):
        return "Days are different numbers from 0 (Monday) to 6."
    if not all(isinstance(hours[name], str) and _CLOCK.fullmatch(hours[name]) for name in ("start", "end")):
        return "Hours start and end at times such as 08:00."
    return "Hours must not start and end at the same time." if hours["start"] == hours["end"] else ""


def _labels_problem(rule: AlertRule) -> str:
    labels = rule.labels
    if not isinstance(labels, dict) or len(labels) > MAX_LABELS:
        return f"Labels are at most {MAX_LABELS} texts by name."
    for name, value in labels.items():
        if not _LABEL.fullmatch(name):
            return f"“{name[:80]}” is no name of a label: letters, digits and . _ - after a letter, at most 63."
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            return f"The label “{name}” needs a text of at most 200 characters."
    return ""
