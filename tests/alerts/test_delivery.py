from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from alerts import delivery
from alerts.channels import ChannelError, base
from alerts.models import Delivery, NotificationChannel
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.receivers import receive_mail, receive_webhooks
from tracestore.clickhouse.client import Store

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def fire(store: Store, *channels: NotificationChannel, now: datetime = NOW, **rule: Any) -> None:
    insert_traffic(store, now, failed=37, ok=173)
    evaluate_rule(create_rule(*channels, window_s=300, **rule).pk, now)


def deliver_all(now: datetime) -> list[bool]:
    return [delivery.deliver(pk, now) for pk in delivery.find_due_deliveries(now)]


def test_webhook_gets_rule_value_reasons_and_the_link_to_exactly_these_traces(store: Store, settings: Any) -> None:
    settings.BASE_URL = "https://tracestore.example.com"
    with receive_webhooks() as hook:
        fire(
            store, create_channel(target=hook.url + "?token=a%20b"), query="env:prod OR service:support-bot", severity="critical"
        )

        assert deliver_all(NOW) == [True]

    body = hook.bodies[0]
    assert hook.paths == ["/hook?token=a%20b"]
    assert hook.headers[0]["Content-Type"] == "application/json"
    assert body["title"] == "[critical] Failures: Failure rate 17.62% > 10%"
    assert (body["event"], body["value"], body["value_text"]) == ("firing", pytest.approx(37 / 210), "17.62%")
    assert (body["rule"]["name"], body["rule"]["threshold"], body["rule"]["unit"]) == ("Failures", 0.1, "ratio")
    assert (body["traces"]["count"], body["traces"]["others"]) == (37, 173)
    assert body["traces"]["query"] == "(env:prod OR service:support-bot) status:error"
    assert body["traces"]["url"].startswith("https://tracestore.example.com/traces?q=")
    assert body["differences"]["top"][0]["field"] == "version"
    assert [(error["error_type"], error["traces"], error["is_new"]) for error in body["errors"]] == [("TimeoutError", 37, True)]
    assert len(body["examples"]) == 3
    assert body["version"] == 3


def test_message_text_says_how_far_why_and_where(store: Store) -> None:
    with receive_webhooks() as hook:
        fire(store, create_channel(target=hook.url), hold_s=0)
        deliver_all(NOW)

    text = hook.bodies[0]["message"]
    assert "Failure rate is 17.62%, above the threshold of 10% (37 of 210 traces)." in text
    assert "Window: 2026-11-20 08:25:00 to 08:30:00 UTC (5 m)" in text
    assert "What differs about these 37 failing traces from the 173 others:" in text
    assert "1. Version v3: 37 (100%), against 0 (0%)" in text
    assert "- TimeoutError: refund service timed out: 37 traces (new; first seen 2026-11-20 08:29:00 UTC in version v3)" in text
    assert "- Failed tools: refund 37" in text
    assert "/traces?q=status%3Aerror&start=2026-11-20T08%3A25%3A00.000000000Z&end=2026-11-20T08%3A30%3A00.000000000Z" in text


def test_mail_arrives_as_text_and_html_at_every_address_in_one_transaction(store: Store, settings: Any) -> None:
    with receive_mail() as mail:
        settings.SMTP_URL = mail.url
        fire(store, create_channel(kind="email", target="ann@example.com, bob@example.com"))

        assert deliver_all(NOW) == [True]

    assert mail.recipients == [["ann@example.com", "bob@example.com"]]
    message = mail.messages[0]
    assert message["Subject"] == "[warning] Failures: Failure rate 17.62% > 10%"
    assert "alerts@example.com" in message["From"]
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert "Version v3: 37 (100%), against 0 (0%)" in text
    assert "Version v3: 37 (100%), against 0 (0%)" in html


def test_refused_webhook_is_retried_later_and_delivered_once(store: Store) -> None:
    with receive_webhooks(500, 503) as hook:
        fire(store, create_channel(target=hook.url))

        assert deliver_all(NOW) == [False]
        assert deliver_all(NOW + timedelta(seconds=5)) == []
        assert deliver_all(NOW + timedelta(seconds=60)) == [False]
        assert deliver_all(NOW + timedelta(seconds=75)) == []
        assert deliver_all(NOW + timedelta(seconds=150)) == [True]
        assert deliver_all(NOW + timedelta(hours=1)) == []

    assert [body["delivery_id"] for body in hook.bodies] == [hook.bodies[0]["delivery_id"]] * 3
    made = Delivery.objects.get()
    assert (made.status, made.attempts, made.last_error) == ("delivered", 3, "")


