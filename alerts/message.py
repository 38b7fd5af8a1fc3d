"""What a notification says: which rule, how far past its threshold, why, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from apprise import NotifyType

from alerts.causes import HEADINGS
from alerts.channels import Notification
from alerts.evaluation import AlertState
from alerts.evidence import Cause, Causes, Evidence, Example
from alerts.focus import traces_path
from alerts.models import Alert, AlertTransition, Delivery, NotificationChannel, Severity
from alerts.wording import (
    format_moment,
    format_range,
    format_seconds,
    format_share,
    format_value,
    metric_label,
    metric_unit,
    sign_of,
)
from tracestore.timerange import format_time_ns

_SHOWN = 3
_KINDS = {Severity.INFO: NotifyType.INFO, Severity.WARNING: NotifyType.WARNING, Severity.CRITICAL: NotifyType.FAILURE}


def build_notification(delivery: Delivery, base_url: str) -> Notification:
    """Return the message of one delivery; the same delivery always gives the same message."""
    alert, transition = delivery.alert, delivery.transition
    firing = transition.to_state == AlertState.FIRING
    evidence = Evidence.from_json(alert.evidence)
    lines = (
        _firing_lines(alert, transition, evidence, base_url) if firing else _resolved_lines(alert, transition, evidence, base_url)
    )
    return Notification(
        title=_one_line(_firing_title(alert, transition) if firing else _resolved_title(alert, transition)),
        body="\n".join(lines),
        kind=_KINDS[Severity(alert.severity)] if firing else NotifyType.SUCCESS,
        payload=_payload(delivery, evidence, base_url),
    )


def build_test_notification(channel: NotificationChannel, base_url: str) -> Notification:
    """Return a harmless message that proves the channel works."""
    return Notification(
        title=f"[test] Tracestore reaches {channel.name}",
        body=f"This is a test message. Alerts sent to the channel {channel.name} will arrive here.\n\n{base_url}/alerts",
        kind=NotifyType.INFO,
        payload={"event": "test", "channel": channel.name},
    )


def _firing_title(alert: Alert, transition: AlertTransition) -> str:
    value, threshold = (format_value(alert.metric, number) for number in (transition.value, alert.threshold))
    return f"[{alert.severity}] {alert.rule_name}: {metric_label(alert.metric)} {value} {sign_of(alert.comparison)} {threshold}"


def _resolved_title(alert: Alert, transition: AlertTransition) -> str:
    return f"[resolved] {alert.rule_name}: after {format_seconds((transition.at - alert.started_at).total_seconds())}"


def _describe_breach(alert: Alert, evidence: Evidence) -> str:
    """Return the sentence that states value against threshold, with the counts behind it."""
    total = evidence.causes.failing + evidence.causes.others
    counts = (
        f" ({evidence.causes.failing} of {total} traces)" if evidence.causes.others else f" ({total} traces)" if total else ""
    )
    return (
        f"{metric_label(alert.metric)} is {format_value(alert.metric, alert.value)}, {alert.comparison} the threshold of "
        f"{format_value(alert.metric, alert.threshold)}{counts}."
    )


def _firing_lines(alert: Alert, transition: AlertTransition, evidence: Evidence, base_url: str) -> Iterator[str]:
    held = f" It had been so for {format_seconds(alert.hold_s)}." if alert.hold_s else ""
    yield f"{alert.rule_name} is firing ({alert.severity})."
    yield ""
    yield _describe_breach(alert, evidence) + held
    yield f"Window: {format_range(transition.window_start_ns, transition.window_end_ns)} ({format_seconds(alert.window_s)})"
    yield f"Traces: {alert.query or 'all'}"
    yield ""
    causes = list(_cause_lines(evidence))
    if causes:
        yield f"Among these {evidence.causes.failing} {evidence.noun}:"
        yield from causes
        yield ""
    yield f"See exactly these {evidence.noun}:"
    yield base_url + traces_path(evidence.query, evidence.time_range)
    yield ""
    if evidence.examples:
        yield "Examples:"
        for example in evidence.examples:
            yield f"- {_describe_example(example)}"
            yield f"  {base_url}/traces/{example.trace_id}"
        yield ""
    yield f"Alert: {base_url}/alerts/{alert.pk}"


def _resolved_lines(alert: Alert, transition: AlertTransition, evidence: Evidence, base_url: str) -> Iterator[str]:
    duration = format_seconds((transition.at - alert.started_at).total_seconds())
    yield f"{alert.rule_name} is resolved after {duration}."
    yield ""
    if transition.reason:
        yield f"Reason: {transition.reason}."
    else:
        yield (
            f"{metric_label(alert.metric)} is {format_value(alert.metric, transition.value)}; the threshold is "
            f"{alert.comparison} {format_value(alert.metric, alert.threshold)}."
        )
    worst = format_value(alert.metric, alert.peak_value)
    yield f"It fired from {format_moment(alert.started_at)} to {format_moment(transition.at)}, at worst {worst}."
    yield ""
    yield f"The {evidence.noun} that started it:"
    yield base_url + traces_path(evidence.query, evidence.time_range)
    yield ""
    yield f"Alert: {base_url}/alerts/{alert.pk}"


def _cause_lines(evidence: Evidence) -> Iterator[str]:
    for name, heading in HEADINGS.items():
        causes: list[Cause] = getattr(evidence.causes, name)
        if causes:
            yield f"- {heading}: " + ", ".join(_describe_cause(cause, evidence.causes) for cause in causes[:_SHOWN])


def _describe_cause(cause: Cause, causes: Causes) -> str:
    """Return for example "v3 35 (95%; 12% of the others)"."""
    others = f"; {format_share(cause.other_share)} of the others" if causes.others else ""
    return f"{_one_line(cause.value)} {cause.failing} ({format_share(cause.failing_share)}{others})"


def _describe_example(example: Example) -> str:
    said = ": ".join(part for part in (", ".join(example.error_types), _one_line(example.error_message)[:120]) if part)
    return " | ".join(_one_line(part) for part in (example.name or "(no name)", ", ".join(example.versions), said) if part)


def _one_line(text: str) -> str:
    """Names and messages come from traces and may hold anything; a line break would forge a header or a line of ours."""
    return " ".join(text.split())


def _payload(delivery: Delivery, evidence: Evidence, base_url: str) -> dict[str, Any]:
    """The fields of the webhook body besides title and message; described in docs/alerts.md, so additions only."""
    alert, transition = delivery.alert, delivery.transition
    return {
        "event": "firing" if transition.to_state == AlertState.FIRING else "resolved",
        "delivery_id": f"{alert.project_id}-{alert.pk}-{delivery.pk}",
        "alert": {
            "id": alert.pk,
            "url": f"{base_url}/alerts/{alert.pk}",
            "started_at": alert.started_at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat()
            if transition.to_state == AlertState.RESOLVED and alert.resolved_at
            else None,
            "reason": transition.reason,
        },
        "rule": {
            "id": alert.rule_id,
            "name": alert.rule_name,
            "severity": alert.severity,
            "metric": alert.metric,
            "metric_label": metric_label(alert.metric),
            "unit": metric_unit(alert.metric),
            "query": alert.query,
            "comparison": alert.comparison,
            "threshold": alert.threshold,
            "window_s": alert.window_s,
            "hold_s": alert.hold_s,
        },
        "value": transition.value,
        "value_text": format_value(alert.metric, transition.value),
        "window": {
            "start": format_time_ns(transition.window_start_ns),
            "end": format_time_ns(transition.window_end_ns),
        },
        "traces": {
            "query": evidence.query,
            "start": format_time_ns(evidence.start_ns),
            "end": format_time_ns(evidence.end_ns),
            "url": base_url + traces_path(evidence.query, evidence.time_range),
            "count": evidence.causes.failing,
            "others": evidence.causes.others,
        },
        "causes": {name: [asdict(cause) for cause in getattr(evidence.causes, name)] for name in HEADINGS},
        "examples": [
            {
                "trace_id": example.trace_id,
                "url": f"{base_url}/traces/{example.trace_id}",
                "name": example.name,
                "start_time": format_time_ns(example.start_ns),
                "duration_ns": example.duration_ns,
                "error_types": example.error_types,
                "error_message": example.error_message,
                "versions": example.versions,
            }
            for example in evidence.examples
        ],
    }
