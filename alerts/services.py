"""Evaluate rules and keep their history. Work is claimed by conditional UPDATEs, so any number of workers may race."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, When

from alerts.evaluation import AlertState, Condition, Observation, Transition, has_data, step
from alerts.evidence import Evidence, collect_evidence, outline_evidence
from alerts.models import MAX_INTERVAL_S, Alert, AlertRule, AlertTransition, RuleInstance, instance_key
from alerts.observing import Sight, ns_of, observe_rule, window_before
from alerts.recording import moment_of, raise_peak, record_change, remember
from tracestore import telemetry
from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError
from tracestore.queries.metrics import MetricError

logger = logging.getLogger(__name__)

# A change of these ends what is pending or firing: it was about something else.
CONDITION_FIELDS = (
    "kind", "metric", "query", "group_by", "window_s", "comparison", "threshold", "warning_threshold", "recovery_threshold",
    "hold_s", "breaches_needed", "of_evaluations", "min_samples", "no_data", "baseline_weeks", "baseline_deviations",
    "budget_period", "time_zone", "severity",
)  # fmt: skip
DEFINITION_FIELDS = ("name", "enabled", "interval_s", "grace_s", "schedule", "labels", *CONDITION_FIELDS)
_URGENCY = {AlertState.INACTIVE: 0, AlertState.PENDING: 1, AlertState.FIRING: 2}
_INSTANCE_FIELDS = [
    "state", "severity", "state_since_ns", "memory", "last_value", "last_samples", "last_baseline", "last_seen_at", "spent_at",
]  # fmt: skip
_MAX_MISSED = 4
# Longer than an evaluation usually takes (up to three queries); one that died gives its rule back after it.
_LEASE = timedelta(seconds=60)


def _due_rules(now: datetime) -> QuerySet[AlertRule]:
    # A turn farther away than any that is ever set means that the clock was set back meanwhile.
    soon = now + 2 * max(_LEASE, timedelta(seconds=settings.ALERT_INTERVAL_S))
    unheard_of = Q(interval_s=0, next_evaluation_at__gt=soon) | Q(next_evaluation_at__gt=soon + timedelta(seconds=MAX_INTERVAL_S))
    due = Q(next_evaluation_at__lte=now) | unheard_of
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
    try:
        sights = observe_rule(store, rule, now)
    except (StoreError, QueryError, MetricError) as error:
        logger.warning("alert rule %s (%s) could not be evaluated: %s", rule.pk, rule.name, error)
        AlertRule.objects.filter(pk=rule.pk, evaluation_seq=rule.evaluation_seq).update(
            last_error=str(error)[:1000], failed_evaluations=F("failed_evaluations") + 1, next_evaluation_at=_next_turn(rule, now)
        )
        telemetry.ALERT_EVALUATIONS.labels("failed").inc()
        return None
    telemetry.ALERT_EVALUATIONS.labels("ok").inc()
    return next(iter(_take(store, rule, sights, now)), None)


def _claim(rule: AlertRule, now: datetime) -> bool:
    claimed = _due_rules(now).filter(pk=rule.pk, next_evaluation_at=rule.next_evaluation_at, evaluation_seq=rule.evaluation_seq)
    return claimed.update(next_evaluation_at=now + _LEASE) == 1


def _next_turn(rule: AlertRule, now: datetime) -> datetime:
    # A fifth less than the interval: a scheduler's tick that comes a little early must not skip a turn.
    return now + timedelta(seconds=max(rule.interval_s - 0.2 * settings.ALERT_INTERVAL_S, 0.8 * settings.ALERT_INTERVAL_S))


def condition_of(rule: AlertRule) -> Condition:
    """Return a rule's condition for live evaluation, which starts a hold again after some missed turns."""
    return rule.condition(longest_gap_s=_MAX_MISSED * max(rule.interval_s, settings.ALERT_INTERVAL_S))


def _take(store: Store, rule: AlertRule, sights: list[Sight], now: datetime) -> list[AlertTransition]:
    """Take what was seen of a rule through the state machine and write the result, unless an edit or a later one came between."""
    condition = condition_of(rule)
    known = {instance.key: instance for instance in rule.instances.all()}
    steps: list[tuple[RuleInstance, Sight, Transition | None, Evidence]] = []
    for sight in sights:
        key = instance_key(sight.labels)
        instance = known.get(key) or RuleInstance(rule=rule, key=key, labels=sight.labels)
        state, change = step(instance.to_state(), sight.observation, condition)
        instance.set_state(state)
        remember(instance, sight, has_data=has_data(sight.observation, condition), now=now)
        steps.append((instance, sight, change, _explain(store, rule, sight, change)))
    worst = max(steps, key=lambda taken: _URGENCY[AlertState(taken[0].state)])
    changes: dict[str, object] = {"last_evaluated_at": now, "last_error": "", "failed_evaluations": 0}
    changes |= {"last_value": worst[1].observation.value, "state": worst[0].state}
    changes |= {"next_evaluation_at": _next_turn(rule, now), "evaluation_seq": rule.evaluation_seq + 1}
    if worst[0].state != rule.state or worst[0].state == AlertState.PENDING:
        changes["state_since"] = moment_of(worst[0].state_since_ns)
    with transaction.atomic():
        if AlertRule.objects.filter(pk=rule.pk, evaluation_seq=rule.evaluation_seq).update(**changes) != 1:
            return []
        RuleInstance.objects.bulk_create(
            [instance for instance, *_ in steps],
            update_conflicts=True,
            unique_fields=["rule", "key"],
            update_fields=_INSTANCE_FIELDS,
        )
        transitions = []
        for instance, sight, change, evidence in steps:
            if change:
                transitions.append(record_change(rule, instance, change, sight, evidence, now))
            elif instance.state == AlertState.FIRING:
                raise_peak(rule, instance, sight)
    return transitions


def _explain(store: Store, rule: AlertRule, sight: Sight, change: Transition | None) -> Evidence:
    outline = outline_evidence(rule, sight.time_range, sight.labels)
    if change and change.to_state == AlertState.FIRING:
        try:
            return collect_evidence(store, rule, sight.time_range, sight.labels)
        except (StoreError, QueryError) as error:  # an alert without its reasons is better than none
            logger.warning("no evidence for alert rule %s (%s): %s", rule.pk, rule.name, error)
    return outline


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
    """End what is pending or firing, and forget all groups."""
    condition = condition_of(rule)
    window = window_before(now, rule.window_s)
    for instance in rule.instances.exclude(state=AlertState.INACTIVE):
        before = AlertState(instance.state)
        after = AlertState.RESOLVED if before == AlertState.FIRING else AlertState.INACTIVE
        change = Transition(before, after, instance.severity or condition.levels[0].severity, ns_of(now), None)
        sight = Sight(Observation(None, 0, ns_of(now)), window, instance.labels)
        record_change(rule, instance, change, sight, outline_evidence(rule, window, instance.labels), now, reason)
    rule.instances.all().delete()
    if rule.state != AlertState.INACTIVE:
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
