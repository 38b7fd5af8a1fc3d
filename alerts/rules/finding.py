"""Rules and alerts in the order in which lists show them."""

from __future__ import annotations

from django.db.models import Case, F, QuerySet, When

from alerts.models import Alert, AlertRule
from alerts.rules.evaluation import AlertState


def find_rules(project_id: int) -> QuerySet[AlertRule]:
    """Return rules with their channels and groups: firing ones first, then pending ones, then by name."""
    urgency = Case(When(state=AlertState.FIRING, then=0), When(state=AlertState.PENDING, then=1), default=2)
    return AlertRule.objects.filter(project_id=project_id).prefetch_related("channels", "instances").order_by(urgency, "name")


def count_firing(project_id: int) -> int:
    return Alert.objects.filter(project_id=project_id, resolved_at=None).count()


def find_alerts(project_id: int, *, firing: bool | None = None) -> QuerySet[Alert]:
    """Return alerts, firing ones first, then newest first; lazily, so that a page takes only its part."""
    alerts = Alert.objects.filter(project_id=project_id)
    if firing is not None:
        alerts = alerts.filter(resolved_at__isnull=firing)
    return alerts.order_by(F("resolved_at").desc(nulls_first=True), "-started_at", "-id")
