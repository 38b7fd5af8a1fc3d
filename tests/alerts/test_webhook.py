"""The webhook as its receiver sees it: documented, signed, and its secret shown once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts import delivery
from alerts.channels.signing import sign
from alerts.models import NotificationChannel
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.receivers import WebhookReceiver, receive_webhooks
from tests.factories import default_project
from tests.live import ROOT
from tracestore.clickhouse.client import Store

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
DOCUMENT = (ROOT / "docs" / "alerts.md").read_text()


@pytest.fixture(scope="module")
def is_from_tracestore() -> Callable[..., bool]:
    """The receiver's check as the document gives it."""
    code = DOCUMENT.split("### Signature")[1].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    check: Callable[..., bool] = names["is_from_tracestore"]
    return check


def send_test(channel: NotificationChannel, hook: WebhookReceiver) -> tuple[str, bytes]:
    delivery.send_test(channel)
    return hook.headers[-1].get("Tracestore-Signature", ""), hook.raw_bodies[-1]


def test_receiver_that_checks_as_documented_believes_us_and_nobody_else(is_from_tracestore: Callable[..., bool]) -> None:
    with receive_webhooks() as hook:
        channel = create_channel(target=hook.url)
        secret = delivery.rotate_secret(channel, timezone.now())

        header, body = send_test(channel, hook)

    assert is_from_tracestore(header, body, secret)
    assert not is_from_tracestore(header, body + b" ", secret)
    assert not is_from_tracestore(header, body, "whsec_other")
    assert not is_from_tracestore(re.sub(r"t=\d+", "t=1", header), body, secret)
    assert not is_from_tracestore(sign(body, [secret], 1_700_000_000), body, secret)
    for broken in ("", "t=", "v1=", "t=x,v1=y", "t=9,v1=é", "=,="):
        assert not is_from_tracestore(broken, body, secret)


def test_both_secrets_are_in_force_for_a_day_after_rotation(is_from_tracestore: Callable[..., bool]) -> None:
    with receive_webhooks() as hook:
        channel = create_channel(target=hook.url)
        old = delivery.rotate_secret(channel, timezone.now())
        new = delivery.rotate_secret(channel, timezone.now())

        header, body = send_test(channel, hook)
        channel.previous_secret_until = timezone.now() - timedelta(seconds=1)
        later_header, later_body = send_test(channel, hook)

    assert (is_from_tracestore(header, body, old), is_from_tracestore(header, body, new)) == (True, True)
    assert is_from_tracestore(later_header, later_body, new)
    assert not is_from_tracestore(later_header, later_body, old)


def test_webhook_without_a_secret_is_not_signed() -> None:
    with receive_webhooks() as hook:
        assert send_test(create_channel(target=hook.url), hook)[0] == ""


def test_documented_body_has_the_fields_of_the_real_one(store: Store) -> None:
    insert_traffic(store, NOW, failed=5, ok=10)
    with receive_webhooks() as hook:
        evaluate_rule(create_rule(create_channel(target=hook.url)).pk, NOW)
        for pk in delivery.find_due_deliveries(NOW):
            delivery.deliver(pk, NOW)
    documented = json.loads(DOCUMENT.split("## Webhook body")[1].split("```json\n")[1].split("```")[0])
    sent = hook.bodies[0]

    def shape(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {} if name == "labels" else {key: shape(part, key) for key, part in value.items()}
        return [shape(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None

    assert shape(sent) == shape(documented)


def test_secret_is_shown_once_on_the_page_that_made_it(client: Client) -> None:
    default_project()
    made = client.post("/alerts/channels/new", {"name": "Hook", "kind": "webhook", "target": "http://127.0.0.1:9/hook"})
    channel = NotificationChannel.objects.get()

    assert channel.secret in made.content.decode()
    assert made["Cache-Control"] == "no-store"
    for page in ("/alerts/channels", f"/alerts/channels/{channel.pk}"):
        assert channel.secret not in client.get(page).content.decode()
    rotated = client.post(f"/alerts/channels/{channel.pk}/secret").content.decode()
    first, second = channel.secret, NotificationChannel.objects.get().secret
    assert second in rotated
    assert first not in rotated
    assert "24 hours" in rotated


def test_channel_that_is_not_signed_gets_no_secret(client: Client) -> None:
    default_project()
    answer = client.post("/alerts/channels/new", {"name": "Chat", "kind": "slack", "target": "http://127.0.0.1:9/hook"})

    assert answer.status_code == 302
    channel = NotificationChannel.objects.get()
    assert channel.secret == ""
    assert client.post(f"/alerts/channels/{channel.pk}/secret").status_code == 404
    assert client.post(f"/api/v1/channels/{channel.pk}/secret").status_code == 404


def test_script_rotates_a_secret(client: Client) -> None:
    default_project()
    made = client.post(
        "/api/v1/channels", {"name": "Hook", "kind": "webhook", "target": "http://h/x"}, content_type="application/json"
    ).json()

    rotated = client.post(f"/api/v1/channels/{made['id']}/secret").json()

    channel = NotificationChannel.objects.get()
    assert (channel.previous_secret, channel.secret) == (made["secret"], rotated["secret"])
    assert channel.secrets_in_force(timezone.now()) == [rotated["secret"], made["secret"]]
