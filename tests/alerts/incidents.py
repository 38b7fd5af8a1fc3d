"""Alerts that begin, become worse and end without a store: the state machine's part is played by hand, all else is real."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction as database

from alerts.evidence.model import Evidence
from alerts.models import (
    Alert,
    AlertRule,
    AlertTransition,
    Delivery,
    NotificationChannel,
    Route,
    RouteStep,
    Silence,
    instance_key,
)
from alerts.on_call.notify import add_deliveries
from tests.factories import default_project
from tracestore.timerange import NS_PER_S

EVIDENCE = Evidence("status:error", "failing traces", 0, NS_PER_S).to_json()


def begin(rule: AlertRule, now: datetime, labels: dict[str, str] | None = None, **overrides: Any) -> Alert:
    """Let a rule fire, for one group of it if `labels` are given."""
    values = {"severity": rule.severity, "value": 0.5, "peak_value": 0.5, "evidence": EVIDENCE} | overrides
    with database.atomic():
        alert = Alert.objects.create(
            project=rule.project, rule=rule, rule_name=rule.name, metric=rule.metric, query=rule.query, window_s=rule.window_s,
            comparison=rule.comparison, threshold=rule.threshold, hold_s=rule.hold_s, started_at=now,
            labels=labels or {}, instance_key=instance_key(labels or {}), **values,
        )  # fmt: skip
        _change(alert, "inactive", "firing", now)
    return alert


def worsen(alert: Alert, severity: str, now: datetime) -> None:
    with database.atomic():
        alert.severity = severity
        alert.save(update_fields=["severity"])
        _change(alert, "firing", "firing", now)


def end(alert: Alert, now: datetime) -> None:
    with database.atomic():
        alert.resolved_at = now
        alert.save(update_fields=["resolved_at"])
        _change(alert, "firing", "resolved", now)


def _change(alert: Alert, before: str, after: str, now: datetime) -> None:
    transition = AlertTransition.objects.create(
        rule=alert.rule, alert=alert, from_state=before, to_state=after, at=now, value=0.5, threshold=alert.threshold,
        severity=alert.severity, labels=alert.labels, window_start_ns=0, window_end_ns=NS_PER_S,
        evidence=alert.evidence if after == "firing" else {},
    )  # fmt: skip
    add_deliveries(alert, transition, now)


def told() -> list[tuple[str, str, str]]:
    """Return (channel, rule, state) of every message, oldest first."""
    rows = Delivery.objects.order_by("pk").values_list("channel__name", "alert__rule_name", "transition__to_state")
    return [(channel, rule, state) for channel, rule, state in rows]


def create_route(name: str, *steps: tuple[int, list[NotificationChannel]], **overrides: Any) -> Route:
    """A route for every alert, with its steps: (seconds, channels)."""
    values = {"position": Route.objects.count(), "matcher": ""} | overrides
    route = Route.objects.create(project=default_project(), name=name, **values)
    for after_s, channels in steps:
        RouteStep.objects.create(route=route, after_s=after_s).channels.set(channels)
    return route


def create_silence(starts_at: datetime, ends_at: datetime | None, matcher: str = "", **overrides: Any) -> Silence:
    return Silence.objects.create(project=default_project(), starts_at=starts_at, ends_at=ends_at, matcher=matcher, **overrides)
