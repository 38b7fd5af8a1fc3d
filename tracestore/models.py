"""Small relational data of the store itself: projects, and how far jobs have come."""

from __future__ import annotations

import re
from datetime import date

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from tracestore.language.fields import suggest
from tracestore.semconv.fields import MAPPED_FIELDS
from tracestore.semconv.kinds import SPAN_KINDS
from tracestore.semconv.signals import SIGNALS

_NOT_NEGATIVE = [MinValueValidator(0, "A price is not below zero.")]


class Project(models.Model):
    """What one credential may see. Every ClickHouse row carries a project id; 1 is the default project.

    `retention_days` is None where the project keeps what the server keeps; it never keeps more.
    """

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=128)
    retention_days = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class IngestKey(models.Model):
    """A credential for OTLP and the API. Only its SHA-256 is kept: keys are 256 random bits, so no slow hash is needed.

    `prefix` is how the key begins, `created_by` the user who made it, both "" where that is not known. `last_used_at` is right to
    the minute.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=128)
    sha256 = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=16, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Refusal(models.Model):
    """What ingest did not store in one hour for one reason, by key and SDK (refusals.py). `spans` is 0 for whole requests.

    `hour` is its start, `ingest_key` the name of the key ("" for none), `sdk` what the sender says it is, `sample` the last
    case in a few words. The project is a number: a refused key belongs to none, and is shown with the default project.
    """

    project_id = models.PositiveBigIntegerField()
    hour = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=32)
    ingest_key = models.CharField(max_length=128, blank=True)
    sdk = models.CharField(max_length=128, blank=True)
    requests = models.PositiveBigIntegerField(default=0)
    spans = models.PositiveBigIntegerField(default=0)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    sample = models.CharField(max_length=320, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_id", "hour", "reason", "ingest_key", "sdk"], name="one_refusal_an_hour")
        ]


class Reception(models.Model):
    """A stretch of time in which one process received spans (reception.py), noted every few seconds while it lasts.

    All that it had received until `stored_until` could be queried at `seen_at`.
    """

    began_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)
    stored_until = models.DateTimeField()


class Privacy(models.Model):
    """What of a project's data is masked or left out before it is stored (privacy.py). A project without a row stores all.

    `presets` holds names of masking.PRESETS, `rules` the project's own as {"name", "pattern"}. `hash_key` is secret: with
    `links_equal_values` placeholders are made with it.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="privacy")
    presets = models.JSONField(default=list)
    rules = models.JSONField(default=list)
    stores_content = models.BooleanField(default=True)
    stores_error_texts = models.BooleanField(default=True)
    links_equal_values = models.BooleanField(default=False)
    hash_key = models.CharField(max_length=64)
    updated_at = models.DateTimeField(auto_now=True)


class MaskedValues(models.Model):
    """How many values a rule masked in one hour (masked.py). `hour` is its start."""

    project_id = models.PositiveBigIntegerField()
    hour = models.DateTimeField(db_index=True)
    rule = models.CharField(max_length=48)
    masked = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project_id", "hour", "rule"], name="one_masked_count_an_hour")]


class SavedView(models.Model):
    """A search of the trace list under a name (dashboards/trace_list/saved_views.py).

    `querystring` is what stands after the ? of its address. Without an owner (an instance without logins) it is everybody's.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="saved_views")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    name = models.CharField(max_length=80)
    querystring = models.TextField(blank=True)
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name", "pk")
        constraints = [
            models.UniqueConstraint(fields=["project", "owner", "name"], name="one_view_of_a_name"),
            # Two NULLs differ in the constraint above.
            models.UniqueConstraint(
                fields=["project", "name"], condition=models.Q(owner=None), name="one_view_of_a_name_of_nobody"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Dashboard(models.Model):
    """Panels under a name, made by somebody (dashboards/panels/own_dashboards.py). Those of every project stand in no table.

    `panels` is a list of {"title", "metrics", "kind", "group_by", "query"}. Without an owner it is everybody's.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="dashboards")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=64)
    panels = models.JSONField(default=list)
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name", "pk")
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="one_dashboard_of_a_slug")]

    def __str__(self) -> str:
        return self.name


class JobCursor(models.Model):
    """How far a job has come with the rows of one source.

    `position` is the last one done; `lease_until` keeps two workers apart.
    """

    job = models.CharField(max_length=64)
    source = models.CharField(max_length=128)
    position = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "source"], name="one_cursor_per_job_and_source")]


