"""Alert rules, what happened to them, and who was told."""

from alerts.models.channels import ChannelKind, NotificationChannel
from alerts.models.deliveries import Delivery, DeliveryStatus
from alerts.models.history import Alert, AlertTransition
from alerts.models.rules import MAX_HOLD_S, MAX_WINDOW_S, MIN_WINDOW_S, STATES, AlertRule, Severity, Side, validate_query

__all__ = [
    "MAX_HOLD_S",
    "MAX_WINDOW_S",
    "MIN_WINDOW_S",
    "STATES",
    "Alert",
    "AlertRule",
    "AlertTransition",
    "ChannelKind",
    "Delivery",
    "DeliveryStatus",
    "NotificationChannel",
    "Severity",
    "Side",
    "validate_query",
]
