"""Save and delete rules, without touching a state that an evaluation may be changing at this moment."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from alerts.models import AlertRule
from alerts.rules.ending import end_state

# A change of these ends what is pending or firing: it was about something else.
CONDITION_FIELDS = (
    "kind", "metric", "query", "group_by", "window_s", "comparison", "threshold", "warning_threshold", "recovery_threshold",
    "hold_s", "breaches_needed", "of_evaluations", "min_samples", "no_data", "baseline_weeks", "baseline_deviations",
    "budget_period", "time_zone", "severity",
)  # fmt: skip
DEFINITION_FIELDS = ("name", "enabled", "interval_s", "grace_s", "schedule", "labels", *CONDITION_FIELDS)


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
            end_state(stored, now, reason)
        rule.save(update_fields=DEFINITION_FIELDS)
        AlertRule.objects.filter(pk=rule.pk).update(evaluation_seq=F("evaluation_seq") + 1, next_evaluation_at=now)
        if changed:
            AlertRule.objects.filter(pk=rule.pk).update(last_value=None, last_evaluated_at=None, last_error="")
    rule.refresh_from_db()


def delete_rule(rule: AlertRule, now: datetime) -> None:
    """Delete a rule; its past alerts stay, a firing one is resolved first."""
    with transaction.atomic():
        stored = AlertRule.objects.select_for_update().get(pk=rule.pk)
        end_state(stored, now, "the rule was deleted")
        stored.delete()
