"""Kinds of notification channel, one module each; a new kind is one module, one line here and one choice in the model."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from django.conf import settings

from alerts.channels import apprise_url, email, pagerduty, slack, webhook
from alerts.channels.base import ChannelError
from alerts.channels.deadline import call_within
from alerts.messages.notification import Notification

if TYPE_CHECKING:
    from alerts.models import NotificationChannel

_KINDS: dict[str, ModuleType] = {
    "email": email,
    "slack": slack,
    "webhook": webhook,
    "pagerduty": pagerduty,
    "apprise": apprise_url,
}

__all__ = ["ChannelError", "Notification", "check_target", "describe_target", "send_notification"]


def check_target(kind: str, target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    _KINDS[kind].check_target(target)


def describe_target(kind: str, target: str) -> str:
    """Return the target as it may be shown: without passwords and tokens."""
    return str(_KINDS[kind].describe_target(target))


def send_notification(channel: NotificationChannel, notification: Notification) -> None:
    """Make one attempt, which takes at most TRACESTORE_DELIVERY_TIMEOUT_S. Raises ChannelError."""
    kind = _KINDS[channel.kind]
    call_within(settings.DELIVERY_TIMEOUT_S, channel.pk, lambda: kind.send(channel, notification))
