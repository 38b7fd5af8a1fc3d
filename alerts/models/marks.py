"""What people know of the past: when something was wrong, so that rules can be judged by it."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models

from tracestore.models import Project


class IncidentMark(models.Model):
    """[started_at, ended_at) in which something was wrong, whether or not an alert told of it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="incident_marks")
    name = models.CharField(max_length=128)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["started_at", "id"]
        indexes = [models.Index(fields=["project", "started_at"])]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.started_at and self.ended_at and self.started_at >= self.ended_at:
            raise ValidationError({"ended_at": "An incident ends after it starts."})
