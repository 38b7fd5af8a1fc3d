"""What people choose in the editor of reports."""

from __future__ import annotations

from datetime import time
from typing import Any, ClassVar

from django import forms

from alerts.models import ChannelKind, Digest, NotificationChannel
from alerts.on_call.silences import DAYS


class DigestForm(forms.ModelForm[Digest]):
    """A report. PagerDuty would open an incident for each and is not offered."""

    weekday = forms.TypedChoiceField(
        coerce=int, choices=list(enumerate(DAYS)), initial=0, label="On", help_text="Of a weekly report.",
        widget=forms.Select(attrs={"class": "select"}),
    )  # fmt: skip

    class Meta:
        model = Digest
        fields = ["channel", "period", "weekday", "time_of_day", "time_zone", "enabled"]
        labels: ClassVar[dict[str, str]] = {"channel": "To", "period": "How often"}
        widgets: ClassVar[dict[str, forms.Widget]] = {
            name: forms.Select(attrs={"class": "select"}) for name in ("channel", "period")
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels: Any = self.fields["channel"]
        found = NotificationChannel.objects.filter(project=self.instance.project)
        channels.queryset = found.exclude(kind=ChannelKind.PAGERDUTY)
        channels.empty_label = "Choose a channel"
        if self.instance.pk is None:
            self.initial["time_of_day"] = time(8)
