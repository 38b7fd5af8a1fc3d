"""Alert rules, what happened to them, and who was told."""

from alerts.models.channels import ChannelKind, NotificationChannel
from alerts.models.deliveries import Delivery, DeliveryEvent, DeliveryStatus
from alerts.models.digests import Digest, DigestPeriod, DigestRun
from alerts.models.history import Alert, AlertTransition
from alerts.models.incidents import Grouping, Incident, IncidentEvent, IncidentEventKind, IncidentState
from alerts.models.marks import IncidentMark
from alerts.models.routes import MAX_PAUSE_S, MAX_STEPS, Route, RouteStep
from alerts.models.rules import (
    BROKEN_KEY,
    MAX_EVALUATIONS,
    MAX_GRACE_S,
    MAX_GROUP_FIELDS,
    MAX_HOLD_S,
    MAX_INTERVAL_S,
    MAX_WEEKS,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    STATES,
    AlertRule,
    NoDataPolicy,
    Period,
    RuleInstance,
    RuleKind,
    Severity,
    Side,
    instance_key,
    validate_query,
    validate_time_zone,
)
from alerts.models.silences import MAX_SILENCE_S, Silence, Suppression

__all__ = [
    "BROKEN_KEY",
    "MAX_EVALUATIONS",
    "MAX_GRACE_S",
    "MAX_GROUP_FIELDS",
    "MAX_HOLD_S",
    "MAX_INTERVAL_S",
    "MAX_PAUSE_S",
    "MAX_SILENCE_S",
    "MAX_STEPS",
    "MAX_WEEKS",
    "MAX_WINDOW_S",
    "MIN_WINDOW_S",
    "STATES",
    "Alert",
    "AlertRule",
    "AlertTransition",
    "ChannelKind",
    "Delivery",
    "DeliveryEvent",
    "DeliveryStatus",
    "Digest",
    "DigestPeriod",
    "DigestRun",
    "Grouping",
    "Incident",
    "IncidentEvent",
    "IncidentEventKind",
    "IncidentMark",
    "IncidentState",
    "NoDataPolicy",
    "NotificationChannel",
    "Period",
    "Route",
    "RouteStep",
    "RuleInstance",
    "RuleKind",
    "Severity",
    "Side",
    "Silence",
    "Suppression",
    "instance_key",
    "validate_query",
    "validate_time_zone",
]
