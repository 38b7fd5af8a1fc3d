"""Kinds of notification channel, one module each; a new kind is one module, one line here and one choice in the model."""

from __future__ import annotations

from types import ModuleType

from alerts.channels import apprise_url, email, webhook
from alerts.channels.base import ChannelError, Notification, send

_KINDS: dict[str, ModuleType] = {"email": email, "webhook": webhook, "apprise": apprise_url}

__all__ = ["ChannelError", "Notification", "check_target", "describe_target", "send_notification"]


def check_target(kind: str, target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    _KINDS[kind].check_target(target)


def describe_target(kind: str, target: str) -> str:
    """Return the target as it may be shown: without passwords and tokens."""
    return str(_KINDS[kind].describe_target(target))


def send_notification(kind: str, target: str, notification: Notification) -> None:
    """Make one attempt. Raises ChannelError."""
    send(_KINDS[kind].build_plugin(target, notification), notification)
