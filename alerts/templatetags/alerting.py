"""Alert values as words, the same on pages as in messages."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django import template

from alerts.messages import wording
from alerts.models import AlertRule, RuleInstance
from alerts.on_call.silences import DAYS
from alerts.on_call.timeline import STATE_CLASSES
from alerts.rules.evaluation import AlertState
from tracestore.timerange import ns_of

register = template.Library()
register.filter("share", wording.format_share)
register.filter("metric_label", wording.metric_label)
_SHOWN = 5
SEVERITY_ICONS = {"critical": "error", "warning": "alert", "info": "bell"}
_UNIT_SPACE = re.compile(r"(?<=\d) (?=[smhd]\b)|(?<=\d [mhd]) (?=\d\d [smh]\b)")


def _glue(text: str) -> str:
    """Keep a number and its unit on one line. Messages have plain spaces: programs read them too."""
    return _UNIT_SPACE.sub("\u00a0", text)


@register.filter
def seconds(value: float) -> str:
    """Return a duration that no line ends in: 45 s, 1 h 30 m."""
    return _glue(wording.format_seconds(value))


@register.filter
def seconds_or_none(value: float | None) -> str:
    """Return a dash for a duration that nobody knows."""
    return "–" if value is None else seconds(value)


@register.filter
def weekday(number: int) -> str:
    """Return the day's short name; 0 is Monday."""
    return DAYS[number]


@register.filter
def value_of(value: float | None, subject: Any) -> str:
    """Format a value in the unit of `subject`'s metric (a rule, an alert or a condition)."""
    return _glue(wording.format_value(subject.metric, value))


@register.filter
def condition(subject: Any) -> str:
    """Return for example "Failure rate above 5%"."""
    return _glue(wording.format_condition(subject.metric, subject.comparison, subject.threshold))


@register.filter
def rule_words(rule: AlertRule) -> str:
    """Return what a rule asks, in a sentence's words."""
    return _glue(wording.format_rule(rule))


@register.filter
def labels_words(labels: dict[str, str]) -> str:
    """Return for example "version v3, tool refund"."""
    return ", ".join(f"{name} {value[:80] or '(none)'}" for name, value in labels.items())


@register.filter
def telling_groups(rule: AlertRule) -> list[RuleInstance]:
    """Return the groups to show under a rule: those that are not at rest, worst first, and what is compared or foretold."""
    telling = [row for row in rule.instances.all() if row.spent_at or (row.labels and row.state != AlertState.INACTIVE)]
    if rule.is_relative and not telling:
        telling = [row for row in rule.instances.all() if row.last_baseline is not None]
    return sorted(telling, key=lambda row: (row.state != AlertState.FIRING, row.key))[:_SHOWN]


@register.filter
def wait_words(rule: AlertRule) -> str:
    """Return why what the rule shows decides nothing yet, and until when; "" where it does."""
    waits = [wait for row in rule.instances.all() if (wait := row.to_state().wait)]
    if not waits:
        return ""
    why = "a downtime of Tracestore lies in its window, and what agents sent meanwhile may be missing"
    ends_ns = [wait.until_ns for wait in waits if wait.until_ns is not None]
    if len(ends_ns) < len(waits):
        return "Waits until Tracestore receives again and shows what has come: what agents send now may be missing."
    return f"Waits until {wording.format_moment_ns(max(ends_ns))}: {why}."


@register.filter
def state_class(state: str) -> str:
    """Return the modifier of .badge for a state."""
    return STATE_CLASSES.get(state, "")


@register.filter
def severity_icon(severity: str) -> str:
    return SEVERITY_ICONS.get(severity, "bell")


@register.filter
def ns(moment: datetime | None) -> int | None:
    """Return a datetime as nanoseconds since the epoch, for the filters of times."""
    return None if moment is None else ns_of(moment)


@register.filter
def fullness(rule: AlertRule) -> int:
    """Return how far the last value is on its way to the threshold, 0 to 100; 100 is at or past it."""
    if rule.last_value is None:
        return 0
    if rule.comparison == "above":
        return int(min(1.0, rule.last_value / rule.threshold) * 100) if rule.threshold else 100 * (rule.last_value > 0)
    return int(min(1.0, rule.threshold / rule.last_value) * 100) if rule.last_value else 100
