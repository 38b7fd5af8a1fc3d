"""Channels by API: a script sets up an alert from nothing, and no answer holds a secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from alerts.delivery import deliver, find_due_deliveries
from alerts.models import AlertRule, Delivery, DeliveryStatus, NotificationChannel
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.receivers import receive_webhooks
from tests.alerts.test_pages import now
from tracestore.clickhouse.client import Store
from tracestore.models import Project

pytestmark = pytest.mark.usefixtures("default_project")
CHANNELS = "/api/v1/channels"
SECRET_URL = "https://user:hush@hooks.example.com/services/hush?key=hush"


def post(client: Client, **values: Any) -> Any:
    body = {"name": "On-call", "kind": "webhook", "target": SECRET_URL} | values
    return client.post(CHANNELS, body, content_type="application/json")


def test_channel_is_created_read_changed_and_deleted_without_showing_its_secret(client: Client) -> None:
    created = post(client)
    address = f"{CHANNELS}/{created.json()['id']}"
    answers = [created, client.get(address), client.get(CHANNELS)]
    answers.append(client.patch(address, {"name": "Night"}, content_type="application/json"))
    answers.append(client.put(address, answers[-1].json() | {"enabled": False}, content_type="application/json"))

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200]
    assert all("hush" not in answer.content.decode() for answer in answers)
    assert created.json()["secret"].startswith("whsec_")
    assert all("whsec_" not in answer.content.decode() for answer in answers[1:])
    assert created.json() | {"id": 0, "created_at": "", "secret": ""} == {
        "id": 0, "name": "On-call", "kind": "webhook", "target_shown": "https://hooks.example.com/…", "enabled": True,
        "disabled_reason": "", "created_at": "", "secret": "",
    }  # fmt: skip
    channel = NotificationChannel.objects.get()
    assert (channel.name, channel.enabled, channel.target) == ("Night", False, SECRET_URL)
    assert client.delete(address).status_code == 204
    assert client.get(address).json()["error"]["message"] == f"There is no channel {channel.pk}."


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"kind": "pigeon"}, "kind", "there are email, slack, webhook, pagerduty, apprise"),
        ({"target": "ftp://host/x"}, "target", "http:// or https://"),
        ({"target": "http://169.254.169.254/latest/meta-data/"}, "target", "link-local"),
        ({"kind": "slack", "target": "http://[fe80::1%25eth0]/x"}, "target", "link-local"),
        ({"kind": "apprise", "target": "syslog://"}, "target", "own machine"),
        ({"kind": "email", "target": "bob"}, "target", "'bob'"),
        ({"target": ""}, "target", "blank"),
        ({"target": "https://h/" + "x" * 2000}, "target", "2000"),
        ({"name": " "}, "name", "blank"),
        ({"name": "Taken"}, "name", "Another channel"),
        ({"targe": "x"}, "targe", "name, kind, target, enabled"),
        ({"enabled": "perhaps"}, "enabled", "boolean"),
    ],
)
def test_bad_channel_is_refused_naming_the_field(client: Client, values: dict[str, Any], field: str, sentence: str) -> None:
    create_channel(name="Taken")

    answer = post(client, **values)

    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == field
    assert sentence in answer.json()["error"]["message"]
    assert NotificationChannel.objects.count() == 1


def test_new_channel_needs_a_target_and_so_does_another_kind(client: Client) -> None:
    answer = client.post(CHANNELS, {"name": "x", "kind": "webhook"}, content_type="application/json")
    changed = client.patch(f"{CHANNELS}/{post(client).json()['id']}", {"kind": "apprise"}, content_type="application/json")

    assert [given.json()["error"]["parameter"] for given in (answer, changed)] == ["target", "target"]
    assert "hush" not in changed.content.decode()


def test_mail_without_a_server_names_the_setting(client: Client, settings: Settings) -> None:
    settings.SMTP_URL = ""

    answer = post(client, kind="email", target="ann@example.com")

    assert "TRACESTORE_SMTP_URL" in answer.json()["error"]["message"]


def test_new_target_revives_a_refused_channel_and_its_waiting_messages(client: Client, store: Store) -> None:
    insert_traffic(store, now(), failed=3, ok=7)
    channel = create_channel()
    evaluate_rule(create_rule(channel).pk, now())
    NotificationChannel.objects.update(enabled=False, disabled_reason="The receiver answered 404.")
    Delivery.objects.update(next_attempt_at=now() + timedelta(days=1))
    address = f"{CHANNELS}/{channel.pk}"

    renamed = client.patch(address, {"name": "Night"}, content_type="application/json").json()
    repaired = client.patch(address, {"target": "http://127.0.0.1:9/new"}, content_type="application/json").json()

    assert (renamed["enabled"], renamed["disabled_reason"]) == (False, "The receiver answered 404.")
    assert (repaired["enabled"], repaired["disabled_reason"]) == (True, "")
    assert Delivery.objects.get(status=DeliveryStatus.PENDING).next_attempt_at <= timezone.now()


def test_channel_and_rule_of_a_script_bring_the_alert_to_the_receiver(client: Client, store: Store) -> None:
    insert_traffic(store, now(), failed=3, ok=7)
    with receive_webhooks() as receiver:
        post(client, target=receiver.url)
        rule = {"name": "Fails", "metric": "failure_rate", "threshold": 0.1, "channels": ["On-call"]}
        client.post("/api/v1/alert-rules", rule, content_type="application/json")
        later = now() + timedelta(seconds=1)  # `now` is cut to the second, and may lie before the rule
        evaluate_rule(AlertRule.objects.get().pk, later)
        delivered = [deliver(delivery_id, later) for delivery_id in find_due_deliveries(later)]

    assert delivered == [True]
    assert [body["event"] for body in receiver.bodies] == ["firing"]


def test_channel_of_another_project_is_not_seen(client: Client) -> None:
    channel = create_channel()
    NotificationChannel.objects.update(project=Project.objects.create(slug="other", name="Other"))

    assert client.get(CHANNELS).json() == {"results": [], "next": None}
    assert client.get(f"{CHANNELS}/{channel.pk}").status_code == 404
    assert client.delete(f"{CHANNELS}/{channel.pk}").status_code == 404
    assert client.get(CHANNELS, {"kind": "email"}).status_code == 400
