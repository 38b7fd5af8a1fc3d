"""What is watched, and how far its evaluation has come."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from alerts.evaluation import AlertState, Comparison
from alerts.models.channels import NotificationChannel
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
