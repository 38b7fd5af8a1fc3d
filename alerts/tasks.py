"""Celery's side of alerting: the schedule's two jobs fan out, so that one slow rule or channel holds up no other."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from alerts import delivery
from alerts.on_call import incidents
from alerts.past import detection
from alerts.reports import digests
from alerts.rules import evaluator, schedule
from tracestore.clickhouse.client import get_store
from tracestore.process.telemetry import timed_job

DELIVERY_INTERVAL_S = 5
DIGEST_INTERVAL_S = 30


@shared_task(ignore_result=True)
def evaluate_alert_rules() -> None:
    """Runs every TRACESTORE_ALERT_INTERVAL_S seconds."""
    for rule_ids in schedule.find_due_batches(timezone.now()):
        # One that waited for a whole interval is stale: the next tick asks again, and the queue does not grow.
        evaluate_alert_rule_batch.apply_async((rule_ids,), expires=settings.ALERT_INTERVAL_S)


@shared_task(ignore_result=True)
def evaluate_alert_rule_batch(rule_ids: list[int]) -> None:
    with timed_job("evaluate_alert_rules"):
        evaluator.evaluate_rules(rule_ids, timezone.now())


@shared_task(ignore_result=True)
def deliver_notifications() -> None:
    """Runs every DELIVERY_INTERVAL_S seconds, and at once after a transition."""
    for delivery_id in delivery.find_due_deliveries(timezone.now()):
        deliver_notification.apply_async((delivery_id,), expires=DELIVERY_INTERVAL_S)


@shared_task(ignore_result=True)
def deliver_notification(delivery_id: int) -> None:
    with timed_job("deliver_notification"):
        delivery.deliver(delivery_id, timezone.now())


@shared_task(ignore_result=True)
def tend_incidents() -> None:
    """Runs every ten seconds: repetitions, escalations, and the end of snoozes, silences and flapping."""
    with timed_job("tend_incidents"):
        incidents.tend_incidents(timezone.now())


@shared_task(ignore_result=True)
def measure_beginnings() -> None:
    """Runs every minute: when did the breaches behind new alerts begin."""
    with timed_job("measure_beginnings"):
        detection.measure_beginnings(get_store().unqueued(), timezone.now())


@shared_task(ignore_result=True)
def send_digests() -> None:
    """Runs every DIGEST_INTERVAL_S seconds."""
    for run_id in digests.find_due_runs(timezone.now()):
        send_digest.apply_async((run_id,), expires=DIGEST_INTERVAL_S)


@shared_task(ignore_result=True)
def send_digest(run_id: int) -> None:
    with timed_job("send_digest"):
        digests.send_run(run_id, get_store(), timezone.now())
