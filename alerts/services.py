"""Evaluate rules and keep their history. Work is claimed by conditional UPDATEs, so any number of workers may race."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, When

from alerts.evaluation import AlertState, Comparison, is_breached, next_state
from alerts.evidence import Evidence, collect_evidence, outline_evidence
from alerts.models import Alert, AlertRule, AlertTransition
from alerts.notify import add_deliveries
from tracestore import telemetry
from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError, parse_query
from tracestore.queries import metrics
from tracestore.queries.metrics import ROLLUPS_FROM_S, MetricError
from tracestore.timerange import NS_PER_S, TimeRange

logger = logging.getLogger(__name__)

CONDITION_FIELDS = ("metric", "query", "window_s", "comparison", "threshold", "hold_s")
DEFINITION_FIELDS = ("name", "severity", "enabled", *CONDITION_FIELDS)
_MAX_MISSED = 4
# Longer than an evaluation usually takes (up to three queries); one that died gives its rule back after it.
_LEASE = timedelta(seconds=60)


def _due_rules(now: datetime) -> QuerySet[AlertRule]:
    # A turn farther away than any that is ever set means that the clock was set back meanwhile.
    unheard_of = now + 2 * max(_LEASE, timedelta(seconds=settings.ALERT_INTERVAL_S))
    due = Q(next_evaluation_at__lte=now) | Q(next_evaluation_at__gt=unheard_of)
    return AlertRule.objects.filter(due, enabled=True)


def find_due_rules(now: datetime) -> list[int]:
    """Return the ids of the enabled rules whose next evaluation has come, longest waiting first."""
    return list(_due_rules(now).order_by("next_evaluation_at").values_list("pk", flat=True))


def evaluate_alert_rule(rule_id: int, now: datetime, store: Store | None = None) -> AlertTransition | None:
    """Evaluate one rule if its time has come and nobody else does; return the change of state, if there was one.

    A failing query leaves the state as it is and is kept in the rule's `last_error`.
    """
    rule = AlertRule.objects.filter(pk=rule_id).first()
    if rule is None or not _claim(rule, now):
        return None
    store = store or get_store()
    time_range = judged_window(now, rule.window_s)
    try:
        value = metrics.metric_value(
            store, project_id=rule.project_id, time_range=time_range, query=parse_query(rule.query), metric=rule.metric
        )
    except (StoreError, QueryError, MetricError) as error:
        logger.warning("alert rule %s (%s) could not be evaluated: %s", rule.pk, rule.name, error)
        AlertRule.objects.filter(pk=rule.pk, evaluation_seq=rule.evaluation_seq).update(
            last_error=str(error)[:1000], next_evaluation_at=_next_turn(now)
        )
        telemetry.ALERT_EVALUATIONS.labels("failed").inc()
        return None
    telemetry.ALERT_EVALUATIONS.labels("ok").inc()
    state = _decide(rule, value, now)
    evidence = outline_evidence(rule, time_range)
    if state == AlertState.FIRING and rule.state != AlertState.FIRING:
        try:
            evidence = collect_evidence(store, rule, time_range)
        except (StoreError, QueryError) as error:  # an alert without its reasons is better than none
            logger.warning("no evidence for alert rule %s (%s): %s", rule.pk, rule.name, error)
    return _record(rule, state, value, evidence, now)


def judged_window(now: datetime, window_s: int) -> TimeRange:
    """Return the window that an evaluation judges. One of many hours ends with a whole minute, so that rollups answer."""
    if window_s < ROLLUPS_FROM_S:
        return window_before(now, window_s)
    return window_before(now.replace(second=0, microsecond=0), window_s)


def window_before(now: datetime, window_s: int) -> TimeRange:
    """Return the window_s seconds that end now."""
    end_ns = int(now.timestamp()) * NS_PER_S + now.microsecond * 1000
    return TimeRange(max(0, end_ns - window_s * NS_PER_S), end_ns)


def _claim(rule: AlertRule, now: datetime) -> bool:
    claimed = _due_rules(now).filter(pk=rule.pk, next_evaluation_at=rule.next_evaluation_at, evaluation_seq=rule.evaluation_seq)
    return claimed.update(next_evaluation_at=now + _LEASE) == 1


def _next_turn(now: datetime) -> datetime:
    # A fifth less than the interval: a scheduler's tick that comes a little early must not skip a turn.
    return now + timedelta(seconds=0.8 * settings.ALERT_INTERVAL_S)


def _decide(rule: AlertRule, value: float | None, now: datetime) -> AlertState:
    seen_since = rule.state_since if rule.state == AlertState.PENDING and not _lost_sight(rule, now) else now
    return next_state(
        rule.state,
        breached=is_breached(value, comparison=rule.comparison, threshold=rule.threshold),
        breached_for_s=(now - seen_since).total_seconds(),
        hold_s=rule.hold_s,
    )


def _record(rule: AlertRule, state: AlertState, value: float | None, evidence: Evidence, now: datetime) -> AlertTransition | None:
    """Write the evaluation's result in one transaction, unless another result or an edit came since the rule was read."""
    kept = AlertState.INACTIVE if state == AlertState.RESOLVED else state
    changes: dict[str, object] = {"last_value": value, "last_evaluated_at": now, "last_error": "", "state": kept.value}
    changes |= {"next_evaluation_at": _next_turn(now), "evaluation_seq": rule.evaluation_seq + 1}
    if kept != rule.state or (kept == AlertState.PENDING and _lost_sight(rule, now)):
        changes["state_since"] = now
    with transaction.atomic():
        if AlertRule.objects.filter(pk=rule.pk, evaluation_seq=rule.evaluation_seq).update(**changes) != 1:
            return None
        if state == rule.state:
            if state == AlertState.FIRING and value is not None:
                _raise_peak(rule, value)
            return None
        transition = _add_transition(rule, state, now, value=value, evidence=evidence)
    logger.info("alert rule %s (%s): %s -> %s at %s", rule.pk, rule.name, rule.state, state.value, value)
    return transition


