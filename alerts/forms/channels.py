"""What people type into the channel editor, checked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from alerts.channels import check_target
from alerts.models import NotificationChannel
from tracestore.models import Project


class ChannelForm(forms.ModelForm[NotificationChannel]):
    """The channel editor."""

    class Meta:
        model = NotificationChannel
        fields = ["name", "kind", "target"]

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.instance.project = project

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        taken = NotificationChannel.objects.filter(project=self.project, name=name).exclude(pk=self.instance.pk)
        if taken.exists():
            raise ValidationError("Another channel has this name.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("kind") and cleaned.get("target"):
            try:
                check_target(cleaned["kind"], cleaned["target"].strip())
                cleaned["target"] = cleaned["target"].strip()
            except ValueError as error:
                self.add_error("target", str(error))
        return cleaned
