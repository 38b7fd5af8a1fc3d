"""What is watched, and how far its evaluation has come."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from alerts.models.channels import NotificationChannel
from alerts.rules.evaluation import AlertState, Comparison, Condition, InstanceState, Level, NoData, Wait
from tracestore.language import QueryError, parse_query
from tracestore.models import Project

MIN_WINDOW_S = 60
MAX_WINDOW_S = 7 * 86_400
MAX_HOLD_S = 86_400
MAX_INTERVAL_S = 86_400
MAX_GRACE_S = 3600
MAX_EVALUATIONS = 60
MAX_WEEKS = 8
MAX_GROUP_FIELDS = 3
# The key of what a rule says about itself: that it cannot be evaluated. No group's labels are written so.
BROKEN_KEY = "!"
_LONGEST_KEY = 255


class Severity(models.TextChoices):
    """How loudly a message should be read, and which routes it takes."""

    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class Side(models.TextChoices):
    """The choices of `Comparison`, with their labels."""

    ABOVE = Comparison.ABOVE.value, "above"
    BELOW = Comparison.BELOW.value, "below"


class RuleKind(models.TextChoices):
    """What a rule compares. For `BASELINE` and `VERSION` thresholds are changes: 0.5 is half as much again.

    THRESHOLD: the metric of the window with the threshold. BASELINE: with the same hours of the weeks before. BUDGET: what the
    day or month has used so far with its budget. RUN: the largest single run of the window with the threshold. VERSION: the
    newest version's metric with the version's before it, by a test that may be looked at all the time.
    """

    THRESHOLD = "threshold", "Threshold"
    BASELINE = "baseline", "Change against past weeks"
    BUDGET = "budget", "Budget"
    RUN = "run", "Single run"
    VERSION = "version", "Version guard"


class NoDataPolicy(models.TextChoices):
    """The choices of `NoData`, with their labels."""

    OK = NoData.OK.value, "counts as good"
    KEEP = NoData.KEEP.value, "keeps the state"
    ALERT = NoData.ALERT.value, "is a breach"


class Period(models.TextChoices):
    """A calendar day or month in the rule's time zone."""

    DAY = "day", "day"
    MONTH = "month", "month"


STATES = [(state.value, state.value) for state in AlertState]


def validate_query(text: str) -> None:
    """Refuse a query text that the query language does not understand, with its own sentence."""
    try:
        parse_query(text)
    except QueryError as error:
        raise ValidationError(str(error), code="query") from None


def validate_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(f"There is no time zone “{name[:64]}”: use a name such as Europe/Vienna or UTC.", code="time_zone")


