"""End what fires for another reason than its value: the rule rests, was edited or deleted."""

from __future__ import annotations

from datetime import datetime

from alerts.evidence.gathering import outline_evidence
from alerts.models import AlertRule, AlertTransition
from alerts.rules.broken import end_broken, is_broken
from alerts.rules.evaluation import AlertState, Observation
from alerts.rules.observing import Sight, window_before
from alerts.rules.recording import end_of, record_change
from alerts.rules.schedule import condition_of
from tracestore.timerange import ns_of


def end_state(rule: AlertRule, now: datetime, reason: str) -> list[AlertTransition]:
    """End what is pending or firing, and forget all groups. Runs inside the caller's transaction; `reason` is told."""
    condition = condition_of(rule)
    window = window_before(now, rule.window_s)
    transitions = []
    for instance in rule.instances.exclude(state=AlertState.INACTIVE):
        if change := end_of(instance, condition, now):
            sight = Sight(Observation(None, 0, ns_of(now)), window, instance.labels)
            evidence = outline_evidence(rule, window, instance.labels)
            transitions.append(record_change(rule, instance, change, sight, evidence, now, reason))
    if is_broken(rule):
        transitions.append(end_broken(rule, now, reason))
    rule.instances.all().delete()
    AlertRule.objects.filter(pk=rule.pk).update(failed_evaluations=0)
    if rule.state != AlertState.INACTIVE:
        AlertRule.objects.filter(pk=rule.pk).update(state=AlertState.INACTIVE.value, state_since=now)
    return transitions
