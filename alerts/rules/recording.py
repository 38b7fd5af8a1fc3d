"""Write down what an evaluation found: states, transitions and alerts. Everything here runs inside the caller's transaction."""

from __future__ import annotations

import logging
from datetime import datetime

from alerts.evidence.focus import narrow
from alerts.evidence.model import Evidence
from alerts.models import BROKEN_KEY, Alert, AlertRule, AlertTransition, RuleInstance
from alerts.on_call.notify import add_deliveries
from alerts.rules.evaluation import AlertState, Condition, Transition, farther
from alerts.rules.observing import Sight
from tracestore.timerange import ns_of

logger = logging.getLogger(__name__)


def record_change(
    rule: AlertRule, instance: RuleInstance, change: Transition, sight: Sight, evidence: Evidence, now: datetime, reason: str = ""
) -> AlertTransition:
    """Add the transition with its alert and deliveries. `reason` says why when the value does not."""
    observation = sight.observation
    if change.to_state == AlertState.FIRING and observation.value is None:
        reason = reason or "no data, which is a breach by this rule"
    alert = None
    if change.to_state == AlertState.FIRING and change.from_state != AlertState.FIRING:
        alert = _open_alert(rule, instance, change, sight, evidence, now)
    elif change.from_state == AlertState.FIRING:
        alert = Alert.objects.filter(rule=rule, instance_key=instance.key, resolved_at=None).first()
    if alert and change.to_state == AlertState.RESOLVED:
        alert.resolved_at, alert.resolve_reason = now, reason
        alert.save(update_fields=["resolved_at", "resolve_reason"])
    elif alert and change.from_state == AlertState.FIRING:
        alert.severity = change.severity
        alert.threshold = alert.threshold if change.threshold is None else change.threshold
        alert.save(update_fields=["severity", "threshold"])
    transition = AlertTransition.objects.create(
        rule=rule,
        alert=alert,
        labels=instance.labels,
        severity=change.severity,
        from_state=change.from_state.value,
        to_state=change.to_state.value,
        at=now,
        value=observation.value,
        samples=observation.samples,
        baseline=observation.baseline,
        threshold=rule.threshold if change.threshold is None else change.threshold,
        window_start_ns=evidence.start_ns,
        window_end_ns=evidence.end_ns,
        reason=reason,
        evidence=evidence.to_json() if change.to_state == AlertState.FIRING else {},
    )
    if alert:
        add_deliveries(alert, transition, now)
    logger.info(
        "alert rule %s (%s) %s: %s -> %s at %s", rule.pk, rule.name, instance.key, change.from_state, change.to_state,
        observation.value,
    )  # fmt: skip
    return transition


def _open_alert(
    rule: AlertRule, instance: RuleInstance, change: Transition, sight: Sight, evidence: Evidence, now: datetime
) -> Alert:
    observation = sight.observation
    alert = Alert.objects.create(
        project_id=rule.project_id,
        rule=rule,
        rule_name=rule.name,
        kind=rule.kind,
        labels=instance.labels,
        instance_key=instance.key,
        severity=change.severity,
        metric=rule.metric,
        query=narrow(rule.query, instance.labels),
        window_s=rule.window_s,
        comparison=rule.comparison,
        threshold=rule.threshold if change.threshold is None else change.threshold,
        hold_s=rule.hold_s,
        value=observation.value,
        peak_value=observation.value,
        samples=observation.samples,
        baseline=observation.baseline,
        compared_with=sight.compared_with[:200],
        trace_id=sight.trace_id,
        started_at=now,
        evidence=evidence.to_json(),
    )
    # The row that says since when the value was past the threshold belongs to the episode too.
    if instance.key == BROKEN_KEY:
        return alert
    pending = AlertTransition.objects.filter(rule=rule, labels=instance.labels).order_by("-at", "-id").first()
    if pending and pending.alert_id is None and pending.to_state == AlertState.PENDING:
        AlertTransition.objects.filter(pk=pending.pk).update(alert=alert)
    return alert


def raise_peak(rule: AlertRule, instance: RuleInstance, sight: Sight) -> None:
    """Keep the worst value of the open alert, and the run that had it."""
    alert = Alert.objects.filter(rule=rule, instance_key=instance.key, resolved_at=None).first()
    if alert is None:
        return
    peak = farther(alert.peak_value, sight.observation.value, rule.comparison)
    if peak != alert.peak_value:
        Alert.objects.filter(pk=alert.pk).update(peak_value=peak, trace_id=sight.trace_id)


def end_of(instance: RuleInstance, condition: Condition, now: datetime) -> Transition | None:
    """Return the transition that ends what is pending or firing, whatever the value."""
    before = AlertState(instance.state)
    if before == AlertState.INACTIVE:
        return None
    after = AlertState.RESOLVED if before == AlertState.FIRING else AlertState.INACTIVE
    return Transition(before, after, instance.severity or condition.levels[0].severity, ns_of(now), None)
