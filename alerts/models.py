"""Alert rules, what happened to them, and who was told. Every change of state is a row."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from alerts.evaluation import AlertState, Comparison
from tracestore.language import QueryError, parse_query
from tracestore.models import Project

MIN_WINDOW_S = 60
MAX_WINDOW_S = 7 * 86_400
MAX_HOLD_S = 86_400


class Severity(models.TextChoices):
    """How loudly a message should be read; it changes no behaviour here."""

    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class ChannelKind(models.TextChoices):
    """How a channel's target is read; each kind is one module of alerts/channels."""

    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"
    APPRISE = "apprise", "Apprise URL"


class Side(models.TextChoices):
    """The choices of `Comparison`, with their labels."""

    ABOVE = Comparison.ABOVE.value, "above"
    BELOW = Comparison.BELOW.value, "below"


STATES = [(state.value, state.value) for state in AlertState]


def validate_query(text: str) -> None:
    """Refuse a query text that the query language does not understand, with its own sentence."""
    try:
        parse_query(text)
    except QueryError as error:
        raise ValidationError(str(error), code="query") from None


class NotificationChannel(models.Model):
    """Where messages go. A permanent failure switches it off and says why in `disabled_reason`; its deliveries then wait."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="notification_channels")
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=ChannelKind.choices)
    target = models.CharField(max_length=2000)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="channel_name_once_per_project")]

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """A condition on one metric of the traces that match a query, and how far its evaluation has come.

    `threshold` is in the metric's unit (rates 0 to 1). `next_evaluation_at` is the claim and, while evaluating, the lease: who
    moves it forward evaluates. `evaluation_seq` grows with every result and edit, so that the result of a slow evaluation is
    dropped when a later one or an edit has overtaken it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=128)
    metric = models.CharField(max_length=64)
    query = models.TextField(blank=True, default="", max_length=4000, validators=[validate_query])
    window_s = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(MIN_WINDOW_S), MaxValueValidator(MAX_WINDOW_S)]
    )
    comparison = models.CharField(max_length=8, choices=Side.choices, default=Side.ABOVE)
    threshold = models.FloatField()
    hold_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_HOLD_S)])
    severity = models.CharField(max_length=16, choices=Severity.choices, default=Severity.WARNING)
    channels = models.ManyToManyField(NotificationChannel, blank=True, related_name="rules")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    state = models.CharField(max_length=16, choices=STATES, default=AlertState.INACTIVE.value)
    state_since = models.DateTimeField(default=timezone.now)
    last_value = models.FloatField(null=True)
    last_evaluated_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=1000, blank=True)
    next_evaluation_at = models.DateTimeField(default=timezone.now, db_index=True)
    evaluation_seq = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="rule_name_once_per_project")]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One firing episode. It keeps the rule's definition as it was, so that editing the rule does not rewrite history.

    `evidence` is `alerts.evidence.Evidence.to_json()` as of the start; `peak_value` the value farthest past the threshold.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alerts")
    rule = models.ForeignKey(AlertRule, on_delete=models.SET_NULL, null=True, related_name="alerts")
    rule_name = models.CharField(max_length=128)
    severity = models.CharField(max_length=16, choices=Severity.choices)
    metric = models.CharField(max_length=64)
    query = models.TextField(blank=True)
    window_s = models.PositiveIntegerField()
    comparison = models.CharField(max_length=8, choices=Side.choices)
    threshold = models.FloatField()
    hold_s = models.PositiveIntegerField()
    value = models.FloatField()
    peak_value = models.FloatField()
    started_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolve_reason = models.CharField(max_length=200, blank=True)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [models.Index(fields=["project", "-started_at"]), models.Index(fields=["project", "resolved_at"])]
        constraints = [
            models.UniqueConstraint(fields=["rule"], condition=models.Q(resolved_at=None), name="one_open_alert_per_rule")
        ]

    def __str__(self) -> str:
        return f"{self.rule_name} ({self.started_at:%Y-%m-%d %H:%M})"

    @property
    def state(self) -> str:
        return AlertState.RESOLVED.value if self.resolved_at else AlertState.FIRING.value

    @property
    def length_s(self) -> float:
        """Seconds from start to end, or until now while it fires."""
        return ((self.resolved_at or timezone.now()) - self.started_at).total_seconds()


class AlertTransition(models.Model):
    """A change of state of a rule at one evaluation. `alert` is set from the one that starts firing on.

    `value` is None for no data or for a change without an evaluation (an edit); `reason` then says what happened.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.SET_NULL, null=True, related_name="transitions")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, null=True, related_name="transitions")
    from_state = models.CharField(max_length=16, choices=STATES)
    to_state = models.CharField(max_length=16, choices=STATES)
    at = models.DateTimeField()
    value = models.FloatField(null=True)
    threshold = models.FloatField()
    window_start_ns = models.BigIntegerField()
    window_end_ns = models.BigIntegerField()
    reason = models.CharField(max_length=200, blank=True)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["rule", "-at"])]


class DeliveryStatus(models.TextChoices):
    """Pending ones are tried again; the other two are final."""

    PENDING = "pending", "pending"
    DELIVERED = "delivered", "delivered"
    FAILED = "failed", "failed"


class Delivery(models.Model):
    """One message about one transition through one channel. `next_attempt_at` is the claim and, while sending, the lease."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    transition = models.ForeignKey(AlertTransition, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="deliveries")
    status = models.CharField(max_length=16, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["status", "next_attempt_at"])]
        constraints = [models.UniqueConstraint(fields=["transition", "channel"], name="one_delivery_per_transition_and_channel")]
