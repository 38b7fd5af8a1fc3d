"""What programs get of a message: the webhook's body besides title and text. docs/alerts.md describes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from alerts.evidence.focus import traces_path
from alerts.evidence.model import Evidence, Example
from alerts.evidence.steps import SlowSteps
from alerts.messages.links import ack_url
from alerts.messages.notification import Event
from alerts.messages.wording import format_value, metric_label, metric_unit
from alerts.models import Alert, Delivery
from alerts.rules.evaluation import AlertState
from tracestore.timerange import format_time_ns

# Within a version fields are added, never changed.
PAYLOAD_VERSION = 3


def alert_key(alert: Alert) -> str:
    """Return what all messages about one alert have in common, and those about others have not."""
    return f"tracestore-alert-{alert.project_id}-{alert.pk}"


def example_url(example: Example, base_url: str) -> str:
    span_id = example.telling_span_id or example.failing_span_id
    return f"{base_url}/traces/{example.trace_id}" + (f"?span={span_id}" if span_id else "")


def build_frame(delivery: Delivery, event: Event, base_url: str) -> dict[str, Any]:
    """Return the fields of every message about an alert."""
    alert = delivery.alert
    return {
        "version": PAYLOAD_VERSION,
        "event": event,
        "delivery_id": f"{alert.project_id}-{alert.pk}-{delivery.pk}",
        "severity": delivery.transition.severity or alert.severity,
        "labels": alert.labels,
        "alert": _alert_payload(delivery, base_url),
        "rule": _rule_payload(alert, base_url),
    }


def build_payload(delivery: Delivery, evidence: Evidence, cost_usd: float | None, base_url: str) -> dict[str, Any]:
    """Return the fields of a message about a value."""
    alert, transition = delivery.alert, delivery.transition
    event = Event.RESOLVED if transition.to_state == AlertState.RESOLVED else Event.FIRING
    return (
        build_frame(delivery, event, base_url)
        | {
            "value": transition.value,
            "value_text": format_value(alert.metric, transition.value),
            "samples": transition.samples,
            "baseline": transition.baseline,
            "compared_with": alert.compared_with or None,
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
                "cost_usd": cost_usd,
            },
        }
        | describe_reasons(evidence, base_url)
    )


def describe_reasons(evidence: Evidence, base_url: str) -> dict[str, Any]:
    """Return what differs about the traces behind the breach, where their time went, how they failed, and examples."""
    return {
        "differences": {
            "compared": evidence.compared,
            "earlier_start": format_time_ns(evidence.earlier_start_ns) if evidence.earlier_start_ns is not None else None,
            "top": [asdict(found) for found in evidence.distinctions],
        },
        "slow_steps": _slow_steps_payload(evidence.steps) if evidence.steps else None,
        "loops": [asdict(loop) for loop in evidence.loops],
        "errors": [
            {
                "fingerprint": error.fingerprint,
                "url": f"{base_url}/errors/{error.fingerprint}",
                "error_type": error.error_type,
                "message": error.message,
                "traces": error.traces,
                "first_seen": format_time_ns(error.first_seen_ns),
                "first_version": error.first_version or None,
                "is_new": error.is_new,
            }
            for error in evidence.errors
        ],
        "examples": [
            {
                "trace_id": example.trace_id,
                "url": example_url(example, base_url),
                "failing_span_id": example.failing_span_id or None,
                "telling_span_id": example.telling_span_id or example.failing_span_id or None,
                "name": example.name,
                "start_time": format_time_ns(example.start_ns),
                "duration_ns": example.duration_ns,
                "cost_usd": example.cost_usd,
                "error_types": example.error_types,
                "error_message": example.error_message,
                "versions": example.versions,
            }
            for example in evidence.examples
        ],
    }


def _slow_steps_payload(steps: SlowSteps) -> dict[str, Any]:
    told = asdict(steps)
    return {"before": {"start": format_time_ns(told.pop("start_ns")), "end": format_time_ns(told.pop("end_ns"))}} | told


def _alert_payload(delivery: Delivery, base_url: str) -> dict[str, Any]:
    alert, transition = delivery.alert, delivery.transition
    resolved_at = alert.resolved_at if transition.to_state == AlertState.RESOLVED else None
    return {
        "id": alert.pk,
        "key": alert_key(alert),
        "url": f"{base_url}/alerts/{alert.pk}",
        "ack_url": ack_url(alert) or None,
        "breached_since": alert.breach_seen_at().isoformat(),
        "started_at": alert.started_at.isoformat(),
        "resolved_at": resolved_at.isoformat() if resolved_at else None,
        "reason": transition.reason,
        "peak_value": alert.peak_value,
        "trace_id": alert.trace_id or None,
    }


def _rule_payload(alert: Alert, base_url: str) -> dict[str, Any]:
    return {
        "id": alert.rule_id,
        "url": f"{base_url}/alerts/rules/{alert.rule_id}" if alert.rule_id else None,
        "name": alert.rule_name,
        "kind": alert.kind,
        "severity": alert.severity,
        "metric": alert.metric,
        "metric_label": metric_label(alert.metric),
        "unit": metric_unit(alert.metric),
        "query": alert.query,
        "comparison": alert.comparison,
        "threshold": alert.threshold,
        "window_s": alert.window_s,
        "hold_s": alert.hold_s,
    }
