"""Slack and PagerDuty as their services see them, played by a receiver on loopback that answers as they do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts import delivery
from alerts.channels import check_target, describe_target
from alerts.models import Delivery, Incident, NotificationChannel
from alerts.on_call import incidents
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.receivers import receive_webhooks
from tracestore.clickhouse.client import Store

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
KEY = "0123456789abcdef0123456789ABCDEF"
CAUSE = "Likely cause: version v3; failing tool refund; new error TimeoutError: refund service timed out"


def fire_and_resolve(store: Store, channel: NotificationChannel) -> None:
    rule = create_rule(channel, window_s=60, severity="critical")
    insert_traffic(store, NOW, failed=3, ok=7, age_s=30)
    for moment in (NOW, NOW + timedelta(seconds=45)):
        evaluate_rule(rule.pk, moment)
        for pk in delivery.find_due_deliveries(moment):
            delivery.deliver(pk, moment)


def test_slack_gets_the_alert_and_its_end(store: Store, settings: Any) -> None:
    settings.BASE_URL = "https://tracestore.example.com"
    with receive_webhooks() as slack:
        fire_and_resolve(store, create_channel(kind="slack", target=slack.url))

    fired, resolved = slack.bodies
    assert fired["text"] == f"[critical] Failures: Failure rate 30% &gt; 10%\n{CAUSE}"
    assert resolved["text"] == "[resolved] Failures: after 45 s"
    assert fired["attachments"][0]["color"] != resolved["attachments"][0]["color"]
    sections = [block["text"]["text"] for block in fired["attachments"][0]["blocks"] if block["type"] == "section"]
    assert any("1. Version v3: 3 (100%), against 0 (0%)" in text for text in sections)
    assert any("?span=" + "02" * 8 + "|" in text for text in sections)


def test_word_with_which_slack_refuses_is_shown(store: Store) -> None:
    with receive_webhooks(404) as slack:
        slack.answer = b"no_service"
        insert_traffic(store, NOW, failed=3, ok=7)
        evaluate_rule(create_rule(create_channel(kind="slack", target=slack.url)).pk, NOW)
        delivery.deliver(Delivery.objects.get().pk, NOW)

    assert Delivery.objects.get().last_error == "The receiver answered 404 (Not Found): no_service."
    assert not NotificationChannel.objects.get().enabled


def test_pagerduty_incident_is_triggered_and_resolved_by_one_key(store: Store) -> None:
    with receive_webhooks(202, 202) as pager:
        fire_and_resolve(store, create_channel(kind="pagerduty", target=pager.url.replace("://", f"://{KEY}@")))

    triggered, resolved = pager.bodies
    assert [event["event_action"] for event in (triggered, resolved)] == ["trigger", "resolve"]
    assert triggered["dedup_key"] == resolved["dedup_key"]
    assert triggered["routing_key"] == KEY
    assert triggered["payload"]["summary"] == f"[critical] Failures: Failure rate 30% > 10%. {CAUSE}"
    assert "Authorization" not in pager.headers[0]


def test_test_message_leaves_no_incident_behind() -> None:
    with receive_webhooks(202, 202) as pager:
        delivery.send_test(create_channel(kind="pagerduty", target=pager.url.replace("://", f"://{KEY}@")))

    assert [event["event_action"] for event in pager.bodies] == ["trigger", "resolve"]
    assert len({event["dedup_key"] for event in pager.bodies}) == 1


def test_acknowledgement_is_passed_on_to_pagerduty_alone(store: Store) -> None:
    with receive_webhooks(202, 202) as pager, receive_webhooks() as slack:
        channels = [
            create_channel(kind="pagerduty", target=pager.url.replace("://", f"://{KEY}@")),
            create_channel(name="Chat", kind="slack", target=slack.url),
        ]
        insert_traffic(store, NOW, failed=3, ok=7)
        evaluate_rule(create_rule(*channels).pk, NOW)
        incidents.acknowledge(Incident.objects.get().pk, "ann", NOW)
        for _ in range(2):  # the second message about an alert waits for the first
            for pk in delivery.find_due_deliveries(NOW):
                assert delivery.deliver(pk, NOW)

    assert [event["event_action"] for event in pager.bodies] == ["trigger", "acknowledge"]
    assert len({event["dedup_key"] for event in pager.bodies}) == 1
    assert len(slack.bodies) == 1
    assert Delivery.objects.get(event="acknowledged").reason == "Acknowledged by ann."


@pytest.mark.parametrize("target", [KEY, f"eu:{KEY}", f"EU:{KEY}", f"https://{KEY}@events.example.com/v2/enqueue"])
def test_pagerduty_key_is_taken_and_hidden(target: str) -> None:
    check_target("pagerduty", target)

    assert KEY not in describe_target("pagerduty", target)


@pytest.mark.parametrize("target", ["short", f"mars:{KEY}", f"ftp://{KEY}@host/", "https://host/", "https://[/"])
def test_bad_pagerduty_target_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        check_target("pagerduty", target)
