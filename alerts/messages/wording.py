"""Values, conditions and durations as a message says them. Plain text, for e-mail and chat."""

from __future__ import annotations

from datetime import UTC, datetime

from alerts.models import AlertRule, RuleKind
from alerts.rules.evaluation import Comparison
from tracestore.queries.metrics.definitions import METRICS
from tracestore.queries.metrics.groups import RUN_METRICS
from tracestore.timerange import moment_of

NO_DATA = "no data"


def metric_label(metric: str) -> str:
    known = METRICS.get(metric) or RUN_METRICS.get(metric)
    return known.label if known else metric


def metric_unit(metric: str) -> str:
    known = METRICS.get(metric) or RUN_METRICS.get(metric)
    return known.unit if known else ""


def format_value(metric: str, value: float | None) -> str:
    """Return a value with its unit: 17.6%, 2.41 s, $0.52, 37 traces, 1 trace. Thresholds and values read alike."""
    if value is None:
        return NO_DATA
    unit = metric_unit(metric)
    if unit == "ratio":
        return f"{_trim(value * 100, 2)}%"
    if unit == "s":
        return f"{_trim(value, 3)} s"
    if unit == "USD":
        return f"${value:,.2f}" if value >= 1 or value == round(value, 2) else f"${_trim(value, 6)}"
    counted = _trim(value, 2)
    return f"{counted} {unit.removesuffix('s') if counted == '1' else unit}".rstrip()


def _trim(number: float, decimals: int) -> str:
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_short_s(seconds: float) -> str:
    """Return a duration of a step as people say it: 0.04 s, 6.12 s, 31.4 s."""
    return f"{_trim(seconds, 2 if seconds < 10 else 1)} s"


def format_mean(count: float) -> str:
    """Return an average number of things: 1, 0.4, 10.2."""
    return _trim(count, 1)


def format_share(share: float) -> str:
    """Return a share of 0 to 1 as a whole percentage that rounds nothing up to all or down to none."""
    percent = round(share * 100)
    if percent == 100 and share < 1:
        return ">99%"
    if percent == 0 and share > 0:
        return "<1%"
    return f"{percent}%"


def format_seconds(seconds: float) -> str:
    """Return 45 s, 5 m, 1 h 30 m, 2 d 04 h, as the trace list does."""
    whole = max(0, round(seconds))
    for large_s, large, small_s, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= large_s:
            rest = whole % large_s // small_s
            return f"{whole // large_s} {large}" + (f" {rest:02d} {small}" if rest else "")
    return f"{whole} s"


def format_condition(metric: str, comparison: str, threshold: float) -> str:
    """Return for example "Failure rate above 5%"."""
    return f"{metric_label(metric)} {comparison} {format_value(metric, threshold)}"


def format_rule(rule: AlertRule) -> str:
    """Return what a rule asks, for example "Failure rate above 5%, warning 2%" or "Cost 50% above the same hours of 4 weeks"."""
    limits = [(rule.threshold, "")] + ([] if rule.warning_threshold is None else [(rule.warning_threshold, "warning ")])
    numbers = ", ".join(f"{said}{_percent(n) if rule.is_relative else format_value(rule.metric, n)}" for n, said in limits)
    label = metric_label(rule.metric)
    apart = f", for each {' and '.join(rule.group_by)}" if rule.group_by else ""
    if rule.kind == RuleKind.BASELINE:
        weeks = f"{rule.baseline_weeks} week{'s' if rule.baseline_weeks > 1 else ''}"
        return f"{label} more than {numbers} {rule.comparison} the same hours of {weeks}{apart}"
    if rule.kind == RuleKind.VERSION:
        return f"{label} of a new version more than {numbers} above the one before"
    if rule.kind == RuleKind.BUDGET:
        return f"{label} of the {rule.budget_period} above {numbers}{apart}"
    return f"{label} {rule.comparison} {numbers}{apart}"


def _percent(change: float) -> str:
    return f"{_trim(change * 100, 2)}%"


def format_moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_moment_ns(time_ns: int) -> str:
    return format_moment(moment_of(time_ns))


def format_range(start_ns: int, end_ns: int) -> str:
    """Return for example "2026-11-20 08:25:00 to 08:30:00 UTC"."""
    start, end = moment_of(start_ns), moment_of(end_ns)
    return f"{start:%Y-%m-%d %H:%M:%S} to {end:{'%H:%M:%S' if start.date() == end.date() else '%Y-%m-%d %H:%M:%S'}} UTC"


def sign_of(comparison: str) -> str:
    return ">" if comparison == Comparison.ABOVE else "<"