def _lost_sight(rule: AlertRule, now: datetime) -> bool:
    """A pending rule that was not evaluated for a while has not been seen to hold: its hold starts again."""
    limit = timedelta(seconds=_MAX_MISSED * settings.ALERT_INTERVAL_S)
    return rule.last_evaluated_at is None or abs(now - rule.last_evaluated_at) > limit


def _raise_peak(rule: AlertRule, value: float) -> None:
    farther = Q(peak_value__lt=value) if rule.comparison == Comparison.ABOVE else Q(peak_value__gt=value)
    Alert.objects.filter(farther, rule=rule, resolved_at=None).update(peak_value=value)


def _add_transition(
    rule: AlertRule, state: AlertState, now: datetime, *, value: float | None, evidence: Evidence, reason: str = ""
) -> AlertTransition:
    """Add the transition with its alert and deliveries. Runs inside the caller's transaction."""
    alert = None
    if state == AlertState.FIRING and value is not None:
        alert = _open_alert(rule, value, evidence, now)
    elif state == AlertState.RESOLVED:
        alert = Alert.objects.filter(rule=rule, resolved_at=None).first()
        if alert:
            Alert.objects.filter(pk=alert.pk).update(resolved_at=now, resolve_reason=reason)
    transition = AlertTransition.objects.create(
        rule=rule,
        alert=alert,
        from_state=rule.state,
        to_state=state.value,
        at=now,
        value=value,
        threshold=rule.threshold,
        window_start_ns=evidence.start_ns,
        window_end_ns=evidence.end_ns,
        reason=reason,
        evidence=evidence.to_json() if state == AlertState.FIRING else {},
    )
    if alert:
        add_deliveries(alert, transition, now)
    return transition


def _open_alert(rule: AlertRule, value: float, evidence: Evidence, now: datetime) -> Alert:
    alert = Alert.objects.create(
        project_id=rule.project_id,
        rule=rule,
        rule_name=rule.name,
        severity=rule.severity,
        metric=rule.metric,
        query=rule.query,
        window_s=rule.window_s,
        comparison=rule.comparison,
        threshold=rule.threshold,
        hold_s=rule.hold_s,
        value=value,
        peak_value=value,
        started_at=now,
        evidence=evidence.to_json(),
    )
    # The row that says since when the value was past the threshold belongs to the episode too.
    pending = AlertTransition.objects.filter(rule=rule, alert=None).order_by("-at", "-id").first()
    if pending and pending.to_state == AlertState.PENDING:
        AlertTransition.objects.filter(pk=pending.pk).update(alert=alert)
    return alert


def save_rule(rule: AlertRule, now: datetime) -> None:
    """Save a rule's definition, never its state, which an evaluation may be changing at this moment.

    A changed condition or a disabled rule ends what was pending or firing; the channels hear that it is resolved, and why.
    """
    if rule.pk is None:
        rule.next_evaluation_at = rule.state_since = now
        rule.save()
        return
    with transaction.atomic():
        stored = AlertRule.objects.select_for_update().get(pk=rule.pk)
        changed = [name for name in CONDITION_FIELDS if getattr(stored, name) != getattr(rule, name)]
        reason = "the rule was switched off" if not rule.enabled else "the rule was edited" if changed else ""
        if reason:
            _end_state(stored, now, reason)
        rule.save(update_fields=DEFINITION_FIELDS)
        AlertRule.objects.filter(pk=rule.pk).update(evaluation_seq=F("evaluation_seq") + 1, next_evaluation_at=now)
        if changed:
            AlertRule.objects.filter(pk=rule.pk).update(last_value=None, last_evaluated_at=None, last_error="")
    rule.refresh_from_db()


def delete_rule(rule: AlertRule, now: datetime) -> None:
    """Delete a rule; its past alerts stay, a firing one is resolved first."""
    with transaction.atomic():
        stored = AlertRule.objects.select_for_update().get(pk=rule.pk)
        _end_state(stored, now, "the rule was deleted")
        stored.delete()


def _end_state(rule: AlertRule, now: datetime, reason: str) -> None:
    if rule.state == AlertState.INACTIVE:
        return
    state = AlertState.RESOLVED if rule.state == AlertState.FIRING else AlertState.INACTIVE
    outline = outline_evidence(rule, window_before(now, rule.window_s))
    _add_transition(rule, state, now, value=None, evidence=outline, reason=reason)
    AlertRule.objects.filter(pk=rule.pk).update(state=AlertState.INACTIVE.value, state_since=now)


def find_rules(project_id: int) -> QuerySet[AlertRule]:
    """Return rules with their channels: firing ones first, then pending ones, then by name."""
    urgency = Case(When(state=AlertState.FIRING, then=0), When(state=AlertState.PENDING, then=1), default=2)
    return AlertRule.objects.filter(project_id=project_id).prefetch_related("channels").order_by(urgency, "name")


def count_firing(project_id: int) -> int:
    return Alert.objects.filter(project_id=project_id, resolved_at=None).count()


def find_alerts(project_id: int, *, firing: bool | None = None) -> QuerySet[Alert]:
    """Return alerts, firing ones first, then newest first; lazily, so that a page takes only its part."""
    alerts = Alert.objects.filter(project_id=project_id)
    if firing is not None:
        alerts = alerts.filter(resolved_at__isnull=firing)
    return alerts.order_by(F("resolved_at").desc(nulls_first=True), "-started_at", "-id")