def test_unreachable_webhook_is_retried_and_says_so(store: Store) -> None:
    fire(store, create_channel(target="http://127.0.0.1:9/hook"))

    assert deliver_all(NOW) == [False]

    failed = Delivery.objects.get()
    assert failed.status == "pending"
    assert failed.last_error == "The receiver cannot be reached: Connection refused."
    assert NOW + timedelta(seconds=10) <= failed.next_attempt_at < NOW + timedelta(seconds=20)


def test_temporary_refusal_of_mail_is_retried(store: Store, settings: Any) -> None:
    with receive_mail("451 try again later") as mail:
        settings.SMTP_URL = mail.url
        fire(store, create_channel(kind="email", target="ann@example.com"))

        assert deliver_all(NOW) == [False]
        assert deliver_all(NOW + timedelta(seconds=60)) == [True]

    assert len(mail.messages) == 1
    assert NotificationChannel.objects.get().enabled


@pytest.mark.parametrize("status", [401, 404, 410])
def test_permanent_refusal_switches_the_channel_off_with_its_reason_and_keeps_the_message(store: Store, status: int) -> None:
    with receive_webhooks(status) as hook:
        channel, now = create_channel(target=hook.url), timezone.now()
        fire(store, channel, now=now)

        assert deliver_all(now) == [False]
        assert deliver_all(now + timedelta(hours=1)) == []

        channel.refresh_from_db()
        assert not channel.enabled
        assert str(status) in channel.disabled_reason
        delivery.set_channel_enabled(channel, enabled=True)
        assert deliver_all(timezone.now() + timedelta(seconds=1)) == [True]


def test_mail_that_was_taken_is_delivered_whatever_the_server_says_at_the_end(store: Store, settings: Any) -> None:
    with receive_mail() as mail:
        mail.farewell = "554 go away"
        settings.SMTP_URL = mail.url
        fire(store, create_channel(kind="email", target="ann@example.com"))

        assert deliver_all(NOW) == [True]
        assert deliver_all(NOW + timedelta(minutes=5)) == []

    assert len(mail.messages) == 1
    assert NotificationChannel.objects.get().enabled


def test_permanent_refusal_of_mail_switches_the_channel_off(store: Store, settings: Any) -> None:
    with receive_mail("550 no such user") as mail:
        settings.SMTP_URL = mail.url
        fire(store, create_channel(kind="email", target="ann@example.com"))
        deliver_all(NOW)

    channel = NotificationChannel.objects.get()
    assert not channel.enabled
    assert "no such user" in channel.disabled_reason


def test_resolved_waits_for_its_firing_message(store: Store) -> None:
    with receive_webhooks(500, 500) as hook:
        rule = create_rule(create_channel(target=hook.url), window_s=60)
        insert_traffic(store, NOW, failed=3, ok=7, age_s=30)
        evaluate_rule(rule.pk, NOW)
        deliver_all(NOW)
        later = NOW + timedelta(seconds=45)
        deliver_all(later)
        evaluate_rule(rule.pk, later)

        assert delivery.find_due_deliveries(later) == []  # the next attempt comes in 20 s
        while due := delivery.find_due_deliveries(later + timedelta(seconds=30)):
            delivery.deliver(due[0], later + timedelta(seconds=30))

    assert [body["event"] for body in hook.bodies] == ["firing", "firing", "firing", "resolved"]
    assert hook.bodies[-1]["title"] == "[resolved] Failures: after 45 s"
    assert hook.bodies[-1]["alert"]["resolved_at"] == "2026-11-20T08:30:45+00:00"


def test_channel_that_never_answers_costs_one_bounded_attempt(store: Store, settings: Any) -> None:
    settings.DELIVERY_TIMEOUT_S = 0.3
    with receive_webhooks() as hook:
        over = threading.Event()

        def hold() -> None:
            over.wait(200)

        hook.before_answer = hold
        fire(store, create_channel(target=hook.url))

        assert deliver_all(NOW) == [False]

        over.set()


def test_message_that_is_a_week_old_is_given_up(store: Store) -> None:
    fire(store, create_channel(enabled=False, disabled_reason="gone"))

    assert delivery.find_due_deliveries(NOW + timedelta(days=8)) == []

    assert Delivery.objects.get().status == "failed"


