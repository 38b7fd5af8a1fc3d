"""What clients call by its name: names that may be taken, and channels that are named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from rest_framework import serializers

from alerts.models import AlertRule, NotificationChannel, Route
from tracestore.models import Project
from tracestore.web.rest import StrictSerializer


class ChannelReference(serializers.CharField):
    """The id or name of a channel, or the object that a rule's answer holds, so that a rule can be sent back as it came."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data["id"] if isinstance(data, dict) and "id" in data else data)


def find_channels(project: Project, names: Iterable[str]) -> list[NotificationChannel]:
    """Return the channels that are named, or meant by their ids, each once. Raises ValidationError."""
    found = NotificationChannel.objects.filter(project=project)
    known = {str(channel.pk): channel for channel in found} | {channel.name: channel for channel in found}
    for name in names:
        if name not in known:
            raise serializers.ValidationError(f"There is no channel {name!r}.")
    return [known[name] for name in dict.fromkeys(names)]


class NamedInput(StrictSerializer):
    """What has a name, which nothing else of its kind has in the project that the view passes as context."""

    noun: ClassVar[str]
    model: ClassVar[type[AlertRule | NotificationChannel | Route]]

    def validate_name(self, name: str) -> str:
        taken = self.model.objects.filter(project=self.context["project"], name=name)
        if self.instance:
            taken = taken.exclude(pk=self.instance.pk)
        if taken.exists():
            raise serializers.ValidationError(f"Another {self.noun} has this name.")
        return name
