"""The least valid rule, channel and trace traffic, with overrides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from alerts.models import AlertRule, AlertTransition, NotificationChannel
from alerts.rules import evaluator, schedule
from tests.factories import default_project, insert_traces
from tracestore.clickhouse.client import Store
from tracestore.timerange import NS_PER_S, ns_of


def create_channel(**overrides: Any) -> NotificationChannel:
    values = {"name": "On-call", "kind": "webhook", "target": "http://127.0.0.1:9/hook"} | overrides
    return NotificationChannel.objects.create(**{"project": default_project()} | values)


def create_rule(*channels: NotificationChannel, **overrides: Any) -> AlertRule:
    """Failure rate above 10% over five minutes, without hold; due now."""
    values = {"name": "Failures", "metric": "failure_rate", "threshold": 0.1, "next_evaluation_at": long_ago()} | overrides
    rule = AlertRule.objects.create(**{"project": default_project()} | values)
    rule.channels.set(channels)
    return rule


def long_ago() -> datetime:
    return timezone.now() - timedelta(days=400)


def evaluate_rule(rule_id: int, now: datetime, store: Store | None = None) -> AlertTransition | None:
    """Evaluate one rule if its time has come; return its first change of state, if there was one."""
    return next(iter(evaluator.evaluate_rules([rule_id], now, store)), None)


def find_due_rules(now: datetime) -> list[int]:
    return [rule_id for batch in schedule.find_due_batches(now) for rule_id in batch]


def insert_traffic(
    store: Store, now: datetime, *, failed: int, ok: int, age_s: int = 60, **common: Any
) -> tuple[list[str], list[str]]:
    """Insert failed traces (version v3, tool refund, TimeoutError) and good ones (v2, tool search); return the ids of both."""
    start_ns = ns_of(now) - age_s * NS_PER_S
    bad = {
        "outcome": "error",
        "has_errors": True,
        "error_count": 1,
        "error_types": ["TimeoutError"],
        "error_message": "refund service timed out",
        "error_fingerprint": "f00d",
        "failing_span_id": b"\x02" * 8,
        "versions": ["v3"],
        "tools": [("refund", 1, 1)],
        "agents": ["support"],
    }
    good = {"versions": ["v2"], "tools": [("search", 1, 0)], "agents": ["support"]}
    failed_ids = insert_traces(store, *[bad] * failed, start_ns=start_ns, **common) if failed else []
    ok_ids = insert_traces(store, *[good] * ok, start_ns=start_ns, **common) if ok else []
    return failed_ids, ok_ids