def instance_key(labels: dict[str, str]) -> str:
    """Return what tells the groups of one rule apart: their labels as canonical JSON, by digest when that is long."""
    text = json.dumps(labels, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text if len(text) <= _LONGEST_KEY else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class AlertRule(models.Model):
    """A condition on one metric of the traces that match a query, and how far its evaluation has come.

    `threshold` is in the metric's unit (rates 0 to 1) and is where the alert has `severity`; a critical rule may also have a
    `warning_threshold`, where it is a warning. `group_by` names up to MAX_GROUP_FIELDS fields, and each combination of their
    values has a RuleInstance of its own; `state`, `last_value` and `state_since` are those of the worst. `labels` are for
    routing. `schedule` is {} for always, or {"days": [0, ...], "start": "08:00", "end": "18:00"} in `time_zone`, Monday being 0;
    outside it the rule rests. `failed_evaluations` counts those that failed in a row.

    `next_evaluation_at` is the claim and, while evaluating, the lease: who moves it forward evaluates, and `claim` says who that
    was. `evaluation_seq` grows with every result and edit, so that the result of a slow evaluation is dropped when a later
    one or an edit has overtaken it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=RuleKind.choices, default=RuleKind.THRESHOLD)
    metric = models.CharField(max_length=64)
    query = models.TextField(blank=True, default="", max_length=4000, validators=[validate_query])
    group_by = models.JSONField(default=list, blank=True)
    window_s = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(MIN_WINDOW_S), MaxValueValidator(MAX_WINDOW_S)]
    )
    interval_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_INTERVAL_S)])
    grace_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_GRACE_S)])
    comparison = models.CharField(max_length=8, choices=Side.choices, default=Side.ABOVE)
    threshold = models.FloatField()
    warning_threshold = models.FloatField(null=True, blank=True)
    recovery_threshold = models.FloatField(null=True, blank=True)
    hold_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_HOLD_S)])
    breaches_needed = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(MAX_EVALUATIONS)]
    )
    of_evaluations = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(MAX_EVALUATIONS)])
    min_samples = models.PositiveIntegerField(default=0)
    no_data = models.CharField(max_length=8, choices=NoDataPolicy.choices, default=NoDataPolicy.OK)
    baseline_weeks = models.PositiveIntegerField(default=4, validators=[MinValueValidator(1), MaxValueValidator(MAX_WEEKS)])
    baseline_deviations = models.FloatField(default=3.0, validators=[MinValueValidator(0.0)])
    budget_period = models.CharField(max_length=8, choices=Period.choices, default=Period.DAY)
    schedule = models.JSONField(default=dict, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    severity = models.CharField(max_length=16, choices=Severity.choices, default=Severity.WARNING)
    labels = models.JSONField(default=dict, blank=True)
    channels = models.ManyToManyField(NotificationChannel, blank=True, related_name="rules")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    state = models.CharField(max_length=16, choices=STATES, default=AlertState.INACTIVE.value)
    state_since = models.DateTimeField(default=timezone.now)
    last_value = models.FloatField(null=True)
    last_evaluated_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=1000, blank=True)
    failed_evaluations = models.PositiveIntegerField(default=0)
    next_evaluation_at = models.DateTimeField(default=timezone.now, db_index=True)
    claim = models.CharField(max_length=32, blank=True, default="", db_index=True)
    evaluation_seq = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="rule_name_once_per_project")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_relative(self) -> bool:
        """True when its thresholds are changes against a baseline."""
        return self.kind in (RuleKind.BASELINE, RuleKind.VERSION)

    def condition(self, longest_gap_s: float = float("inf")) -> Condition:
        """Return what the state machine needs of this rule; see `Condition.longest_gap_s`."""
        levels = [Level(self.severity, self.threshold)]
        if self.warning_threshold is not None:
            levels.insert(0, Level(Severity.WARNING.value, self.warning_threshold))
        return Condition(
            comparison=self.comparison,
            levels=tuple(levels),
            recovery_threshold=self.recovery_threshold,
            hold_s=self.hold_s,
            breaches_needed=self.breaches_needed,
            of_evaluations=self.of_evaluations,
            min_samples=self.min_samples,
            no_data=self.no_data,
            relative=self.is_relative,
            longest_gap_s=longest_gap_s,
        )


class RuleInstance(models.Model):
    """The state of one group of a rule; a rule without groups has one, with labels {}.

    `memory` holds the rest of `InstanceState`. `last_seen_at` is when it last had data: a group that has had none for a day
    is forgotten. `spent_at` is when a budget will be spent at the present pace, None when not within its period.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="instances")
    key = models.CharField(max_length=_LONGEST_KEY)
    labels = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=16, choices=STATES, default=AlertState.INACTIVE.value)
    severity = models.CharField(max_length=16, blank=True, default="")
    state_since_ns = models.BigIntegerField(default=0)
    memory = models.JSONField(default=dict)
    last_value = models.FloatField(null=True)
    last_samples = models.PositiveBigIntegerField(default=0)
    last_baseline = models.FloatField(null=True)
    last_seen_at = models.DateTimeField(null=True)
    spent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["rule", "key"], name="one_instance_per_rule_and_group")]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.key}"

    def to_state(self) -> InstanceState:
        memory = self.memory
        return InstanceState(
            state=AlertState(self.state),
            severity=self.severity,
            since_ns=self.state_since_ns,
            ranks=tuple(memory.get("ranks", ())),
            met_since_ns=tuple(memory.get("met_since_ns", ())),
            observed_at_ns=memory.get("observed_at_ns"),
            fired_at_ns=tuple(memory.get("fired_at_ns", ())),
            wait=Wait(memory["wait"]["until_ns"]) if memory.get("wait") else None,
        )

    def set_state(self, state: InstanceState) -> None:
        self.state, self.severity, self.state_since_ns = state.state.value, state.severity, state.since_ns
        self.memory = {
            "ranks": state.ranks,
            "met_since_ns": state.met_since_ns,
            "observed_at_ns": state.observed_at_ns,
            "fired_at_ns": state.fired_at_ns,
            "wait": asdict(state.wait) if state.wait else None,
        }
