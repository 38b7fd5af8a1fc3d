"""What happened to rules. Every change of state is a row."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone

from alerts.models.rules import BROKEN_KEY, STATES, AlertRule, RuleKind, Severity, Side
from alerts.rules.evaluation import AlertState
from tracestore.models import Project


class Alert(models.Model):
    """One firing episode. It keeps the rule's definition as it was, so that editing the rule does not rewrite history.

    `labels` names what it is about when the rule is grouped, such as {"tool": "refund"}; empty for a rule without groups.
    `severity` is the level now in force, `threshold` that level's as it was in force, in the metric's unit also where the rule's
    own is a change. `evidence` is `alerts.evidence.Evidence.to_json()` as of the start; `peak_value` the value farthest past
    the threshold. `value` is None when missing data are the breach. `samples` is how many traces the value is made of,
    `baseline` what it was compared with, which is that of `compared_with`, and `trace_id` the run of an alert about a single run.
    `breached_at` is when the breach began, as alerts/past/detection.py finds it afterwards.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alerts")
    rule = models.ForeignKey(AlertRule, on_delete=models.SET_NULL, null=True, related_name="alerts")
    incident = models.ForeignKey("Incident", on_delete=models.SET_NULL, null=True, related_name="alerts")
    rule_name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=RuleKind.choices, default=RuleKind.THRESHOLD)
    labels = models.JSONField(default=dict, blank=True)
    instance_key = models.CharField(max_length=255, default="{}")
    severity = models.CharField(max_length=16, choices=Severity.choices)
    metric = models.CharField(max_length=64)
    query = models.TextField(blank=True)
    window_s = models.PositiveIntegerField()
    comparison = models.CharField(max_length=8, choices=Side.choices)
    threshold = models.FloatField()
    hold_s = models.PositiveIntegerField()
    value = models.FloatField(null=True)
    peak_value = models.FloatField(null=True)
    samples = models.PositiveBigIntegerField(null=True)
    baseline = models.FloatField(null=True)
    compared_with = models.CharField(max_length=200, blank=True, default="")
    trace_id = models.CharField(max_length=32, blank=True, default="")
    started_at = models.DateTimeField()
    breached_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolve_reason = models.CharField(max_length=200, blank=True)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [models.Index(fields=["project", "-started_at"]), models.Index(fields=["project", "resolved_at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "instance_key"], condition=models.Q(resolved_at=None), name="one_open_alert_per_instance"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule_name} ({self.started_at:%Y-%m-%d %H:%M})"

    @property
    def state(self) -> str:
        return AlertState.RESOLVED.value if self.resolved_at else AlertState.FIRING.value

    @property
    def is_about_rule(self) -> bool:
        """True when the rule itself is the matter: it cannot be evaluated, and the transition's reason says why."""
        return self.instance_key == BROKEN_KEY

    def breach_seen_at(self) -> datetime:
        """Return the first evaluation that saw the value past the threshold, which lies a hold before the start."""
        pending = self.transitions.filter(to_state=AlertState.PENDING).order_by("at").first()
        return min(pending.at, self.started_at) if pending else self.started_at

    @property
    def length_s(self) -> float:
        """Seconds from start to end, or until now while it fires."""
        return ((self.resolved_at or timezone.now()) - self.started_at).total_seconds()


class AlertTransition(models.Model):
    """A change of state of a rule's group at one evaluation. `alert` is set from the one that starts firing on.

    From firing to firing is a rise of `severity`. `value` is None for no data or for a change without an evaluation (an
    edit); `reason` then says what happened. `samples` and `baseline` are as in Alert.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.SET_NULL, null=True, related_name="transitions")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, null=True, related_name="transitions")
    labels = models.JSONField(default=dict, blank=True)
    severity = models.CharField(max_length=16, choices=Severity.choices, blank=True, default="")
    from_state = models.CharField(max_length=16, choices=STATES)
    to_state = models.CharField(max_length=16, choices=STATES)
    at = models.DateTimeField()
    value = models.FloatField(null=True)
    samples = models.PositiveBigIntegerField(null=True)
    baseline = models.FloatField(null=True)
    threshold = models.FloatField()
    window_start_ns = models.BigIntegerField()
    window_end_ns = models.BigIntegerField()
    reason = models.CharField(max_length=200, blank=True)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["rule", "-at"])]
