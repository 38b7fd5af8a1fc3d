"""Small relational data of the store itself: projects, and how far jobs have come."""

from __future__ import annotations

from django.db import models


class Project(models.Model):
    """What one credential may see. Every ClickHouse row carries a project id; 1 is the default project."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=128)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class IngestKey(models.Model):
    """A credential for OTLP and the API. Only its SHA-256 is kept: keys are 256 random bits, so no slow hash is needed."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=128)
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

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