def test_muted_channel_gets_no_messages(store: Store) -> None:
    fire(store, create_channel(enabled=False))

    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_race_send_one_message(store: Store) -> None:
    with receive_webhooks() as hook:
        fire(store, create_channel(target=hook.url))
        pk = Delivery.objects.get().pk
        start = threading.Barrier(4)

        def attempt() -> None:
            start.wait(60)
            delivery.deliver(pk, NOW)
            connections.close_all()

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(150)

    assert len(hook.bodies) == 1


def test_worker_that_died_in_an_attempt_leaves_a_lease_that_runs_out(store: Store) -> None:
    with receive_webhooks() as hook:
        fire(store, create_channel(target=hook.url))
        Delivery.objects.update(attempts=1, next_attempt_at=NOW + delivery.lease())  # as a claim leaves it

        assert deliver_all(NOW + timedelta(seconds=30)) == []
        assert deliver_all(NOW + delivery.lease()) == [True]

    assert len(hook.bodies) == 1


def test_pauses_double_up_to_a_quarter_of_an_hour() -> None:
    assert [delivery.pause_after(attempts).total_seconds() for attempts in (1, 2, 3, 7, 8, 1000)] == [10, 20, 40, 640, 900, 900]


def test_accepted_test_message_switches_a_failed_channel_on_again() -> None:
    with receive_webhooks() as hook:
        channel = create_channel(target=hook.url, enabled=False, disabled_reason="error=404")

        delivery.send_test(channel)

    channel.refresh_from_db()
    assert (channel.enabled, channel.disabled_reason) == (True, "")
    assert hook.bodies[0]["event"] == "test"


def test_refused_test_message_says_why() -> None:
    with receive_webhooks(404) as hook, pytest.raises(ChannelError, match="404"):
        delivery.send_test(create_channel(target=hook.url))


def test_webhook_redirect_is_not_followed(store: Store) -> None:
    with receive_webhooks(307) as hook:
        fire(store, create_channel(target=hook.url))

        assert deliver_all(NOW) == [False]

    assert len(hook.bodies) == 1


def test_name_that_leads_to_the_metadata_of_a_cloud_gets_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_METADATA", (ipaddress.ip_address("127.0.0.1"),))
    with receive_webhooks() as hook:
        channel = create_channel(target=hook.url.replace("127.0.0.1", "localhost"))
        fire(store, channel)

        assert deliver_all(NOW) == [False]

    channel.refresh_from_db()
    assert hook.bodies == []
    assert channel.disabled_reason == "Messages are not sent to link-local addresses."


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0", "100.100.100.200"])
def test_addresses_of_metadata_are_forbidden(address: str) -> None:
    assert base.is_forbidden(address)
    assert not base.is_forbidden("10.0.0.1")
    assert not base.is_forbidden("hooks.example.com")


def test_message_goes_out_after_the_clock_was_set_back(store: Store) -> None:
    with receive_webhooks(500) as hook:
        fire(store, create_channel(target=hook.url))

        assert deliver_all(NOW) == [False]
        assert deliver_all(NOW - timedelta(hours=5)) == [True]


def test_pause_after_a_receiver_that_took_long_begins_at_its_end(store: Store, settings: Any) -> None:
    settings.DELIVERY_TIMEOUT_S = 0.5
    with receive_webhooks() as hook:
        over = threading.Event()

        def hold() -> None:
            over.wait(200)

        hook.before_answer = hold
        fire(store, create_channel(target=hook.url))
        now = timezone.now()

        assert deliver_all(now) == [False]

        over.set()
    assert Delivery.objects.get().next_attempt_at >= now + timedelta(seconds=delivery.FIRST_PAUSE_S + 0.5)


def test_answer_of_a_webhook_is_not_read(store: Store) -> None:
    sent_bytes = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fire(store, create_channel(target=f"http://127.0.0.1:{listener.getsockname()[1]}/hook"))

        def answer_at_length() -> None:
            nonlocal sent_bytes
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while sent_bytes < 256 << 20:
                    sent_bytes += connection.send(b"x" * (1 << 20))

        thread = threading.Thread(target=answer_at_length, daemon=True)
        thread.start()

        assert deliver_all(NOW) == [True]

        thread.join(150)
    assert sent_bytes < 64 << 20
