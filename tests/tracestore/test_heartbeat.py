"""The dead-man's switch: a monitor on loopback hears of an instance that does its work, and of no other."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from ingest.service import Ingest
from tests.alerts.factories import create_rule
from tests.alerts.receivers import receive_webhooks
from tests.waiting import wait_until
from tracestore.clickhouse.client import Store
from tracestore.process import liveness, telemetry
from tracestore.process.heartbeat import Heartbeat, beat

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_watched")]


def test_monitor_is_asked_while_all_is_well(ingest: Ingest) -> None:
    create_rule(next_evaluation_at=timezone.now())
    with receive_webhooks(200) as monitor:
        assert beat(monitor.url + "?token=a") == "sent"

    assert monitor.paths == ["/hook?token=a"]


def test_monitor_hears_nothing_when_the_drain_has_ended(ingest: Ingest) -> None:
    ingest._drain.stop(60)
    with receive_webhooks() as monitor:
        assert beat(monitor.url) == "withheld"

    assert monitor.paths == []


def test_monitor_hears_nothing_when_a_job_goes_on_without_doing_anything(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    liveness.watch_job("summaries")
    monkeypatch.setattr(liveness, "_JOB_S", -1.0)
    with receive_webhooks() as monitor:
        assert beat(monitor.url) == "withheld"

    assert monitor.paths == []


@pytest.mark.parametrize(("late_s", "enabled", "result"), [(600, True, "withheld"), (600, False, "sent"), (100, True, "sent")])
def test_monitor_hears_nothing_when_rules_are_not_evaluated(store: Store, late_s: int, enabled: bool, result: str) -> None:
    create_rule(enabled=enabled, next_evaluation_at=timezone.now() - timedelta(seconds=late_s))
    with receive_webhooks() as monitor:
        assert beat(monitor.url) == result

    assert bool(monitor.paths) == (result == "sent")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_answer_other_than_2xx_is_a_failure(store: Store, status: int) -> None:
    with receive_webhooks(status) as monitor:
        assert beat(monitor.url) == "failed"


def test_monitor_that_is_away_is_a_failure_that_does_not_name_its_address(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    assert beat("http://127.0.0.1:9/secret") == "failed"

    assert "heartbeat could not be sent" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_it_beats_until_it_is_stopped_and_counts(store: Store) -> None:
    counted = telemetry.HEARTBEATS.labels("sent")._value.get()
    with receive_webhooks(500) as monitor:
        heartbeat = Heartbeat(monitor.url, interval_s=0.05)
        heartbeat.start()
        wait_until(lambda: len(monitor.paths) >= 3)
        heartbeat.stop()
        wait_until(lambda: not any(thread.name == "heartbeat" for thread in threading.enumerate()))

    assert telemetry.HEARTBEATS.labels("sent")._value.get() >= counted + 2
    assert telemetry.HEARTBEAT_SENT._value.get() > 0