_MAX_RULE_TEXT = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class MappingRule(models.Model):
    """One way in which a project's agents say something in words of their own (mapping.py).

    Of the spans whose source matches `pattern` ("" for any text; * stands for any part), `value` or, if that is "", the text
    of the source becomes the `target`. Of several rules that match for one target the first by `position` counts.
    """

    class Source(models.TextChoices):
        ATTRIBUTE = "attribute", "Attribute"  # of the span, else of its resource; `key` names it
        NAME = "name", "Span name"
        TOOL = "tool", "Tool"  # as resolved from all dialects and rules; for signals only

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="mapping_rules")
    position = models.PositiveIntegerField(default=0)
    source = models.CharField(max_length=16, choices=Source, default=Source.ATTRIBUTE)
    key = models.CharField(max_length=_MAX_RULE_TEXT, blank=True)
    pattern = models.CharField(max_length=_MAX_RULE_TEXT, blank=True)
    target = models.CharField(max_length=32)
    value = models.CharField(max_length=_MAX_RULE_TEXT, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("position", "pk")

    def __str__(self) -> str:
        return f"{self.key or self.source} -> {self.target}"

    def clean(self) -> None:
        """Raise ValidationError with a message per field."""
        errors = {
            name: "Line breaks and control characters are not allowed."
            for name in ("key", "pattern", "value")
            if _CONTROL.search(getattr(self, name))
        }
        constants = {"kind": SPAN_KINDS, "signal": SIGNALS}.get(self.target)
        targets = (*MAPPED_FIELDS, "kind", "error_type", "signal")
        if self.target not in targets:
            meant = suggest(self.target.lower(), targets)
            help_text = f"Did you mean {meant}?" if meant else f"There are {', '.join(targets)}."
            errors["target"] = f"There is no field {self.target[:32]!r} that a rule can fill. {help_text}"
        elif constants and self.value not in constants:
            errors["value"] = f"Choose one of {', '.join(constants)}."
        elif self.value and self.target.endswith(("_tokens", "_usd")) and not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", self.value):
            errors["value"] = "This field takes a number."
        if self.source == self.Source.ATTRIBUTE and not self.key:
            errors["key"] = "Name the attribute."
        if self.source != self.Source.ATTRIBUTE:
            if self.key:
                errors["key"] = "Only a rule about an attribute has a key."
            if not self.pattern:
                errors["pattern"] = "Say which name, for instance escalate*."
        if self.source == self.Source.TOOL and self.target != "signal":
            errors["target"] = "A rule about a tool gives a signal."
        if errors:
            raise ValidationError(errors)


class PastJob(models.Model):
    """One run of a job over a project's past. `lease_until` keeps other workers out; `error` says why it failed."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    status = models.CharField(max_length=16, choices=Status, default=Status.RUNNING)
    error = models.CharField(max_length=500, blank=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class Reread(PastJob):
    """One run of the job that reads a project's stored spans again, oldest first (reread.py).

    Spans that start before `position_ns` are done; it ends at `until_ns`, which is 0 until it has begun. `chunk` numbers
    what was handed to the summary job.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rereads")
    position_ns = models.BigIntegerField(default=0)
    until_ns = models.BigIntegerField(default=0)
    chunk = models.PositiveIntegerField(default=0)
    spans_done = models.PositiveBigIntegerField(default=0)
    spans_total = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(status="running"), name="one_running_reread_per_project"
            )
        ]


class Recomputation(PastJob):
    """One run of the job that computes a stretch of a project's past again, oldest first (recompute.py).

    Traces that start before `position_ns` are done; it ends at `until_ns`. `traces_total` is 0 until it has begun.
    """

    class Kind(models.TextChoices):
        ROLLUPS = "rollups", "Rollups"
        PRICES = "prices", "Prices"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="recomputations")
    kind = models.CharField(max_length=16, choices=Kind)
    position_ns = models.BigIntegerField()
    until_ns = models.BigIntegerField()
    traces_done = models.PositiveBigIntegerField(default=0)
    traces_total = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind"], condition=models.Q(status="running"), name="one_running_recomputation_per_kind"
            )
        ]


class Removal(PastJob):
    """A project that was deleted, and how far the job has come that deletes its rows in ClickHouse (removal.py).

    `rows_total` counts over all tables, 0 until it has begun, and `rows_left` those that are still there. It is kept: should
    rows arrive late, they are deleted as well.
    """

    project_id = models.PositiveBigIntegerField(unique=True)
    slug = models.CharField(max_length=64)
    name = models.CharField(max_length=128)
    by = models.CharField(max_length=150)
    rows_total = models.PositiveBigIntegerField(default=0)
    rows_left = models.PositiveBigIntegerField(default=0)

    @property
    def share_done(self) -> float:
        """How much of the rows is gone, 0 to 1."""
        return 1 - self.rows_left / self.rows_total if self.rows_total else 0.0


class ModelPrice(models.Model):
    """What a model costs in a project, in USD for a million tokens, from that day (UTC) on; it comes before the catalogue.

    `model` is the name asked for or answered, with * for any characters; `provider` "" stands for any. Tokens read from or
    written to a prompt cache cost what input costs where their price is None.
    """

    BEGINNING = date(1970, 1, 1)

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_prices")
    provider = models.CharField(max_length=128, blank=True)
    model = models.CharField(max_length=200)
    input_usd = models.DecimalField(max_digits=14, decimal_places=6, validators=_NOT_NEGATIVE)
    output_usd = models.DecimalField(max_digits=14, decimal_places=6, validators=_NOT_NEGATIVE)
    cache_read_usd = models.DecimalField(max_digits=14, decimal_places=6, validators=_NOT_NEGATIVE, null=True, blank=True)
    cache_write_usd = models.DecimalField(max_digits=14, decimal_places=6, validators=_NOT_NEGATIVE, null=True, blank=True)
    from_day = models.DateField(default=BEGINNING)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("model", "provider", "from_day")
        constraints = [
            models.UniqueConstraint(fields=["project", "provider", "model", "from_day"], name="one_price_per_model_and_day")
        ]

    def __str__(self) -> str:
        return f"{self.provider or 'any'} {self.model}"


class ErrorState(models.Model):
    """What the team has decided about an error (errors.py). An error without a row is open.

    `resolved_version` is the first version that should not have it any more, "" for the moment of the decision;
    `seen_versions` are those that had it before, with "" for traces without a version.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        RESOLVED = "resolved", "Resolved"
        IGNORED = "ignored", "Ignored"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="error_states")
    fingerprint = models.CharField(max_length=32)
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    resolved_version = models.CharField(max_length=128, blank=True)
    seen_versions = models.JSONField(default=list)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "fingerprint"], name="one_state_per_error")]

    def __str__(self) -> str:
        return f"{self.fingerprint} {self.status}"
